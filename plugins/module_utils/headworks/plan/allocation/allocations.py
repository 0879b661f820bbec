"""The allocations: the decisions of earlier plans that later plans must keep. Records, ``load`` and ``dump``; pure.

The file is JSON (which is YAML) with a line for each object, sorted, so that a commit shows what changed. What does not
belong here: deciding (``allocator.py``, ``plan/placement/``), older forms of the file (``migrations.py``), the file
itself (``control/allocations_file.py``), and what a node keeps of the allocations (``extract.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from ...model.errors import PlanError
from .. import facts
from ..identity import natural
from .migrations import VERSION, migrate

VARIABLE = "cloud_allocations"


@dataclass(frozen=True)
class PortAllocation:
    """The MAC and the addresses of a port."""

    mac: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class NetworkAllocation:
    """The segment and the DHCP ports of a network.

    ``segment`` is ``vxlan/2``, ``vlan/physnet1/2000``, or "" (flat, local). ``dhcp`` is node → DHCP port.
    """

    segment: str = ""
    dhcp: Mapping[str, PortAllocation] = field(default_factory=dict)

    @property
    def segmentation_id(self) -> int | None:
        """The number in ``segment``, or None."""
        return int(self.segment.rpartition("/")[2]) if self.segment else None


@dataclass(frozen=True)
class RouterAllocation:
    """The node and the ports of a router.

    ``gateway`` is the port on the external network. ``ports`` are the others, keyed by network (``net#2`` for a second
    port on a network).
    """

    node: str
    gateway: PortAllocation | None = None
    ports: Mapping[str, PortAllocation] = field(default_factory=dict)


@dataclass(frozen=True)
class InstanceAllocation:
    """The node and the ports of an instance. ``number`` is part of the libvirt name and is never allocated twice.

    ``protected`` is ``instance_protected`` of the last run. ``built`` says that the node has built or reported the
    guest: if the guest is missing later, its disk is lost, and no blank disk takes its place.
    """

    number: int
    node: str
    ports: Mapping[str, PortAllocation] = field(default_factory=dict)
    protected: bool = False
    built: bool = False


@dataclass(frozen=True)
class RemovedInstance:
    """A removed instance, whose disk its node keeps until ``until`` (seconds since 1970)."""

    instance: InstanceAllocation
    until: int


@dataclass(frozen=True)
class Rest:
    """Why a freed value is not allocated again yet: ``nodes`` may still use it for ``owner``, until each of them has
    applied a plan with at least the serial ``serial``."""

    owner: str
    nodes: tuple[str, ...]
    serial: int


@dataclass(frozen=True)
class Allocations:
    """All allocations of a cloud.

    ``lineage`` is the same for all versions of a file, and different for a file that was made anew. ``serial`` grows
    with each version. ``vlans`` is node → network → VLAN on br-int. ``facts`` are the facts that nodes last reported.
    ``declared`` is kind → name → a line that says what the last run declared (see ``plan/announce.py``). ``removed``
    are the instances that nodes keep for their return. ``resting`` is a freed value (see ``resting.py``) → its rest.
    """

    cloud: str = ""
    lineage: str = ""
    serial: int = 0
    last_number: int = 0
    networks: Mapping[str, NetworkAllocation] = field(default_factory=dict)
    routers: Mapping[str, RouterAllocation] = field(default_factory=dict)
    instances: Mapping[str, InstanceAllocation] = field(default_factory=dict)
    vlans: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    facts: Mapping[str, facts.NodeFacts] = field(default_factory=dict)
    declared: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    removed: Mapping[str, RemovedInstance] = field(default_factory=dict)
    resting: Mapping[str, Rest] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        """Plain data in natural order; ``load`` reads it."""
        return {
            "version": VERSION,
            "cloud": self.cloud,
            "lineage": self.lineage,
            "serial": self.serial,
            "last_number": self.last_number,
            "networks": {
                name: _some(segment=network.segment, dhcp=_ports(network.dhcp))
                for name, network in _sorted(self.networks)
            },
            "routers": {
                name: {"node": router.node, **_some(gateway=_port(router.gateway), ports=_ports(router.ports))}
                for name, router in _sorted(self.routers)
            },
            "instances": {name: _instance(instance) for name, instance in _sorted(self.instances)},
            "vlans": {node: dict(_sorted(networks)) for node, networks in _sorted(self.vlans)},
            "facts": {node: facts.write(node_facts) for node, node_facts in _sorted(self.facts)},
            "removed": {
                name: {**_instance(removed.instance), "until": removed.until} for name, removed in _sorted(self.removed)
            },
            "resting": {
                value: {"owner": rest.owner, "nodes": list(rest.nodes), "serial": rest.serial}
                for value, rest in _sorted(self.resting)
            },
            "declared": {kind: dict(_sorted(names)) for kind, names in sorted(self.declared.items())},
        }

    def text(self) -> str:
        """The content of the allocations file."""
        return as_text(self.dump())


def as_text(data: Mapping[str, Any]) -> str:
    """Plain data (``Allocations.dump``) as the text of the allocations file."""
    sections = ",\n".join(
        f"{json.dumps(name)}: {_lines(value, 2 if name == 'declared' else 1)}" for name, value in data.items()
    )
    return f'{{"{VARIABLE}": {{\n{sections}\n}}}}\n'


def digest(data: Mapping[str, Any] | None) -> str:
    """A digest of plain data, in the form in which it is stored. Two files with the same serial must have the same
    digest. ``built`` does not count: it is noted when the nodes have converged, without a new serial."""
    value = dict(data.get(VARIABLE, data) if data else {})
    if isinstance(value.get("instances"), dict):
        value["instances"] = {name: _without_built(entry) for name, entry in value["instances"].items()}
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def _without_built(entry: Any) -> Any:
    return {key: item for key, item in entry.items() if key != "built"} if isinstance(entry, dict) else entry


def load(data: Mapping[str, Any] | None) -> Allocations:
    """Allocations from plain data: the value of ``cloud_allocations``, or the content of the whole file.

    None and {} are empty allocations. Data of an older version is migrated first.

    :raises PlanError: the data is damaged, or is of a newer version.
    """
    if data and VARIABLE in data:
        data = data[VARIABLE]
    if not data:
        return Allocations()
    here = VARIABLE
    try:
        data = migrate(data, VARIABLE)
        networks, routers, instances = {}, {}, {}
        for name, entry in (data.get("networks") or {}).items():
            here = f"{VARIABLE}.networks.{name}"
            networks[name] = NetworkAllocation(_segment(entry.get("segment", "")), _read_ports(entry.get("dhcp")))
        for name, entry in (data.get("routers") or {}).items():
            here = f"{VARIABLE}.routers.{name}"
            gateway = _read_port(entry["gateway"]) if entry.get("gateway") else None
            routers[name] = RouterAllocation(str(entry["node"]), gateway, _read_ports(entry.get("ports")))
        for name, entry in (data.get("instances") or {}).items():
            here = f"{VARIABLE}.instances.{name}"
            instances[name] = _read_instance(entry)
        here = VARIABLE
        return Allocations(
            cloud=str(data.get("cloud", "")),
            lineage=str(data.get("lineage", "")),
            serial=int(data.get("serial", 0)),
            last_number=int(data.get("last_number", 0)),
            networks=networks,
            routers=routers,
            instances=instances,
            vlans={
                node: {network: int(vlan) for network, vlan in networks_of_node.items()}
                for node, networks_of_node in (data.get("vlans") or {}).items()
            },
            facts={node: facts.read(entry) for node, entry in (data.get("facts") or {}).items()},
            declared={kind: dict(names) for kind, names in (data.get("declared") or {}).items()},
            removed={
                name: RemovedInstance(_read_instance(entry), int(entry["until"]))
                for name, entry in (data.get("removed") or {}).items()
            },
            resting={
                value: Rest(str(entry["owner"]), tuple(map(str, entry["nodes"])), int(entry["serial"]))
                for value, entry in (data.get("resting") or {}).items()
            },
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PlanError(
            [f"{here}: {error}: the allocations are damaged; restore the file from version control or a backup"]
        ) from error


def _segment(text: str) -> str:
    """The segment, after a check that it ends in a number."""
    if text:
        int(text.rpartition("/")[2])
    return text


def _instance(instance: InstanceAllocation) -> dict[str, Any]:
    return {
        "number": instance.number,
        "node": instance.node,
        **_some(ports=_ports(instance.ports), protected=instance.protected, built=instance.built),
    }


def _read_instance(entry: Mapping[str, Any]) -> InstanceAllocation:
    return InstanceAllocation(
        int(entry["number"]), str(entry["node"]), _read_ports(entry.get("ports")), entry.get("protected") is True,
        entry.get("built") is True,
    )


def _port(port: PortAllocation | None) -> list[str]:
    return [port.mac, *port.addresses] if port else []


def _ports(ports: Mapping[str, PortAllocation]) -> dict[str, list[str]]:
    return {name: [port.mac, *port.addresses] for name, port in _sorted(ports)}


def _read_port(data: Any) -> PortAllocation:
    mac, *addresses = data
    if isinstance(data, str):
        raise ValueError("a port is a list of its MAC and its addresses")
    return PortAllocation(str(mac), tuple(map(str, addresses)))


def _read_ports(data: Mapping[str, Any] | None) -> dict[str, PortAllocation]:
    return {name: _read_port(port) for name, port in (data or {}).items()}


def _some(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _sorted(mapping: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(mapping.items(), key=lambda item: natural(item[0]))


def _lines(data: Any, depth: int) -> str:
    """JSON with a line for each entry of the first ``depth`` levels, and compact below them."""
    if depth == 0 or not isinstance(data, dict) or not data:
        return json.dumps(data, ensure_ascii=False)
    entries = ",\n".join(f"{json.dumps(name)}: {_lines(value, depth - 1)}" for name, value in data.items())
    return f"{{\n{entries}\n}}"

"""The allocations: everything the plan decided once and must not decide differently later. Data, load and dump; pure.

The file is JSON (which is YAML) with one line for each object, sorted, so that a commit shows what changed. What does
not belong here: deciding (``allocator.py``, ``placement/``), older forms of the file (``migrations.py``), and the file
itself (``control/allocations_file.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...model.errors import PlanError
from .. import facts
from ..identity import natural
from .migrations import VERSION, migrate

VARIABLE = "cloud_allocations"


@dataclass(frozen=True)
class PortAllocation:
    """What a port has: its MAC and its addresses."""

    mac: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class NetworkAllocation:
    """What a network has. ``segment`` is ``vxlan/2``, ``vlan/physnet1/2000``, or "" (flat, local); ``dhcp`` are its
    DHCP ports by node."""

    segment: str = ""
    dhcp: Mapping[str, PortAllocation] = field(default_factory=dict)

    @property
    def segmentation_id(self) -> int | None:
        """The number in ``segment``."""
        return int(self.segment.rpartition("/")[2]) if self.segment else None


@dataclass(frozen=True)
class RouterAllocation:
    """Where a router is and what it has. ``ports`` are keyed by network (``net#2`` for a second port on one), its
    gateway is ``gateway``."""

    node: str
    gateway: PortAllocation | None = None
    ports: Mapping[str, PortAllocation] = field(default_factory=dict)


@dataclass(frozen=True)
class InstanceAllocation:
    """Where an instance is and what it has; ``number`` makes the libvirt name, and is never given twice."""

    number: int
    node: str
    ports: Mapping[str, PortAllocation] = field(default_factory=dict)


@dataclass(frozen=True)
class Allocations:
    """All of it. ``vlans`` is node → network → VLAN on br-int. ``facts`` is what nodes were last seen to be.
    ``declared`` is kind → name → one line that says what was declared at the last run (``announce.py``)."""

    cloud: str = ""
    last_number: int = 0
    networks: Mapping[str, NetworkAllocation] = field(default_factory=dict)
    routers: Mapping[str, RouterAllocation] = field(default_factory=dict)
    instances: Mapping[str, InstanceAllocation] = field(default_factory=dict)
    vlans: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    facts: Mapping[str, facts.NodeFacts] = field(default_factory=dict)
    declared: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        """Plain data, sorted as people count; ``load`` takes it back."""
        return {
            "version": VERSION,
            "cloud": self.cloud,
            "last_number": self.last_number,
            "networks": {
                name: _some(segment=one.segment, dhcp=_ports(one.dhcp)) for name, one in _sorted(self.networks)
            },
            "routers": {
                name: {"node": one.node, **_some(gateway=_port(one.gateway), ports=_ports(one.ports))}
                for name, one in _sorted(self.routers)
            },
            "instances": {
                name: {"number": one.number, "node": one.node, **_some(ports=_ports(one.ports))}
                for name, one in _sorted(self.instances)
            },
            "vlans": {node: dict(_sorted(networks)) for node, networks in _sorted(self.vlans)},
            "facts": {node: facts.write(one) for node, one in _sorted(self.facts)},
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


def load(data: Mapping[str, Any] | None) -> Allocations:
    """Allocations from plain data: the value of ``cloud_allocations``, or the whole file; None or {} = nothing yet.

    Data of an older version is migrated first.

    :raises PlanError: the data does not have the form that ``dump`` gives it, or is of a newer version.
    """
    if data and VARIABLE in data:
        data = data[VARIABLE]
    if not data:
        return Allocations()
    here = VARIABLE
    try:
        data = migrate(data, VARIABLE)
        networks, routers, instances = {}, {}, {}
        for name, one in (data.get("networks") or {}).items():
            here = f"{VARIABLE}.networks.{name}"
            networks[name] = NetworkAllocation(_segment(one.get("segment", "")), _read_ports(one.get("dhcp")))
        for name, one in (data.get("routers") or {}).items():
            here = f"{VARIABLE}.routers.{name}"
            gateway = _read_port(one["gateway"]) if one.get("gateway") else None
            routers[name] = RouterAllocation(str(one["node"]), gateway, _read_ports(one.get("ports")))
        for name, one in (data.get("instances") or {}).items():
            here = f"{VARIABLE}.instances.{name}"
            instances[name] = InstanceAllocation(int(one["number"]), str(one["node"]), _read_ports(one.get("ports")))
        here = VARIABLE
        return Allocations(
            cloud=str(data.get("cloud", "")),
            last_number=int(data.get("last_number", 0)),
            networks=networks,
            routers=routers,
            instances=instances,
            vlans={
                node: {net: int(vlan) for net, vlan in one.items()} for node, one in (data.get("vlans") or {}).items()
            },
            facts={node: facts.read(one) for node, one in (data.get("facts") or {}).items()},
            declared={kind: dict(names) for kind, names in (data.get("declared") or {}).items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PlanError(
            [f"{here}: {error}: the allocations are damaged; restore the file from version control or a backup"]
        ) from error


def _segment(text: str) -> str:
    if text:
        int(text.rpartition("/")[2])
    return text


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
    """JSON with a line for each entry down to ``depth`` levels, compact below."""
    if depth == 0 or not isinstance(data, dict) or not data:
        return json.dumps(data, ensure_ascii=False)
    entries = ",\n".join(f"{json.dumps(name)}: {_lines(value, depth - 1)}" for name, value in data.items())
    return f"{{\n{entries}\n}}"

"""From the options of ovs_bridge and ovs_port to the records to converge. An omitted option stays as it is on the node.

The options are those of the well-known openvswitch_bridge and openvswitch_port. A node state names every field and
needs none of this. The option ``set`` is in ``set_option.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ...node.ovs.bridges import OvsBridgeSubsystem
from ...node.ovs.ports import OvsPortSubsystem
from ...node.subsystem import Subsystem
from ...state.ovs import OvsBridge, OvsPort
from ...system.ovsdb import ENDPOINT
from .columns import OvsColumn, OvsColumnSubsystem
from .set_option import Record, with_set

Item = Mapping[str, Any]
Step = tuple[Subsystem[Any], dict[str, Any], dict[str, Any]]

FAKE_PREFIX = "fake-bridge-"  # ovs-vsctl keeps the external_ids of a fake bridge under such keys of its port
REAL_BRIDGE_OPTIONS = ("datapath_type", "fail_mode", "mac", "other_config")
TUNNEL_OPTIONS = ("peer", "local_ip", "remote_ip", "key", "in_key", "out_key")


class SwitchRequest:
    """The bridges and ports of the node as they are, and the records that the items of one module call ask for.

    :param names: the ports to read. All bridges are read.
    """

    def __init__(self, names: Iterable[str], endpoint: str = ENDPOINT, seconds: float | None = None) -> None:
        self.bridge_subsystem = OvsBridgeSubsystem(exact=True, endpoint=endpoint, seconds=seconds)
        self.port_subsystem = OvsPortSubsystem(exact=True, endpoint=endpoint, seconds=seconds)
        self.column_subsystem = OvsColumnSubsystem(endpoint=endpoint, seconds=seconds)
        self.bridges = dict(self.bridge_subsystem.read({}).objects)
        self.ports = dict(self.port_subsystem.read_named(frozenset(names)).objects)
        self.wanted_bridges: dict[str, OvsBridge] = {}
        self.wanted_ports: dict[str, OvsPort] = {}
        self.wanted_columns: dict[str, OvsColumn] = {}
        self.absent_bridges: dict[str, OvsBridge] = {}
        self.absent_ports: dict[str, OvsPort] = {}

    def steps(self) -> list[Step]:
        """The steps for ``modules.items.finish``."""
        return [
            (self.bridge_subsystem, self.wanted_bridges, self.absent_bridges),
            (self.port_subsystem, self.wanted_ports, self.absent_ports),
            (self.column_subsystem, self.wanted_columns, {}),
        ]

    def add_bridge(self, item: Item) -> None:
        """Add one item of ovs_bridge to the request.

        :raises ValueError: the options contradict each other or the node.
        """
        name = item["bridge"]
        fake = self._fake_bridge(name)
        if item["state"] == "present":
            if fake or item.get("parent"):
                self.wanted_ports[name] = self._with_set(self._wanted_fake_bridge(item, fake), item)
            else:
                self.wanted_bridges[name] = self._wanted_bridge(item)
        elif fake:
            self.absent_ports.update(self._ports_of_fake_bridge(fake))
        elif name in self.bridges:
            self.absent_bridges[name] = self.bridges[name]

    def add_port(self, item: Item) -> None:
        """Add one item of ovs_port to the request.

        :raises ValueError: the options contradict each other, or the bridge of a new port is missing.
        """
        name = item["port"]
        now = self.ports.get(name)
        fake = self._fake_bridge(item.get("bridge"))
        bridge = fake.bridge if fake else item.get("bridge")
        if item["state"] == "present":
            start = _present_port(name, now, bridge, fake)
            port = self._with_set(_with_port_options(start, item), item)
            _check_port(port)
            self.wanted_ports[name] = port
            for key, value in _merged({}, item.get("other_config")).items():
                column = OvsColumn("Port", name, "other_config", key, value)
                self.wanted_columns[column.name] = column
        elif now is not None and bridge in (None, now.bridge) and (fake is None or fake.tag == now.tag):
            self.absent_ports[name] = now  # a port on another bridge stays, as with ovs-vsctl del-port BRIDGE PORT

    # Real bridges

    def _wanted_bridge(self, item: Item) -> OvsBridge:
        name = item["bridge"]
        if item.get("vlan") is not None:
            raise ValueError(f"bridge {name}: vlan is only for a fake bridge, which needs parent too")
        now = self.bridges.get(name, OvsBridge(name, datapath_type="", fail_mode=""))
        other_config = _merged(now.other_config, item.get("other_config"), clear=True)
        bridge = replace(
            now,
            **_given(item, ("datapath_type", "fail_mode")),
            external_ids=_merged(now.external_ids, item.get("external_ids"), clear=True),
            other_config={**other_config, "hwaddr": item["mac"]} if item.get("mac") else other_config,
            error="",
        )
        bridge = self._with_set(bridge, item)
        return replace(bridge, mac=bridge.other_config.get("hwaddr", ""))

    # Fake bridges: ports with a VLAN that stand for a bridge

    def _fake_bridge(self, name: str | None) -> OvsPort | None:
        port = self.ports.get(name or "")
        return port if port is not None and port.fake_bridge else None

    def _wanted_fake_bridge(self, item: Item, now: OvsPort | None) -> OvsPort:
        name = item["bridge"]
        if name in self.bridges:
            raise ValueError(f"bridge {name}: is a real bridge, so it cannot have the parent {item['parent']}")
        wrong = list(_given(item, REAL_BRIDGE_OPTIONS))
        if wrong:
            raise ValueError(f"bridge {name}: a fake bridge has no {wrong[0]} of its own: set that of its parent")
        vlan = item["vlan"] if item.get("vlan") is not None else now.tag if now else None
        if vlan is None or not 0 <= vlan <= 4095:
            raise ValueError(f"bridge {name}: vlan {vlan}: a fake bridge needs one from 0 to 4095")
        start = now or OvsPort(name, item["parent"], "internal", fake_bridge=True)
        own = {key: value for key, value in start.port_external_ids.items() if key.startswith(FAKE_PREFIX)}
        others = {key: value for key, value in start.port_external_ids.items() if key not in own}
        given = item.get("external_ids")
        prefixed = None if given is None else {FAKE_PREFIX + key: value for key, value in given.items()}
        return replace(
            start,
            bridge=item.get("parent") or start.bridge,
            tag=vlan,
            port_external_ids={**others, **_merged(own, prefixed, clear=True)},
            error="",
        )

    def _ports_of_fake_bridge(self, fake: OvsPort) -> dict[str, OvsPort]:
        """The ports that are removed with a fake bridge, itself among them: those of its parent that have its VLAN."""
        ports = self.port_subsystem.read_named(None).objects
        return {name: port for name, port in ports.items() if (port.bridge, port.tag) == (fake.bridge, fake.tag)}

    def _with_set(self, record: Record, item: Item) -> Record:
        """``record`` with the option ``set``. Columns that the record has no field for are added to the request."""
        record, others = with_set(record, item.get("set"))
        self.wanted_columns.update({column.name: column for column in others})
        return record


def _present_port(name: str, now: OvsPort | None, bridge: str | None, fake: OvsPort | None) -> OvsPort:
    """The port as it is on the node, but on ``bridge``; a new port of a fake bridge has that one's VLAN."""
    if now is not None:
        return replace(now, bridge=bridge or now.bridge, error="")
    if bridge is None:
        raise ValueError(f"port {name}: bridge is missing")
    return OvsPort(name, bridge, tag=fake.tag if fake else None)


def _with_port_options(port: OvsPort, item: Item) -> OvsPort:
    """``port`` with all options of an ovs_port item that are fields of the record, except ``set``."""
    fields = _given(item, ("type", "tag", "vlan_mode", "mac", "mtu", "trunks"))
    if fields.get("type") == "system":
        fields["type"] = ""
    if "trunks" in fields:
        fields["trunks"] = tuple(sorted(fields["trunks"]))
    return replace(
        port,
        **fields,
        options=_merged(_merged(port.options, item.get("options")), _given(item, TUNNEL_OPTIONS)),
        external_ids=_merged(port.external_ids, item.get("interface_external_ids")),
        port_external_ids=_merged(port.port_external_ids, item.get("external_ids")),
    )


def _check_port(port: OvsPort) -> None:
    if port.tag is not None and not 0 <= port.tag <= 4095:
        raise ValueError(f"port {port.name}: tag {port.tag}: must be from 0 to 4095")
    wrong = [vlan for vlan in port.trunks if not 0 <= vlan <= 4095]
    if wrong:
        raise ValueError(f"port {port.name}: trunks {wrong[0]}: must be from 0 to 4095")
    if port.type == "patch" and not port.options.get("peer"):
        raise ValueError(f"port {port.name}: type patch needs peer, the port at the other end")
    if port.type in ("vxlan", "gre", "geneve") and not port.options.get("remote_ip"):
        raise ValueError(f"port {port.name}: type {port.type} needs remote_ip")


def _given(item: Item, keys: Iterable[str]) -> dict[str, Any]:
    """The options of ``keys`` that were given."""
    return {key: item[key] for key in keys if item.get(key) is not None}


def _merged(now: Mapping[str, str], given: Mapping[str, Any] | None, clear: bool = False) -> dict[str, str]:
    """``now`` with the keys of ``given``. Null removes a key; with ``clear``, an empty mapping removes all keys."""
    if clear and given is not None and not given:
        return {}
    merged = {**now, **(given or {})}
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in merged.items()
        if value is not None
    }

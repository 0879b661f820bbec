"""From what a module's user gave to what shall be: an option that was not given stays as it is on the node.

Used by library/ovs_bridge.py and library/ovs_port.py, whose options are those of the well-known openvswitch_bridge and
openvswitch_port; a node state says everything and needs none of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...node.ovs.bridges import OvsBridgeSubsystem
from ...node.ovs.ports import OvsPortSubsystem
from ...node.subsystem import Subsystem
from ...state.ovs import OvsBridge, OvsPort
from ...system.ovsdb import ENDPOINT
from .columns import OvsColumn, OvsColumnSubsystem, parse_set

Item = Mapping[str, Any]
Step = tuple[Subsystem[Any], dict[str, Any], dict[str, Any]]

FAKE_PREFIX = "fake-bridge-"  # how ovs-vsctl keeps a fake bridge's external_ids on the port that it is
ONLY_REAL = ("datapath_type", "fail_mode", "mac", "other_config")
TUNNEL_OPTIONS = ("peer", "local_ip", "remote_ip", "key", "in_key", "out_key")
# Columns that records have fields for: what `set` says of them goes in with everything else, in one transaction.
BRIDGE_FIELDS = {"datapath_type": "datapath_type", "fail_mode": "fail_mode"}
BRIDGE_MAPS = {"other_config": "other_config", "external_ids": "external_ids"}
INTERFACE_FIELDS = {"type": "type", "mac": "mac", "mtu_request": "mtu"}
INTERFACE_MAPS = {"options": "options", "external_ids": "external_ids"}
PORT_FIELDS = {"tag": "tag", "vlan_mode": "vlan_mode", "trunks": "trunks"}
PORT_MAPS = {"external_ids": "port_external_ids"}


class Node:
    """The node's bridges and ports as they are, and what the items want of them.

    :param names: ports to look at; all bridges are read anyway.
    """

    def __init__(self, names: Iterable[str], endpoint: str = ENDPOINT, seconds: float | None = None) -> None:
        settings = {"endpoint": endpoint, "seconds": seconds}
        self.bridge_subsystem = OvsBridgeSubsystem(exact=True, **settings)  # type: ignore[arg-type]
        self.port_subsystem = OvsPortSubsystem(exact=True, **settings)  # type: ignore[arg-type]
        self.column_subsystem = OvsColumnSubsystem(**settings)  # type: ignore[arg-type]
        self.bridges = dict(self.bridge_subsystem.read({}).objects)
        self.ports = dict(self.port_subsystem.read_named(frozenset(names)).objects)
        self.wanted_bridges: dict[str, OvsBridge] = {}
        self.wanted_ports: dict[str, OvsPort] = {}
        self.columns: dict[str, OvsColumn] = {}
        self.absent_bridges: dict[str, OvsBridge] = {}
        self.absent_ports: dict[str, OvsPort] = {}

    def steps(self) -> list[Step]:
        """What to hand to ``module.finish``."""
        return [
            (self.bridge_subsystem, self.wanted_bridges, self.absent_bridges),
            (self.port_subsystem, self.wanted_ports, self.absent_ports),
            (self.column_subsystem, self.columns, {}),
        ]

    # Bridges

    def bridge(self, item: Item) -> None:
        """Take in one item of ovs_bridge.

        :raises ValueError: the options do not fit together, or not what is on the node.
        """
        name = item["bridge"]
        port = self.ports.get(name)
        fake = port is not None and port.fake_bridge
        if item["state"] == "absent":
            self._remove_bridge(name, fake)
        elif fake or item.get("parent"):
            self._fake_bridge(item)
        else:
            self._real_bridge(item)

    def _remove_bridge(self, name: str, fake: bool) -> None:
        if not fake:
            if name in self.bridges:
                self.absent_bridges[name] = self.bridges[name]
            return
        # Its ports go with it, as with a real one: those of its parent that have its VLAN.
        it = self.ports[name]
        every = self.port_subsystem.read_named(None).objects
        self.absent_ports.update(
            {key: one for key, one in every.items() if one.bridge == it.bridge and one.tag == it.tag}
        )

    def _real_bridge(self, item: Item) -> None:
        name = item["bridge"]
        if item.get("vlan") is not None:
            raise ValueError(f"bridge {name}: vlan is only for a fake bridge, which needs parent too")
        now = replace(self.bridges.get(name, OvsBridge(name, datapath_type="", fail_mode="")), error="")
        fields, maps, port = self._assignments(item, name)
        config = {**({"hwaddr": item["mac"]} if item.get("mac") else {}), **maps["other_config"]}
        other_config = _merged(now.other_config, item.get("other_config"), config, clear=True)
        self.wanted_bridges[name] = replace(
            now,
            **{**_given(item, ("datapath_type", "fail_mode")), **fields},
            mac=other_config.get("hwaddr", ""),
            external_ids=_merged(now.external_ids, item.get("external_ids"), maps["external_ids"], clear=True),
            other_config=other_config,
        )
        if port:
            local = self.ports.get(name, OvsPort(name, name, "internal"))
            self.wanted_ports[name] = _with_assignments(replace(local, error=""), port)

    def _assignments(self, item: Item, name: str) -> tuple[dict[str, Any], dict[str, dict[str, str]], list[OvsColumn]]:
        """Of ``set``: fields of the bridge, keys of its maps, and what is about its local port."""
        fields: dict[str, Any] = {}
        maps: dict[str, dict[str, str]] = {column: {} for column in BRIDGE_MAPS}
        port = []
        for one in _given_set(item):
            table = _table(one)
            if one.record == name and table == "bridge" and one.column in BRIDGE_FIELDS and not one.key:
                fields[BRIDGE_FIELDS[one.column]] = one.value
            elif one.record == name and table == "bridge" and one.column in BRIDGE_MAPS and one.key:
                maps[one.column][one.key] = _plain(one.value)
            elif one.record == name and _is_port_field(one):
                port.append(one)
            else:
                self.columns[one.name] = one
        return fields, maps, port

    def _fake_bridge(self, item: Item) -> None:
        name = item["bridge"]
        if name in self.bridges:
            raise ValueError(f"bridge {name}: is a real bridge, so it cannot have the parent {item['parent']}")
        wrong = [key for key in ONLY_REAL if item.get(key) is not None]
        if wrong:
            raise ValueError(f"bridge {name}: a fake bridge has no {wrong[0]} of its own: set that of its parent")
        now = self.ports.get(name)
        parent = item.get("parent") or (now.bridge if now else "")
        vlan = item.get("vlan") if item.get("vlan") is not None else now.tag if now else None
        if vlan is None or not 0 <= vlan <= 4095:
            raise ValueError(f"bridge {name}: vlan {vlan}: a fake bridge needs one from 0 to 4095")
        start = replace(now, error="") if now else OvsPort(name, parent, "internal", fake_bridge=True)
        given = item.get("external_ids")
        keys = None if given is None else {FAKE_PREFIX + key: value for key, value in given.items()}
        own = {key: value for key, value in start.port_external_ids.items() if key.startswith(FAKE_PREFIX)}
        others = {key: value for key, value in start.port_external_ids.items() if key not in own}
        port = replace(
            start, bridge=parent, tag=vlan, port_external_ids={**others, **_merged(own, keys, {}, clear=True)}
        )
        self.wanted_ports[name] = self._with_set(port, item)

    # Ports

    def port(self, item: Item) -> None:
        """Take in one item of ovs_port.

        :raises ValueError: the options do not fit together.
        """
        name = item["port"]
        now = self.ports.get(name)
        home, vlan = self._home(item.get("bridge"))
        if item["state"] == "absent":
            # As ovs-vsctl del-port BRIDGE PORT: one that is on another bridge is not meant.
            if now is not None and (home is None or (now.bridge == home and vlan in (None, now.tag))):
                self.absent_ports[name] = now
            return
        bridge = home or (now.bridge if now else None)
        if bridge is None:
            raise ValueError(f"port {name}: bridge is missing")
        start = replace(now, bridge=bridge, error="") if now else OvsPort(name, bridge)
        kind = item.get("type")
        fields = _given(item, ("tag", "vlan_mode", "mac", "mtu"))
        if item.get("trunks") is not None:
            fields["trunks"] = tuple(sorted(item["trunks"]))
        if kind is not None:
            fields["type"] = "" if kind == "system" else kind
        if now is None and vlan is not None:
            fields.setdefault("tag", vlan)
        port = replace(start, **fields)
        direct = {key: item[key] for key in TUNNEL_OPTIONS if item.get(key) is not None}
        port = replace(
            port,
            options=_merged(port.options, item.get("options"), _strings(direct)),
            external_ids=_merged(port.external_ids, item.get("interface_external_ids"), {}),
            port_external_ids=_merged(port.port_external_ids, item.get("external_ids"), {}),
        )
        for key, value in _strings(item.get("other_config") or {}).items():
            column = OvsColumn("Port", name, "other_config", key, value)
            self.columns[column.name] = column
        port = self._with_set(port, item)
        _check(port)
        self.wanted_ports[name] = port

    def _home(self, bridge: str | None) -> tuple[str | None, int | None]:
        """The real bridge behind a name, and the VLAN if the name is a fake bridge's."""
        port = self.ports.get(bridge or "")
        return (port.bridge, port.tag) if port is not None and port.fake_bridge else (bridge, None)

    def _with_set(self, port: OvsPort, item: Item) -> OvsPort:
        own = []
        for one in _given_set(item):
            if one.record == port.name and _is_port_field(one):
                own.append(one)
            else:
                self.columns[one.name] = one
        return _with_assignments(port, own)


def _check(port: OvsPort) -> None:
    if port.tag is not None and not 0 <= port.tag <= 4095:
        raise ValueError(f"port {port.name}: tag {port.tag}: must be from 0 to 4095")
    wrong = [vlan for vlan in port.trunks if not 0 <= vlan <= 4095]
    if wrong:
        raise ValueError(f"port {port.name}: trunks {wrong[0]}: must be from 0 to 4095")
    if port.type == "patch" and not port.options.get("peer"):
        raise ValueError(f"port {port.name}: type patch needs peer, the port at the other end")
    if port.type in ("vxlan", "gre", "geneve") and not port.options.get("remote_ip"):
        raise ValueError(f"port {port.name}: type {port.type} needs remote_ip")


def _with_assignments(port: OvsPort, assignments: Sequence[OvsColumn]) -> OvsPort:
    for one in assignments:
        interface = _table(one) == "interface"
        maps = INTERFACE_MAPS if interface else PORT_MAPS
        if one.key:
            field = maps[one.column]
            changed: dict[str, Any] = {field: {**getattr(port, field), one.key: _plain(one.value)}}
            port = replace(port, **changed)
        else:
            field = (INTERFACE_FIELDS if interface else PORT_FIELDS)[one.column]
            port = replace(port, **{field: _field_value(one, field)})
    return port


def _field_value(one: OvsColumn, field: str) -> Any:
    value = _plain(one.value)
    try:
        if field == "trunks":
            return tuple(sorted(int(part) for part in value.strip("[]").split(",") if part.strip()))
        if field in ("tag", "mtu"):
            return int(value) if value.strip("[]") else None
    except ValueError as error:
        raise ValueError(f"set {one.name}={one.value}: must be a number") from error
    if field == "type":
        return "" if value == "system" else value
    return "" if value == "[]" else value


def _is_port_field(one: OvsColumn) -> bool:
    if _table(one) == "interface":
        return one.column in (INTERFACE_MAPS if one.key else INTERFACE_FIELDS)
    return _table(one) == "port" and one.column in (PORT_MAPS if one.key else PORT_FIELDS)


def _table(one: OvsColumn) -> str:
    """``interface``, ``port`` or ``bridge``, of which ovs-vsctl takes a beginning too; else as it is."""
    word = one.table.lower()
    full = [name for name in ("interface", "port", "bridge") if len(word) > 1 and name.startswith(word)]
    return full[0] if full else word


def _given_set(item: Item) -> list[OvsColumn]:
    given = item.get("set")
    texts = [] if given is None else [given] if isinstance(given, str) else given
    return [column for text in texts for column in parse_set(text)]


def _given(item: Item, keys: Iterable[str]) -> dict[str, Any]:
    return {key: item[key] for key in keys if item.get(key) is not None}


def _merged(
    now: Mapping[str, str], given: Mapping[str, Any] | None, more: Mapping[str, str], clear: bool = False
) -> dict[str, str]:
    """``now`` with the given keys; a key given as null goes; with ``clear`` an empty ``given`` takes all away."""
    if clear and given is not None and not given:
        return dict(more)
    gone = {key for key, value in (given or {}).items() if value is None}
    return {key: value for key, value in {**now, **_strings(given or {}), **more}.items() if key not in gone}


def _strings(given: Mapping[str, Any]) -> dict[str, str]:
    return {
        str(key): str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in given.items()
        if value is not None
    }


def _plain(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value

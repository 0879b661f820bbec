"""The records of Open vSwitch bridges and ports, and how they stand in OVSDB's rows (both directions, pure).

Reading, comparing and changing live in ``ovs.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .ovsdb import from_map, from_set, optional, to_map, to_set

MARK = "headworks"  # external_ids key of what is ours; its value is the cloud's name
NIC_MARK = "headworks-nic"  # external_ids key of ports that underlay.py looks after
NOT_TAKEN_UP = "ovs-vswitchd has given it no port number yet"

BRIDGE_COLUMNS = ("_uuid", "name", "datapath_type", "fail_mode", "other_config", "external_ids", "ports")
PORT_COLUMNS = ("_uuid", "name", "interfaces", "tag", "trunks", "vlan_mode", "external_ids", "fake_bridge")
INTERFACE_COLUMNS = (
    "_uuid", "name", "type", "options", "external_ids", "mtu_request", "mac", "error", "ofport"
)  # fmt: skip

Row = Mapping[str, Any]


@dataclass(frozen=True)
class OvsBridge:
    """A row of table Bridge. Only the named columns are compared; other keys of maps are left alone.

    ``mac`` fixes the bridge's own MAC (other_config:hwaddr). "" in ``datapath_type``, ``fail_mode`` or ``mac`` =
    leave. ``error`` is what ovs-vswitchd complains about; never desired.
    """

    name: str
    datapath_type: str = "system"
    fail_mode: str = "secure"
    mac: str = ""
    external_ids: Mapping[str, str] = field(default_factory=dict)
    other_config: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class OvsPort:
    """A Port row with its one Interface.

    ``type``: "" (a system device that exists), ``internal``, ``patch``, ``vxlan``, ``gre``, ``geneve``. ``tag`` is the
    access VLAN (None: none), ``trunks`` the VLANs of a trunk. ``options`` are the Interface's (peer, local_ip,
    remote_ip, in_key, out_key, df_default). ``external_ids`` go to the *Interface* (iface-id, attached-mac,
    vm-uuid), as Neutron and libvirt write them; ``port_external_ids`` to the Port row. ``mac``: of an internal port
    ("" = leave).
    ``fake_bridge``: the port is a fake bridge (ovs-vsctl's word) on VLAN ``tag``. ``error`` is what ovs-vswitchd
    complains about; never desired.
    """

    name: str
    bridge: str
    type: str = ""
    tag: int | None = None
    vlan_mode: str = ""
    trunks: tuple[int, ...] = ()
    mac: str = ""
    mtu: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)
    port_external_ids: Mapping[str, str] = field(default_factory=dict)
    fake_bridge: bool = False
    error: str = ""


# Rows → records


def bridge_of(row: Row, local: Row | None) -> OvsBridge:
    """The record of a Bridge row; ``local`` is the Interface row of the same name, which shows the bridge's errors."""
    other_config = from_map(row["other_config"])
    return OvsBridge(
        name=row["name"],
        datapath_type=row["datapath_type"] or "system",
        fail_mode=optional(row["fail_mode"], ""),
        mac=other_config.get("hwaddr", ""),
        external_ids=from_map(row["external_ids"]),
        other_config=other_config,
        error=trouble(local) if local else "",
    )


def port_of(row: Row, bridge: str, interface: Row | None) -> OvsPort:
    """The record of a Port row; ``interface`` is None for a bond, whose interfaces have other names."""
    one: Row = interface or {}
    kind = one.get("type", "")
    return OvsPort(
        name=row["name"],
        bridge=bridge,
        type="" if kind == "system" else kind,
        tag=optional(row["tag"], None),
        vlan_mode=optional(row["vlan_mode"], ""),
        trunks=tuple(sorted(from_set(row["trunks"]))),
        mac=optional(one["mac"], "") if one else "",
        mtu=optional(one["mtu_request"], None) if one else None,
        options=from_map(one["options"]) if one else {},
        external_ids=from_map(one["external_ids"]) if one else {},
        port_external_ids=from_map(row["external_ids"]),
        fake_bridge=row["fake_bridge"],
        error=trouble(one) if one else "",
    )


def trouble(interface: Row) -> str:
    """What ovs-vswitchd says against an interface, "" when it serves it."""
    number = optional(interface["ofport"], None)
    if number is not None and number > 0:
        return ""
    return str(optional(interface["error"], "")) or ("no port number" if number == -1 else NOT_TAKEN_UP)


# Records → rows and mutations


def bridge_columns(bridge: OvsBridge) -> dict[str, Any]:
    """Plain columns of the Bridge row that the record decides; what it leaves is not in it."""
    columns: dict[str, Any] = {}
    if bridge.datapath_type:
        columns["datapath_type"] = bridge.datapath_type
    if bridge.fail_mode:
        columns["fail_mode"] = bridge.fail_mode
    return columns


def bridge_config(bridge: OvsBridge) -> dict[str, str]:
    """other_config with the bridge's own MAC in it."""
    return {**bridge.other_config, "hwaddr": bridge.mac} if bridge.mac else dict(bridge.other_config)


def port_columns(port: OvsPort) -> dict[str, Any]:
    """Plain columns of the Port row."""
    return {
        "tag": to_set([] if port.tag is None else [port.tag]),
        "vlan_mode": to_set([port.vlan_mode] if port.vlan_mode else []),
        "trunks": to_set(port.trunks),
        "fake_bridge": port.fake_bridge,
    }


def interface_columns(port: OvsPort) -> dict[str, Any]:
    """Plain columns of the Interface row; ``options`` is one of them, since all of its keys are the port's owner's."""
    return {
        "type": port.type,
        "options": to_map(port.options),
        "mtu_request": to_set([] if port.mtu is None else [port.mtu]),
        "mac": to_set([port.mac] if port.mac else []),
    }


def changed_columns(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Those columns of ``after`` that are not the same in ``before``."""
    return {name: value for name, value in after.items() if before.get(name) != value}


def map_mutations(column: str, before: Mapping[str, str], after: Mapping[str, str]) -> list[list[Any]]:
    """The mutations that turn the keys of ``before`` into those of ``after``; all other keys of the row stay."""
    gone = [key for key in before if after.get(key) != before[key]]
    fresh = {key: value for key, value in after.items() if before.get(key) != value}
    mutations: list[list[Any]] = []
    if gone or fresh:  # "insert" does not replace the value of a key that is there
        mutations.append([column, "delete", to_set(list(dict.fromkeys([*gone, *fresh])))])
    if fresh:
        mutations.append([column, "insert", to_map(fresh)])
    return mutations

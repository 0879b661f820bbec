"""The records of Open vSwitch bridges and ports as rows of OVSDB, and back. Pure.

What does not belong here: reading, comparing and changing rows (``bridges.py``, ``ports.py``, ``batch.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...state.ovs import OvsBridge, OvsPort
from ...system.ovsdb import from_map, from_set, optional, to_map, to_set

NOT_TAKEN_UP = "ovs-vswitchd has given it no port number yet"

BRIDGE_COLUMNS = ("_uuid", "name", "datapath_type", "fail_mode", "other_config", "external_ids", "ports")
PORT_COLUMNS = ("_uuid", "name", "interfaces", "tag", "trunks", "vlan_mode", "external_ids", "fake_bridge")
INTERFACE_COLUMNS = (
    "_uuid", "name", "type", "options", "external_ids", "mtu_request", "mac", "error", "ofport"
)  # fmt: skip

Row = Mapping[str, Any]


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



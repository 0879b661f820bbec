"""Convert records of Open vSwitch bridges and ports to rows of OVSDB, and rows to records. Pure.

What does not belong here: reading, comparing and changing rows (``bridges.py``, ``ports.py``, ``batch.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...state.ovs import OvsBridge, OvsPort
from ...system.ovsdb import from_map, from_set, optional, to_map, to_set

NOT_TAKEN_UP = "ovs-vswitchd has given it no port number yet"

BRIDGE_COLUMNS = (
    "_uuid", "name", "datapath_id", "datapath_type", "fail_mode", "other_config", "external_ids", "ports"
)  # fmt: skip
PORT_COLUMNS = ("_uuid", "name", "interfaces", "tag", "trunks", "vlan_mode", "external_ids", "fake_bridge")
INTERFACE_COLUMNS = (
    "_uuid", "name", "type", "options", "external_ids", "mtu_request", "mac", "error", "ofport"
)  # fmt: skip

Row = Mapping[str, Any]


# Rows → records


def bridge_of(row: Row, local: Row | None) -> OvsBridge:
    """Return the record of a Bridge row. ``local`` is the Interface row of the same name, which has the bridge's
    error."""
    other_config = from_map(row["other_config"])
    return OvsBridge(
        name=row["name"],
        datapath_type=row["datapath_type"] or "system",
        fail_mode=optional(row["fail_mode"], ""),
        mac=other_config.get("hwaddr", ""),
        external_ids=from_map(row["external_ids"]),
        other_config=other_config,
        error=trouble(local, unserved(row)) if local else "",
    )


def port_of(row: Row, bridge: str, interface: Row | None, bridge_error: str = "") -> OvsPort:
    """Return the record of a Port row. ``interface`` is None for a bond, whose interfaces have other names.
    ``bridge_error`` is why ovs-vswitchd does not serve the bridge, if it does not."""
    kind = interface["type"] if interface else ""
    return OvsPort(
        name=row["name"],
        bridge=bridge,
        type="" if kind == "system" else kind,
        tag=optional(row["tag"], None),
        vlan_mode=optional(row["vlan_mode"], ""),
        trunks=tuple(sorted(from_set(row["trunks"]))),
        mac=optional(interface["mac"], "") if interface else "",
        mtu=optional(interface["mtu_request"], None) if interface else None,
        options=from_map(interface["options"]) if interface else {},
        external_ids=from_map(interface["external_ids"]) if interface else {},
        port_external_ids=from_map(row["external_ids"]),
        fake_bridge=row["fake_bridge"],
        error=trouble(interface, bridge_error) if interface else "",
    )


def unserved(bridge: Row) -> str:
    """Return why ovs-vswitchd does not serve a bridge; "" if it does. It then has given the bridge a datapath id."""
    if from_set(bridge["datapath_id"]):
        return ""
    kind = bridge["datapath_type"] or "system"
    text = f"ovs-vswitchd does not serve bridge {bridge['name']} of datapath_type {kind}"
    if kind == "system":
        return f"{text}: the kernel module openvswitch is missing (modprobe openvswitch), or set datapath_type netdev"
    return f"{text}: see the log of ovs-vswitchd"


def trouble(interface: Row, bridge_error: str = "") -> str:
    """Return ovs-vswitchd's error about an interface, or else ``bridge_error``; "" if the interface has an OpenFlow
    port number."""
    number = optional(interface["ofport"], None)
    if number is not None and number > 0:
        return ""
    return str(optional(interface["error"], "")) or bridge_error or ("no port number" if number == -1 else NOT_TAKEN_UP)


# Records → rows and mutations


def bridge_columns(bridge: OvsBridge) -> dict[str, Any]:
    """Return the plain columns of the Bridge row, without those that the record leaves open."""
    columns: dict[str, Any] = {}
    if bridge.datapath_type:
        columns["datapath_type"] = bridge.datapath_type
    if bridge.fail_mode:
        columns["fail_mode"] = bridge.fail_mode
    return columns


def bridge_config(bridge: OvsBridge) -> dict[str, str]:
    """Return other_config, with the bridge's MAC as ``hwaddr`` if the record sets it."""
    return {**bridge.other_config, "hwaddr": bridge.mac} if bridge.mac else dict(bridge.other_config)


def port_columns(port: OvsPort) -> dict[str, Any]:
    """Return the plain columns of the Port row."""
    return {
        "tag": to_set([] if port.tag is None else [port.tag]),
        "vlan_mode": to_set([port.vlan_mode] if port.vlan_mode else []),
        "trunks": to_set(port.trunks),
        "fake_bridge": port.fake_bridge,
    }


def interface_columns(port: OvsPort) -> dict[str, Any]:
    """Return the plain columns of the Interface row. ``options`` is among them: the record decides all of its keys."""
    return {
        "type": port.type,
        "options": to_map(port.options),
        "mtu_request": to_set([] if port.mtu is None else [port.mtu]),
        "mac": to_set([port.mac] if port.mac else []),
    }


def changed_columns(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of ``after`` that ``before`` lacks or has with another value."""
    return {name: value for name, value in after.items() if before.get(name) != value}

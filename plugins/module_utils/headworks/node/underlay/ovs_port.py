"""Plugging a NIC into an Open vSwitch bridge and taking it out again: rows of OVSDB, nothing else.

What does not belong here: the addresses that the NIC had (``carry.py``), and the order of the steps (``nics.py``).
"""

from __future__ import annotations

from typing import Any

from ...state.underlay import NicAttachment
from ...system import rtnl
from ...system.ovsdb import Operation, Ovsdb, by_uuid, from_map, from_set, optional, present, select, to_map, to_set
from ..marks import MARK, NIC_MARK


def port_rows(database: Ovsdb) -> dict[str, dict[str, Any]]:
    """Port rows by name: ``uuid``, ``marks`` (external_ids), ``bridge``, ``bridge_uuid``, ``datapath_type``."""
    bridges, ports = database.select(
        [
            select("Bridge", ["_uuid", "name", "ports", "datapath_type"]),
            select("Port", ["_uuid", "name", "external_ids"]),
        ]
    )
    home = {uuid: bridge for bridge in bridges for uuid in from_set(bridge["ports"])}
    found = {}
    for row in ports:
        bridge = home.get(row["_uuid"][1])
        if bridge is not None and bridge["name"] != row["name"]:
            found[row["name"]] = {
                "uuid": row["_uuid"][1],
                "marks": from_map(row["external_ids"]),
                "bridge": bridge["name"],
                "bridge_uuid": bridge["_uuid"][1],
                "datapath_type": optional(bridge["datapath_type"], "") or "system",
            }
    return found


def set_mac(one: NicAttachment) -> None:
    """The bridge gets the NIC's MAC, first of all: Open vSwitch takes a device down to change it, and the kernel drops
    IPv6 addresses and routes of what is down."""
    mac = rtnl.links([one.name])[one.name].mac
    with Ovsdb() as database:
        database.commit([_hwaddr(_bridge(database, one), mac)])


def plug(one: NicAttachment, owner: str | None) -> bool:
    """The NIC becomes a port; returns whether it was none."""
    with Ovsdb() as database:
        row = port_rows(database).get(one.name)
        if row is None:
            database.commit(_new_port(one, _bridge(database, one), owner))
        return row is None


def _bridge(database: Ovsdb, one: NicAttachment) -> str:
    """The bridge's row."""
    (found,) = database.select([select("Bridge", ["_uuid"], [["name", "==", one.bridge]])])
    if not found:
        raise ValueError(f"{one.name}: there is no bridge {one.bridge}")
    return str(found[0]["_uuid"][1])


def _new_port(one: NicAttachment, bridge: str, owner: str | None) -> list[Operation]:
    marks = {NIC_MARK: one.name, MARK: owner} if owner else {}
    port = {"name": one.name, "interfaces": ["named-uuid", "i0"], "external_ids": to_map(marks)}
    return [
        {"op": "insert", "table": "Interface", "uuid-name": "i0", "row": {"name": one.name}},
        {"op": "insert", "table": "Port", "uuid-name": "p0", "row": port},
        _mutate(bridge, [["ports", "insert", to_set([["named-uuid", "p0"]])]]),
    ]


def unplug(one: NicAttachment) -> None:
    if not present():
        return
    with Ovsdb() as database:
        row = port_rows(database).get(one.name)
        if row is not None and row["bridge"] == one.bridge:
            gone = [["ports", "delete", to_set([["uuid", row["uuid"]]])]]
            database.commit([_mutate(row["bridge_uuid"], gone), _hwaddr(row["bridge_uuid"], "")])


def _hwaddr(bridge: str, mac: str) -> Operation:
    mutations = [["other_config", "delete", to_set(["hwaddr"])]]
    if mac:
        mutations.append(["other_config", "insert", to_map({"hwaddr": mac})])
    return _mutate(bridge, mutations)


def _mutate(bridge: str, mutations: list[Any]) -> Operation:
    return {"op": "mutate", "table": "Bridge", "where": by_uuid(bridge), "mutations": mutations}

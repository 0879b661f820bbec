"""NICs as ports of Open vSwitch bridges: this file reads and writes rows of OVSDB.

What does not belong here: the addresses of the NIC (``carry.py``), and the order of the steps (``mover.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...system import rtnl
from ...system.ovsdb import Operation, Ovsdb, by_uuid, from_map, from_set, optional, present, select, to_map, to_set
from ...system.process import tool_path
from ..marks import MARK, NIC_MARK
from .plug import Plugged


class OvsPlug:
    """Bridges of Open vSwitch. Our ports have external_ids ``headworks=<cloud>`` and ``headworks-nic=<NIC>``."""

    def plugged_nics(self) -> Mapping[str, Plugged]:
        """Return all ports of all bridges, except the ports of the bridges' own devices."""
        if not present():
            return {}
        with Ovsdb() as database:
            rows = _port_rows(database)
        return {name: _plugged(row) for name, row in rows.items()}

    def set_mac(self, nic: str, bridge: str) -> None:
        """Give the bridge the NIC's MAC. This must happen before the addresses move: Open vSwitch takes the device down
        to change its MAC, and the kernel then removes IPv6 addresses and routes."""
        mac = rtnl.links([nic])[nic].mac
        with Ovsdb() as database:
            database.commit([_hwaddr(_bridge(database, nic, bridge), mac)])

    def plug(self, nic: str, bridge: str, owner: str | None) -> bool:
        """Insert the port. An existing port of the NIC stays as it is."""
        with Ovsdb() as database:
            row = _port_rows(database).get(nic)
            if row is None:
                database.commit(_new_port(nic, _bridge(database, nic, bridge), owner))
            return row is None

    def unplug(self, nic: str, bridge: str) -> None:
        """Delete the port. A port of another bridge stays."""
        if not present():
            return
        with Ovsdb() as database:
            row = _port_rows(database).get(nic)
            if row is not None and row["bridge"] == bridge:
                deletion = [["ports", "delete", to_set([["uuid", row["uuid"]]])]]
                database.commit([_mutate(row["bridge_uuid"], deletion), _hwaddr(row["bridge_uuid"], "")])

    def unplug_command(self, nic: str, bridge: str) -> list[str]:
        """Return the command with which ``ovs-vsctl`` deletes the port."""
        vsctl = tool_path("ovs-vsctl") or "/usr/bin/ovs-vsctl"
        return [vsctl, "--timeout=10", "--no-wait", "--if-exists", "del-port", bridge, nic]


def _plugged(row: Mapping[str, Any]) -> Plugged:
    owner = row["marks"].get(MARK) if NIC_MARK in row["marks"] else None
    return Plugged(row["bridge"], row["datapath_type"], owner)


def _port_rows(database: Ovsdb) -> dict[str, dict[str, Any]]:
    """Return the Port rows by name: ``uuid``, ``marks`` (external_ids), ``bridge``, ``bridge_uuid``,
    ``datapath_type``."""
    bridges, ports = database.select(
        [
            select("Bridge", ["_uuid", "name", "ports", "datapath_type"]),
            select("Port", ["_uuid", "name", "external_ids"]),
        ]
    )
    bridge_of = {uuid: bridge for bridge in bridges for uuid in from_set(bridge["ports"])}
    rows = {}
    for row in ports:
        bridge = bridge_of.get(row["_uuid"][1])
        if bridge is not None and bridge["name"] != row["name"]:
            rows[row["name"]] = {
                "uuid": row["_uuid"][1],
                "marks": from_map(row["external_ids"]),
                "bridge": bridge["name"],
                "bridge_uuid": bridge["_uuid"][1],
                "datapath_type": optional(bridge["datapath_type"], "") or "system",
            }
    return rows


def _bridge(database: Ovsdb, nic: str, bridge: str) -> str:
    """Return the uuid of the bridge's row.

    :raises ValueError: the bridge does not exist.
    """
    (rows,) = database.select([select("Bridge", ["_uuid"], [["name", "==", bridge]])])
    if not rows:
        raise ValueError(f"nic {nic}: bridge {bridge} does not exist")
    return str(rows[0]["_uuid"][1])


def _new_port(nic: str, bridge: str, owner: str | None) -> list[Operation]:
    marks = {NIC_MARK: nic, MARK: owner} if owner else {}
    port = {"name": nic, "interfaces": ["named-uuid", "i0"], "external_ids": to_map(marks)}
    return [
        {"op": "insert", "table": "Interface", "uuid-name": "i0", "row": {"name": nic}},
        {"op": "insert", "table": "Port", "uuid-name": "p0", "row": port},
        _mutate(bridge, [["ports", "insert", to_set([["named-uuid", "p0"]])]]),
    ]


def _hwaddr(bridge: str, mac: str) -> Operation:
    mutations = [["other_config", "delete", to_set(["hwaddr"])]]
    if mac:
        mutations.append(["other_config", "insert", to_map({"hwaddr": mac})])
    return _mutate(bridge, mutations)


def _mutate(bridge: str, mutations: list[Any]) -> Operation:
    return {"op": "mutate", "table": "Bridge", "where": by_uuid(bridge), "mutations": mutations}

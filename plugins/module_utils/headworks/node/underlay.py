"""Physical NICs in bridges: the NIC becomes a port and its addresses and routes move to the bridge in one step.

The OVS bridge itself is a row in ``ovs.py``; this file is about not cutting the node off while a NIC goes in. How
addresses are carried over is in ``underlay_move.py`` and their DHCP client in ``underlay_dhcp.py``, the way back that
runs by itself in ``underlay_guard.py``, and what a userspace datapath needs of its NIC in ``underlay_userspace.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import rtnl
from .ip_batch import ip_batch
from .ovs_rows import MARK, NIC_MARK
from .ovsdb import Operation, Ovsdb, by_uuid, from_map, from_set, optional, present, select, to_map, to_set
from .subsystem import Change, Reading, Subsystem
from .underlay_dhcp import clients, move_clients
from .underlay_guard import ARMED, arm, is_management
from .underlay_move import Carried, forget, gather, recall, remember, to_finish, to_first
from .underlay_userspace import quiet, quieten, unquieten

_NAME = re.compile(r"[^\s/:]{1,15}")


@dataclass(frozen=True)
class NicAttachment:
    """NIC ``name`` is a port of OVS bridge ``bridge``; whatever IPv4/IPv6 addresses and routes it had are on the
    bridge's internal device of the same name as the bridge, which has the NIC's MAC.

    ``unsettled`` is what is not so yet, in words: only ever set in what is read.
    """

    name: str
    bridge: str
    datapath_type: str = "system"
    unsettled: str = ""

    def __post_init__(self) -> None:
        """Names go on command lines.

        :raises ValueError: a name the kernel would not take.
        """
        for name in (self.name, self.bridge):
            if not _NAME.fullmatch(name):
                raise ValueError(f"NIC {self.name!r} in bridge {self.bridge!r}: {name!r} is no link name")


class UnderlaySubsystem(Subsystem[NicAttachment]):
    """NICs as ports. Ours are Port rows with external_ids ``headworks=<cloud>`` and ``headworks-nic=<NIC>``."""

    kind = "nic"
    record = NicAttachment

    def __init__(self, owner: str | None = None) -> None:
        super().__init__(owner)
        self.notes: list[str] = []

    def read(self, desired: Mapping[str, NicAttachment], scope: frozenset[str] | None = None) -> Reading[NicAttachment]:
        """NICs that are ports.

        :raises ValueError: a desired NIC is not there.
        """
        links = rtnl.links()
        missing = sorted(set(desired) - set(links))
        if missing:
            raise ValueError(f"{', '.join(missing)}: no such interface on this node")
        if not present():
            return Reading()
        with Ovsdb() as database:
            rows = _rows(database)
        objects, owned = {}, set()
        for name, row in rows.items():
            ours = self.owner is not None and row["marks"].get(MARK) == self.owner and NIC_MARK in row["marks"]
            if not (ours or name in desired) or (scope is not None and name not in scope):
                continue
            datapath = row["datapath_type"]
            unsettled = _unsettled(links, name, row["bridge"], datapath) if name in desired else ""
            objects[name] = NicAttachment(name, row["bridge"], datapath, unsettled)
            if ours:
                owned.add(name)
        return Reading(objects, frozenset(owned))

    def diff(self, desired: Mapping[str, NicAttachment], actual: Reading[NicAttachment]) -> list[Change[NicAttachment]]:
        """As everywhere; a NIC that somebody else put into another bridge is an error.

        :raises ValueError: naming both.
        """
        for name, one in desired.items():
            there = actual.objects.get(name)
            if there is not None and there.bridge != one.bridge and name not in actual.owned:
                raise ValueError(f"{name} is a port of bridge {there.bridge}: take it out there, or map that bridge")
        return super().diff(desired, actual)

    def same(self, desired: NicAttachment, actual: NicAttachment) -> bool:
        """In the right bridge, and nothing left undone."""
        return desired.bridge == actual.bridge and not actual.unsettled

    def apply(self, changes: Sequence[Change[NicAttachment]]) -> None:
        """One NIC after the other; one that fails is put back as it was."""
        for change in changes:
            if change.before is not None and (change.after is None or change.after.bridge != change.before.bridge):
                self._detach(change.before)
            if change.after is not None:
                self._attach(change.after)

    def _attach(self, one: NicAttachment) -> None:
        """Addresses are on NIC and bridge for the moment in which the port changes hands, so that nothing is lost."""
        carried = gather(one.name)
        if carried.addresses:
            remember(one.name, carried)
        else:
            carried = recall(one.name) or gather(one.bridge)
        if is_management(carried):
            arm(one.name, one.bridge, carried)
            self.notes.append(f"nic {one.name}: {ARMED}; it runs by itself unless the move is confirmed")
        plugged = False
        try:
            _set_mac(one)
            ip_batch(to_first(carried, one.bridge, also_up=one.name))
            plugged = _plug(one, self.owner)
            ip_batch(to_finish(carried, one.name, one.bridge))
            if one.datapath_type == "netdev":
                quieten(one.name)
            self.notes += move_clients(one.name, one.bridge)
        except Exception:
            _put_back(one, carried, plugged)
            raise

    def _detach(self, one: NicAttachment) -> None:
        there = set(rtnl.links([one.name, one.bridge]))
        carried = gather(one.bridge) if one.bridge in there else Carried()
        if not carried.addresses:
            carried = recall(one.name) or carried
        if one.name in there:
            unquieten(one.name)
            ip_batch(to_first(carried, one.name))
        _unplug(one)
        if one.name in there:
            ip_batch(to_finish(carried, one.bridge if one.bridge in there else "", one.name))
            self.notes += move_clients(one.bridge, one.name)
        forget(one.name)


def _put_back(one: NicAttachment, carried: Carried, plugged: bool) -> None:
    """What a failed attachment had begun is undone."""
    ip_batch(to_first(carried, one.name), force=True)
    unquieten(one.name)
    if plugged:
        _unplug(one)
    ip_batch(to_finish(carried, one.bridge if rtnl.links([one.bridge]) else "", one.name), force=True)
    move_clients(one.bridge, one.name)


def _unsettled(links: Mapping[str, rtnl.LinkInfo], nic: str, bridge: str, datapath: str) -> str:
    """What is still to do for a NIC that is a port; "" = nothing."""
    there = links.get(bridge)
    if there is None:
        return f"there is no device {bridge}"
    wanted = recall(nic)
    if gather(nic).addresses:
        return f"addresses are still on {nic}"
    on_bridge = {address for index, address in rtnl.addresses(also_dynamic=True) if index == there.index}
    if wanted and not {one.text for one in wanted.addresses} <= on_bridge:
        return f"addresses are missing on {bridge}"
    if there.mac != links[nic].mac:
        return f"{bridge} has not the MAC of {nic}"
    if not (there.up and links[nic].up):
        return f"{bridge} or {nic} is down"
    if clients(nic):
        return f"a DHCP client still looks after {nic}"
    if datapath == "netdev" and not quiet(nic):
        return f"the kernel still answers on {nic}"
    return ""


# OVSDB


def _rows(database: Ovsdb) -> dict[str, dict[str, Any]]:
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


def _set_mac(one: NicAttachment) -> None:
    """The bridge gets the NIC's MAC, first of all: Open vSwitch takes a device down to change it, and the kernel drops
    IPv6 addresses and routes of what is down."""
    mac = rtnl.links([one.name])[one.name].mac
    with Ovsdb() as database:
        database.commit([_hwaddr(_bridge(database, one), mac)])


def _plug(one: NicAttachment, owner: str | None) -> bool:
    """The NIC becomes a port; returns whether it was none."""
    with Ovsdb() as database:
        row = _rows(database).get(one.name)
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


def _unplug(one: NicAttachment) -> None:
    if not present():
        return
    with Ovsdb() as database:
        row = _rows(database).get(one.name)
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

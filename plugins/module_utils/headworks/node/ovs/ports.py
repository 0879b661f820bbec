"""Open vSwitch ports: rows of OVSDB, changed in one transaction.

What the rows look like is in ``rows.py``; the operations of one transaction are in ``batch.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from ...state.ovs import OvsPort
from ...system.ovsdb import Ovsdb, from_set, present
from ..marks import NIC_MARK
from ..subsystem import Applied, Cause, Change, Reading, Scope, Undone
from .batch import PortBatch, read_ports
from .rows import port_of
from .shared import OvsSubsystem


class OvsPortSubsystem(OvsSubsystem):
    """Ports. All changes of a node are one transaction; a changed port is changed in place, never made anew.

    The one exception is a port whose device was made anew under it: ovs-vswitchd does not always notice, and its
    userspace datapath then holds on to the device that is gone, without any error. Such a port is taken out and put
    back.
    """

    kind: ClassVar[str] = "ovs_port"
    record: ClassVar[type] = OvsPort

    def read(self, desired: Mapping[str, OvsPort], scope: Scope | None = None) -> Reading[OvsPort]:
        """All ports, or only the named ones when nothing can be ours (no owner) or only ``scope`` matters."""
        if scope is not None:
            return self.read_named(frozenset(scope))
        return self.read_named(frozenset(desired) if self.owner is None else None)

    def undone_by(
        self, earlier: Sequence[Change[Any]], desired: Mapping[str, OvsPort], actual: Reading[OvsPort]
    ) -> Undone:
        """Ports that work, but whose links are recreated (a veth whose other end was not where it should be)."""
        links = {change.name for change in earlier if change.kind == "link" and _is_new(change)}
        served = [name for name in links & actual.owned if not actual.objects[name].error]
        return Undone(dict.fromkeys(served, Cause.DEVICE_RECREATED), read_again=bool(served))

    def read_named(self, names: frozenset[str] | None) -> Reading[OvsPort]:
        """The ports of these names (None: all), wherever they are; perhaps some more."""
        if not present(self.endpoint):
            return Reading()
        with Ovsdb(self.endpoint) as database:
            bridges, ports, interfaces = read_ports(database, names)
        home = {uuid: row["name"] for row in bridges for uuid in from_set(row["ports"])}
        by_name = {row["name"]: row for row in interfaces}
        objects, owned = {}, set()
        for row in ports:
            name, bridge = row["name"], home.get(row["_uuid"][1])
            if bridge is None:
                continue
            one = port_of(row, bridge, by_name.get(name))
            objects[name] = one
            nic = NIC_MARK in one.port_external_ids or NIC_MARK in one.external_ids
            if self.is_ours(one.port_external_ids) and not nic:
                owned.add(name)
        return Reading(objects, frozenset(owned))

    def comparable(self, actual: OvsPort, wanted: OvsPort) -> OvsPort:
        """Only the wanted keys of the external_ids; ``mac`` only when it is wanted."""
        return replace(
            actual,
            mac=actual.mac if wanted.mac else "",
            external_ids=self.only(actual.external_ids, wanted.external_ids),
            port_external_ids=self.only(actual.port_external_ids, wanted.port_external_ids),
        )

    def same(self, desired: OvsPort, actual: OvsPort) -> bool:
        """Equal, whatever the order of trunks and the case of the MAC; a port in error is never what is desired."""
        return desired == actual or _plain(desired) == _plain(actual)

    def apply(self, changes: Sequence[Change[OvsPort]]) -> Applied:
        """All in one transaction, then wait for ovs-vswitchd.

        A port that was only in error leads to an empty transaction: it makes ovs-vswitchd try again, for the device
        may be there by now.

        :raises OvsdbError: a bridge does not exist.
        """
        recreated = [change for change in changes if change.cause is Cause.DEVICE_RECREATED]
        changes = self._unplug(recreated) + [change for change in changes if change not in recreated]
        with Ovsdb(self.endpoint) as database:
            names = frozenset(change.name for change in changes)
            bridges, ports, interfaces = read_ports(database, names, ("_uuid", "name"), ("_uuid", "name"))
            batch = PortBatch(bridges, ports, interfaces, self.mark())
            for number, change in enumerate(changes):
                if change.after is None:
                    batch.remove(change.name)
                else:
                    batch.put(number, change.before, change.after)
            database.commit(batch.all(), self.seconds, len(changes))
        return Applied()

    def _unplug(self, changes: Sequence[Change[OvsPort]]) -> list[Change[OvsPort]]:
        """Take these ports out of their bridges. Returns the additions that put them back, with the keys that others
        wrote on them."""
        names = frozenset(change.name for change in changes)
        if not names:
            return []
        found = self.read_named(names).objects
        with Ovsdb(self.endpoint) as database:
            rows = read_ports(database, names, ("_uuid", "name"), ("_uuid", "name"))
            batch = PortBatch(*rows, self.mark())
            for name in sorted(names):
                batch.remove(name)
            database.commit(batch.all(), self.seconds, len(names))
        return [
            replace(change, before=None, after=_with_keys_of(found[change.name], change.after))
            for change in changes
            if change.after and change.name in found
        ]


def _is_new(change: Change[Any]) -> bool:
    """Whether a link is another than the one that was there (its MTU or being up is not what makes it one)."""
    if change.after is None or change.before is None:
        return change.after is not None
    return any(getattr(change.before, key) != getattr(change.after, key) for key in ("kind", "peer", "peer_netns"))


def _with_keys_of(found: OvsPort, wanted: OvsPort) -> OvsPort:
    return replace(
        wanted,
        external_ids={**found.external_ids, **wanted.external_ids},
        port_external_ids={**found.port_external_ids, **wanted.port_external_ids},
    )


def _plain(port: OvsPort) -> OvsPort:
    return replace(port, trunks=tuple(sorted(port.trunks)), mac=port.mac.lower())

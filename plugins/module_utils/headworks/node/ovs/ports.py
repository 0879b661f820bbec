"""The subsystem for Open vSwitch ports: it reads the rows of OVSDB and changes them in one transaction.

What does not belong here: the columns of rows (``rows.py``), and the operations of a transaction (``batch.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from ...state.ovs import OvsPort
from ...system.ovsdb import Operation, Ovsdb, from_set, present, readable
from ..marks import NIC_MARK
from ..one_by_one import apply_isolated
from ..subsystem import Applied, Cause, Change, Reading, Scope, Undone
from .batch import PortBatch, read_ports
from .rows import port_of, unserved
from .shared import OvsSubsystem


class OvsPortSubsystem(OvsSubsystem):
    """Ports. All changes of a node are one transaction. A port is changed in place, not recreated.

    There is one exception: a port whose device was recreated. ovs-vswitchd does not always notice, and its userspace
    datapath then keeps the deleted device without any error. Such a port is removed and added again.
    """

    kind: ClassVar[str] = "ovs_port"
    record: ClassVar[type] = OvsPort

    def read(self, desired: Mapping[str, OvsPort], scope: Scope | None = None) -> Reading[OvsPort]:
        """Read all ports; or only those of ``scope`` if there is one; or only the desired ports if there is no owner
        (then no port is ours)."""
        if not readable(bool(desired), self.endpoint):
            return Reading()
        if scope is not None:
            return self.read_named(frozenset(scope))
        return self.read_named(frozenset(desired) if self.owner is None else None)

    def undone_by(
        self, earlier: Sequence[Change[Any]], desired: Mapping[str, OvsPort], actual: Reading[OvsPort]
    ) -> Undone:
        """Return the ports without an error whose links were recreated (a veth with its peer in a wrong place, for
        example)."""
        links = {change.name for change in earlier if change.kind == "link" and _is_new(change)}
        served = [name for name in links & actual.owned if not actual.objects[name].error]
        return Undone(dict.fromkeys(served, Cause.DEVICE_RECREATED), read_again=bool(served))

    def read_named(self, names: frozenset[str] | None) -> Reading[OvsPort]:
        """Read the ports of these names (None: all ports) on any bridge. The result may have further ports."""
        if not present(self.endpoint):
            return Reading()
        with Ovsdb(self.endpoint) as database:
            bridges, ports, interfaces = read_ports(database, names)
        home = {uuid: row for row in bridges for uuid in from_set(row["ports"])}
        by_name = {row["name"]: row for row in interfaces}
        objects, owned = {}, set()
        for row in ports:
            name, bridge = row["name"], home.get(row["_uuid"][1])
            if bridge is None:
                continue
            port = port_of(row, bridge["name"], by_name.get(name), unserved(bridge))
            objects[name] = port
            nic = NIC_MARK in port.port_external_ids or NIC_MARK in port.external_ids
            if self.is_ours(port.port_external_ids) and not nic:
                owned.add(name)
        return Reading(objects, frozenset(owned))

    def comparable(self, actual: OvsPort, wanted: OvsPort) -> OvsPort:
        """Return ``actual`` with only the external_ids keys of ``wanted``, and with ``mac`` only if ``wanted`` sets
        it."""
        return replace(
            actual,
            mac=actual.mac if wanted.mac else "",
            external_ids=self.only(actual.external_ids, wanted.external_ids),
            port_external_ids=self.only(actual.port_external_ids, wanted.port_external_ids),
        )

    def same(self, desired: OvsPort, actual: OvsPort) -> bool:
        """Whether the ports are equal apart from the order of trunks and the case of the MAC. A port with an error
        never equals a desired port."""
        return desired == actual or _plain(desired) == _plain(actual)

    def requires(self, item: OvsPort) -> Mapping[str, Collection[str]]:
        """Return the port's device, which must be ours, and its bridge. If ovs-vswitchd does not act on bridges,
        waiting for it again takes minutes."""
        return {"link": {item.name}, "ovs_bridge": {item.bridge}}

    def apply(self, changes: Sequence[Change[OvsPort]]) -> Applied:
        """Apply all changes in one transaction, then wait until ovs-vswitchd has acted on it.

        For a port whose only difference is its error, the transaction changes no column of it. It makes ovs-vswitchd
        try again, as the port's device may exist by now.

        If the transaction fails, because a bridge does not exist for example, each port is changed in one of its own.
        """
        return apply_isolated(self, changes, self._apply)

    def _apply(self, changes: Sequence[Change[OvsPort]]) -> None:
        recreated = [change for change in changes if change.cause is Cause.DEVICE_RECREATED]
        changes = self._unplug(recreated) + [change for change in changes if change not in recreated]
        with Ovsdb(self.endpoint) as database:
            database.commit(self.operations(database, changes), self.seconds, len(changes))

    def operations(
        self, database: Ovsdb, changes: Sequence[Change[OvsPort]], new_bridges: Collection[str] = ()
    ) -> list[Operation]:
        """Return the operations of the transaction that makes the changes.

        :param new_bridges: bridges that earlier operations of the transaction add.
        :raises OvsdbError: a bridge does not exist.
        """
        if not changes:
            return []
        names = frozenset(change.name for change in changes)
        bridges, ports, interfaces = read_ports(database, names, ("_uuid", "name"), ("_uuid", "name"))
        batch = PortBatch(bridges, ports, interfaces, self.mark(), new_bridges)
        for number, change in enumerate(changes):
            if change.after is None:
                batch.remove(change.name)
            else:
                batch.put(number, change.before, change.after)
        return batch.all()

    def _unplug(self, changes: Sequence[Change[OvsPort]]) -> list[Change[OvsPort]]:
        """Remove these ports from their bridges. Return the additions that restore them, with the keys that other
        programs wrote to their external_ids."""
        names = frozenset(change.name for change in changes)
        if not names:
            return []
        actual = self.read_named(names).objects
        with Ovsdb(self.endpoint) as database:
            rows = read_ports(database, names, ("_uuid", "name"), ("_uuid", "name"))
            batch = PortBatch(*rows, self.mark())
            for name in sorted(names):
                batch.remove(name)
            database.commit(batch.all(), self.seconds, len(names))
        return [
            replace(change, before=None, after=_with_keys_of(actual[change.name], change.after))
            for change in changes
            if change.after and change.name in actual
        ]


def _is_new(change: Change[Any]) -> bool:
    """Whether a change creates or recreates a link (a new MTU or state of the same link does not)."""
    if change.after is None or change.before is None:
        return change.after is not None
    return any(getattr(change.before, key) != getattr(change.after, key) for key in ("kind", "peer", "peer_netns"))


def _with_keys_of(actual: OvsPort, wanted: OvsPort) -> OvsPort:
    return replace(
        wanted,
        external_ids={**actual.external_ids, **wanted.external_ids},
        port_external_ids={**actual.port_external_ids, **wanted.port_external_ids},
    )


def _plain(port: OvsPort) -> OvsPort:
    return replace(port, trunks=tuple(sorted(port.trunks)), mac=port.mac.lower())

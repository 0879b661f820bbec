"""The bridges, ports and single columns of one module call as one subsystem: one transaction makes all, or none.

What does not belong here: what the options ask for (``options.py``), and how rows are read and changed (``node/ovs``,
``columns.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...node.ovs.bridges import OvsBridgeSubsystem
from ...node.ovs.ports import OvsPortSubsystem
from ...node.subsystem import Applied, Change, Note, Reading, Scope, Subsystem
from ...state.ovs import OvsBridge, OvsPort
from ...system.ovsdb import ENDPOINT, Ovsdb
from .columns import OvsColumn, OvsColumnSubsystem

NO_DEVICE = "(No such device)"  # the end of ovs-vswitchd's error about a port without a device


@dataclass(frozen=True)
class Tolerance:
    """What a call tells about ports instead of failing: ``waiting`` are the ports whose device may be missing."""

    waiting: frozenset[str] = frozenset()
    notes: tuple[Note, ...] = ()


class SwitchSubsystem(Subsystem[Any]):
    """Bridges, ports and columns. The names of the objects of one call differ, also between kinds.

    :param kind: the kind that messages about the whole call name: ``ovs_bridge`` or ``ovs_port``.
    :param seconds: how long ovs-vswitchd may take to act on a change; None: a time that grows with the change.
    """

    atomic = True

    def __init__(
        self, kind: str, endpoint: str = ENDPOINT, seconds: float | None = None, tolerance: Tolerance | None = None
    ) -> None:
        super().__init__(None)
        self.kind = kind  # type: ignore[misc]
        self.endpoint = endpoint
        self.seconds = seconds
        self.tolerance = tolerance or Tolerance()
        self.bridges = OvsBridgeSubsystem(exact=True, endpoint=endpoint)
        self.ports = OvsPortSubsystem(exact=True, endpoint=endpoint)
        self.columns = OvsColumnSubsystem(endpoint=endpoint)
        self._by_record: dict[type, Subsystem[Any]] = {
            OvsBridge: self.bridges,
            OvsPort: self.ports,
            OvsColumn: self.columns,
        }

    def read(self, desired: Mapping[str, Any], scope: Scope | None = None) -> Reading[Any]:
        """Read the objects that have a name in ``desired``."""
        objects: dict[str, Any] = {}
        notes = list(self.tolerance.notes)
        for record, subsystem in self._by_record.items():
            named = _of(record, desired)
            found = subsystem.read(named).objects if named else {}
            objects.update({name: item for name, item in found.items() if name in named})
        for name in sorted(self.tolerance.waiting & set(objects)):
            if objects[name].error.endswith(NO_DEVICE):
                objects[name] = replace(objects[name], error="")
                text = f"port {name}: its device does not exist yet; the port works as soon as the device exists"
                notes.append(self.note(name, text))
        return Reading(objects, notes=tuple(notes))

    def diff(self, desired: Mapping[str, Any], actual: Reading[Any]) -> list[Change[Any]]:
        """Return the changes of the bridges, the ports and the columns, in this order."""
        changes = []
        for record, subsystem in self._by_record.items():
            objects = _of(record, actual.objects)
            reading = replace(actual, objects=objects, owned=actual.owned & set(objects))
            changes += subsystem.diff(_of(record, desired), reading)
        return changes

    def apply(self, changes: Sequence[Change[Any]]) -> Applied:
        """Apply all changes in one transaction, then wait until ovs-vswitchd has acted on it.

        :raises OvsdbError: a bridge or a row does not exist, or the database refuses a value; nothing is changed.
        """
        parts = (self.bridges, self.ports, self.columns)
        bridges, ports, columns = ([one for one in changes if one.kind == part.kind] for part in parts)
        new_bridges = _added(bridges)
        with Ovsdb(self.endpoint) as database:
            operations = self.bridges.operations(database, bridges)
            operations += self.ports.operations(database, ports, new_bridges)
            operations += self.columns.operations(database, columns, new_bridges | _added(ports))
            database.commit(operations, self.seconds, len(changes))
        return Applied()

    def describe(self, item: Any) -> Any:
        """Return the object as its own subsystem shows it in a diff."""
        return None if item is None else self._by_record[type(item)].describe(item)


def _of(record: type, objects: Mapping[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in objects.items() if type(item) is record}


def _added(changes: Collection[Change[Any]]) -> set[str]:
    return {change.name for change in changes if change.before is None}

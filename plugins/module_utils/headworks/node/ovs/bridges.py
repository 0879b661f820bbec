"""The subsystem for Open vSwitch bridges: it reads the rows of OVSDB and changes them in one transaction.

What does not belong here: ports (``ports.py``), and flows (``node/openflow``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from ...state.ovs import OvsBridge
from ...system.ovsdb import DATABASE, Operation, Ovsdb, from_map, from_set, readable, select, to_map, to_set
from ..marks import NIC_MARK
from ..one_by_one import apply_isolated
from ..subsystem import Applied, Change, Note, Reading, Scope
from .batch import insert, update_bridge
from .rows import BRIDGE_COLUMNS, Row, bridge_columns, bridge_config, bridge_of
from .shared import OvsSubsystem


class OvsBridgeSubsystem(OvsSubsystem):
    """Bridges. A desired bridge that the operator created (br-ex, for example) is configured, but never becomes
    ours."""

    kind: ClassVar[str] = "ovs_bridge"
    record: ClassVar[type] = OvsBridge

    def read(self, desired: Mapping[str, OvsBridge], scope: Scope | None = None) -> Reading[OvsBridge]:
        """Read all bridges. A bridge of ours that is not desired but has foreign ports is not reported as ours: the
        bridge stays, and a note says so."""
        if not readable(bool(desired), self.endpoint):
            return Reading()
        with Ovsdb(self.endpoint) as database:
            rows, internals = database.select(
                [
                    select("Bridge", BRIDGE_COLUMNS),
                    select("Interface", ["name", "error", "ofport"], [["type", "==", "internal"]]),
                ]
            )
            local = {row["name"]: row for row in internals}
            # An Interface row of the bridge's name exists only if ovs-vsctl or headworks created it.
            objects = {row["name"]: bridge_of(row, local.get(row["name"])) for row in rows}
            ours = {name for name, bridge in objects.items() if self.is_ours(bridge.external_ids)}
            unwanted = [row for row in rows if row["name"] in ours - set(desired)]
            notes = self._in_use(database, unwanted) if scope is None else ()
        return Reading(objects, frozenset(ours - {note.name for note in notes}), notes=notes)

    def _in_use(self, database: Ovsdb, unwanted: Sequence[Row]) -> tuple[Note, ...]:
        """Return a note for each bridge of ``unwanted`` that stays because it has foreign ports."""
        if not unwanted:
            return ()
        (ports,) = database.select([select("Port", ["_uuid", "name", "external_ids"])])
        by_id = {row["_uuid"][1]: row for row in ports}
        notes = []
        for bridge in unwanted:
            bridge_ports = [by_id[uuid] for uuid in from_set(bridge["ports"])]
            foreign = sorted(row["name"] for row in bridge_ports if self._is_foreign(row, bridge["name"]))
            if foreign:
                text = (
                    f"ovs_bridge {bridge['name']} is no longer desired but stays: "
                    f"it has ports that are not ours ({', '.join(foreign)})"
                )
                notes.append(self.note(bridge["name"], text))
        return tuple(notes)

    def _is_foreign(self, port: Row, bridge: str) -> bool:
        external_ids = from_map(port["external_ids"])
        return port["name"] != bridge and NIC_MARK not in external_ids and not self.is_ours(external_ids)

    def comparable(self, actual: OvsBridge, wanted: OvsBridge) -> OvsBridge:
        """Return ``actual`` with only the keys of ``wanted`` and the columns that ``wanted`` sets."""
        return replace(
            actual,
            datapath_type=actual.datapath_type if wanted.datapath_type else "",
            fail_mode=actual.fail_mode if wanted.fail_mode else "",
            mac=actual.mac if wanted.mac else "",
            external_ids=self.only(actual.external_ids, wanted.external_ids),
            other_config=self.only(actual.other_config, wanted.other_config),
        )

    def apply(self, changes: Sequence[Change[OvsBridge]]) -> Applied:
        """Apply all changes in one transaction, then wait until ovs-vswitchd has acted on it. If the transaction fails,
        each bridge is changed in one of its own."""
        return apply_isolated(self, changes, self._apply)

    def _apply(self, changes: Sequence[Change[OvsBridge]]) -> None:
        with Ovsdb(self.endpoint) as database:
            database.commit(self.operations(database, changes), self.seconds, len(changes))

    def operations(self, database: Ovsdb, changes: Sequence[Change[OvsBridge]]) -> list[Operation]:
        """Return the operations of the transaction that makes the changes."""
        if not changes:
            return []
        (rows,) = database.select([select("Bridge", ["_uuid", "name"])])
        uuids = {row["name"]: row["_uuid"][1] for row in rows}
        operations: list[Operation] = []
        added, removed = [], []
        for number, change in enumerate(changes):
            if change.after is None:
                removed += [["uuid", uuids[change.name]]] if change.name in uuids else []
            elif change.name in uuids:
                before = change.before or OvsBridge(change.name, "", "")
                operations += update_bridge(uuids[change.name], before, change.after)
            else:
                added.append(["named-uuid", f"b{number}"])
                operations += self._insert(number, change.after)
        mutations = [["bridges", "insert", to_set(added)]] if added else []
        mutations += [["bridges", "delete", to_set(removed)]] if removed else []
        if mutations:
            operations.append({"op": "mutate", "table": DATABASE, "where": [], "mutations": mutations})
        return operations

    def _insert(self, number: int, bridge: OvsBridge) -> list[Operation]:
        row = {
            "name": bridge.name,
            **bridge_columns(bridge),
            "ports": ["named-uuid", f"bp{number}"],
            "external_ids": to_map({**bridge.external_ids, **self.mark()}),
            "other_config": to_map(bridge_config(bridge)),
        }
        port = {"name": bridge.name, "interfaces": ["named-uuid", f"bi{number}"]}
        return [
            insert("Interface", f"bi{number}", {"name": bridge.name, "type": "internal"}),
            insert("Port", f"bp{number}", port),
            insert("Bridge", f"b{number}", row),
        ]

"""Open vSwitch bridges: rows of OVSDB, changed in one transaction. Flows are in ``node/openflow/``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from ...state.ovs import OvsBridge
from ...system.ovsdb import DATABASE, Operation, Ovsdb, from_map, from_set, present, select, to_map, to_set
from ..marks import NIC_MARK
from ..subsystem import Applied, Change, Note, Reading, Scope
from .batch import insert, update_bridge
from .rows import BRIDGE_COLUMNS, Row, bridge_columns, bridge_config, bridge_of
from .shared import OvsSubsystem


class OvsBridgeSubsystem(OvsSubsystem):
    """Bridges. One that somebody else made and the plan names (an operator's br-ex) is used and set, not owned."""

    kind: ClassVar[str] = "ovs_bridge"
    record: ClassVar[type] = OvsBridge

    def read(self, desired: Mapping[str, OvsBridge], scope: Scope | None = None) -> Reading[OvsBridge]:
        """All bridges. Ours that are not wanted but carry foreign ports are not reported as ours: they stay, and a
        note says so."""
        if not present(self.endpoint):
            return Reading()
        with Ovsdb(self.endpoint) as database:
            rows, internals = database.select(
                [
                    select("Bridge", BRIDGE_COLUMNS),
                    select("Interface", ["name", "error", "ofport"], [["type", "==", "internal"]]),
                ]
            )
            local = {row["name"]: row for row in internals}
            # The local port has number 65534 and no entry here until ovs-vsctl or we make one.
            objects = {row["name"]: bridge_of(row, local.get(row["name"])) for row in rows}
            ours = {name for name, one in objects.items() if self.is_ours(one.external_ids)}
            unwanted = [row for row in rows if row["name"] in ours - set(desired)]
            notes = self._in_use(database, unwanted) if scope is None else ()
        return Reading(objects, frozenset(ours - {note.name for note in notes}), notes=notes)

    def _in_use(self, database: Ovsdb, unwanted: Sequence[Row]) -> tuple[Note, ...]:
        """A note for each of our bridges that stays, though it is not desired, because it has foreign ports."""
        if not unwanted:
            return ()
        (ports,) = database.select([select("Port", ["_uuid", "name", "external_ids"])])
        by_id = {row["_uuid"][1]: row for row in ports}
        notes = []
        for bridge in unwanted:
            on_it = [by_id[uuid] for uuid in from_set(bridge["ports"])]
            foreign = sorted(row["name"] for row in on_it if self._is_foreign(row, bridge["name"]))
            if foreign:
                text = (
                    f"ovs_bridge {bridge['name']} is no longer wanted but stays: "
                    f"it has ports that are not ours ({', '.join(foreign)})"
                )
                notes.append(self.note(bridge["name"], text))
        return tuple(notes)

    def _is_foreign(self, port: Row, bridge: str) -> bool:
        external_ids = from_map(port["external_ids"])
        return port["name"] != bridge and NIC_MARK not in external_ids and not self.is_ours(external_ids)

    def comparable(self, actual: OvsBridge, wanted: OvsBridge) -> OvsBridge:
        """Only the wanted keys, and only the columns that ``wanted`` decides."""
        return replace(
            actual,
            datapath_type=actual.datapath_type if wanted.datapath_type else "",
            fail_mode=actual.fail_mode if wanted.fail_mode else "",
            mac=actual.mac if wanted.mac else "",
            external_ids=self.only(actual.external_ids, wanted.external_ids),
            other_config=self.only(actual.other_config, wanted.other_config),
        )

    def apply(self, changes: Sequence[Change[OvsBridge]]) -> Applied:
        """All in one transaction, then wait for ovs-vswitchd."""
        with Ovsdb(self.endpoint) as database:
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
            database.commit(operations, self.seconds, len(changes))
        return Applied()

    def _insert(self, number: int, bridge: OvsBridge) -> list[Operation]:
        row = {
            "name": bridge.name,
            **bridge_columns(bridge),
            "ports": ["named-uuid", f"p{number}"],
            "external_ids": to_map({**bridge.external_ids, **self.mark()}),
            "other_config": to_map(bridge_config(bridge)),
        }
        port = {"name": bridge.name, "interfaces": ["named-uuid", f"i{number}"]}
        return [
            insert("Interface", f"i{number}", {"name": bridge.name, "type": "internal"}),
            insert("Port", f"p{number}", port),
            insert("Bridge", f"b{number}", row),
        ]

"""Changes of bridges and ports as the operations of one OVSDB transaction, given the rows that exist.

What does not belong here: what has to change (``bridges.py``, ``ports.py``), and how a record is written as a row
(``rows.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from ...state.ovs import OvsBridge, OvsPort
from ...system.ovsdb import (
    Operation,
    Ovsdb,
    OvsdbError,
    by_uuid,
    from_set,
    map_mutations,
    select,
    select_named,
    to_map,
    to_set,
)
from .rows import (
    INTERFACE_COLUMNS,
    PORT_COLUMNS,
    Row,
    bridge_columns,
    bridge_config,
    changed_columns,
    interface_columns,
    port_columns,
)

# Up to so many names are asked for one by one; above, reading the whole table is quicker.
FEW = 20


class PortBatch:
    """Collects the operations of one transaction on ports."""

    def __init__(
        self, bridges: Sequence[Row], ports: Sequence[Row], interfaces: Sequence[Row], mark: dict[str, str]
    ) -> None:
        self.bridges = {row["name"]: row["_uuid"][1] for row in bridges}
        self.home = {uuid: row["name"] for row in bridges for uuid in from_set(row["ports"])}
        self.ports = {row["name"]: row["_uuid"][1] for row in ports}
        self.interfaces = {row["name"]: row["_uuid"][1] for row in interfaces}
        self.mark = mark
        self.operations: list[Operation] = []
        self.joined: dict[str, list[Any]] = {}
        self.left: dict[str, list[Any]] = {}

    def remove(self, name: str) -> None:
        uuid = self.ports.get(name)
        if uuid in self.home:
            self.left.setdefault(self.home[uuid], []).append(["uuid", uuid])

    def put(self, number: int, before: OvsPort | None, after: OvsPort) -> None:
        if after.bridge not in self.bridges:
            raise OvsdbError(f"port {after.name}: there is no bridge {after.bridge}")
        uuid = self.ports.get(after.name)
        if uuid is None:
            self._insert(number, after)
            return
        if self.home.get(uuid) != after.bridge:
            self.remove(after.name)
            self.joined.setdefault(after.bridge, []).append(["uuid", uuid])
        self._update(uuid, before or OvsPort(after.name, after.bridge), after)

    def all(self) -> list[Operation]:
        rest: list[Operation] = []
        for function, what in (("delete", self.left), ("insert", self.joined)):
            for bridge, uuids in what.items():
                rest.append(_mutate("Bridge", self.bridges[bridge], [["ports", function, to_set(uuids)]]))
        return self.operations + rest

    def _insert(self, number: int, port: OvsPort) -> None:
        interface = {"name": port.name, **interface_columns(port), "external_ids": to_map(port.external_ids)}
        row = {
            "name": port.name,
            "interfaces": ["named-uuid", f"i{number}"],
            **port_columns(port),
            "external_ids": to_map({**port.port_external_ids, **self.mark}),
        }
        self.operations += [insert("Interface", f"i{number}", interface), insert("Port", f"p{number}", row)]
        self.joined.setdefault(port.bridge, []).append(["named-uuid", f"p{number}"])

    def _update(self, uuid: str, before: OvsPort, after: OvsPort) -> None:
        self.operations += _update(
            "Port",
            uuid,
            changed_columns(port_columns(before), port_columns(after)),
            map_mutations("external_ids", before.port_external_ids, after.port_external_ids),
        )
        columns = changed_columns(interface_columns(before), interface_columns(after))
        mutations = map_mutations("external_ids", before.external_ids, after.external_ids)
        if (columns or mutations) and after.name not in self.interfaces:
            raise OvsdbError(f"port {after.name} has several interfaces: change those with ovs-vsctl")
        if columns or mutations:
            self.operations += _update("Interface", self.interfaces[after.name], columns, mutations)


def read_ports(
    database: Ovsdb,
    names: frozenset[str] | None,
    port_columns: Sequence[str] = PORT_COLUMNS,
    interface_columns: Sequence[str] = INTERFACE_COLUMNS,
) -> tuple[list[Any], list[Any], list[Any]]:
    """Rows of Bridge, Port and Interface, in one transaction; only those of ``names`` when they are few."""
    bridges = select("Bridge", ["_uuid", "name", "ports"])
    if names is None or len(names) > FEW:
        found = database.select([bridges, select("Port", port_columns), select("Interface", interface_columns)])
        return found[0], found[1], found[2]
    wanted = sorted(names)
    queries = [*select_named("Port", port_columns, wanted), *select_named("Interface", interface_columns, wanted)]
    found = database.select([bridges, *queries])
    middle = 1 + len(wanted)
    return found[0], list(chain(*found[1:middle])), list(chain(*found[middle:]))


def update_bridge(uuid: str, before: OvsBridge, after: OvsBridge) -> list[Operation]:
    mutations = map_mutations("external_ids", before.external_ids, after.external_ids)
    mutations += map_mutations("other_config", bridge_config(before), bridge_config(after))
    return _update("Bridge", uuid, changed_columns(bridge_columns(before), bridge_columns(after)), mutations)


def _update(table: str, uuid: str, columns: Mapping[str, Any], mutations: list[Any]) -> list[Operation]:
    operations: list[Operation] = []
    if columns:
        operations.append({"op": "update", "table": table, "where": by_uuid(uuid), "row": dict(columns)})
    if mutations:
        operations.append(_mutate(table, uuid, mutations))
    return operations


def _mutate(table: str, uuid: str, mutations: list[Any]) -> Operation:
    return {"op": "mutate", "table": table, "where": by_uuid(uuid), "mutations": mutations}


def insert(table: str, name: str, row: Mapping[str, Any]) -> Operation:
    return {"op": "insert", "table": table, "uuid-name": name, "row": dict(row)}

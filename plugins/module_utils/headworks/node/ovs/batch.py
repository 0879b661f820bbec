"""Turn changes of bridges and ports into the operations of one OVSDB transaction, given the rows that exist.

What does not belong here: finding out what has to change (``bridges.py``, ``ports.py``), and writing a record as a row
(``rows.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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

# Up to this number, ports are selected by name. For more ports, reading the whole table is faster.
FEW = 20


class PortBatch:
    """Collects the operations of one transaction on ports.

    ``joined`` and ``left`` map the name of a bridge → the UUIDs of ports to add to it and to remove from it.
    ``new_bridges`` are bridges that earlier operations of the same transaction add.
    """

    def __init__(
        self,
        bridges: Sequence[Row],
        ports: Sequence[Row],
        interfaces: Sequence[Row],
        mark: dict[str, str],
        new_bridges: Collection[str] = (),
    ) -> None:
        self.bridges = {row["name"] for row in bridges} | set(new_bridges)
        self.home = {uuid: row["name"] for row in bridges for uuid in from_set(row["ports"])}
        self.ports = {row["name"]: row["_uuid"][1] for row in ports}
        self.interfaces = {row["name"]: row["_uuid"][1] for row in interfaces}
        self.mark = mark
        self.operations: list[Operation] = []
        self.joined: dict[str, list[Any]] = {}
        self.left: dict[str, list[Any]] = {}

    def remove(self, name: str) -> None:
        """Remove port ``name`` from its bridge; OVSDB then deletes its rows. A port that does not exist is ignored."""
        uuid = self.ports.get(name)
        if uuid in self.home:
            self.left.setdefault(self.home[uuid], []).append(["uuid", uuid])

    def put(self, number: int, before: OvsPort | None, after: OvsPort) -> None:
        """Create port ``after``, or change and move the existing port. ``number`` is unique in the transaction.

        :raises OvsdbError: the port's bridge does not exist, or a change of several interfaces would be needed.
        """
        if after.bridge not in self.bridges:
            raise OvsdbError(f"port {after.name}: bridge {after.bridge} does not exist")
        uuid = self.ports.get(after.name)
        if uuid is None:
            self._insert(number, after)
            return
        if self.home.get(uuid) != after.bridge:
            self.remove(after.name)
            self.joined.setdefault(after.bridge, []).append(["uuid", uuid])
        self._update(uuid, before or OvsPort(after.name, after.bridge), after)

    def all(self) -> list[Operation]:
        """Return the operations on ports and interfaces, then those on the port lists of bridges."""
        rest: list[Operation] = []
        for function, ports in (("delete", self.left), ("insert", self.joined)):
            for bridge, uuids in ports.items():
                mutations = [["ports", function, to_set(uuids)]]
                rest.append(_mutate("Bridge", [["name", "==", bridge]], mutations))
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
            raise OvsdbError(f"port {after.name} has several interfaces: change these with ovs-vsctl")
        if columns or mutations:
            self.operations += _update("Interface", self.interfaces[after.name], columns, mutations)


def read_ports(
    database: Ovsdb,
    names: frozenset[str] | None,
    port_columns: Sequence[str] = PORT_COLUMNS,
    interface_columns: Sequence[str] = INTERFACE_COLUMNS,
) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the rows of Bridge, Port and Interface, read in one transaction. Port and Interface rows are limited to
    ``names`` if these are at most ``FEW``."""
    bridges = select("Bridge", ["name", "ports", "datapath_id", "datapath_type"])
    if names is None or len(names) > FEW:
        tables = database.select([bridges, select("Port", port_columns), select("Interface", interface_columns)])
        return tables[0], tables[1], tables[2]
    wanted = sorted(names)
    queries = [*select_named("Port", port_columns, wanted), *select_named("Interface", interface_columns, wanted)]
    answers = database.select([bridges, *queries])
    middle = 1 + len(wanted)
    return answers[0], list(chain(*answers[1:middle])), list(chain(*answers[middle:]))


def update_bridge(uuid: str, before: OvsBridge, after: OvsBridge) -> list[Operation]:
    """Return the operations that change the Bridge row ``uuid`` from ``before`` to ``after``."""
    mutations = map_mutations("external_ids", before.external_ids, after.external_ids)
    mutations += map_mutations("other_config", bridge_config(before), bridge_config(after))
    return _update("Bridge", uuid, changed_columns(bridge_columns(before), bridge_columns(after)), mutations)


def _update(table: str, uuid: str, columns: Mapping[str, Any], mutations: list[Any]) -> list[Operation]:
    operations: list[Operation] = []
    if columns:
        operations.append({"op": "update", "table": table, "where": by_uuid(uuid), "row": dict(columns)})
    if mutations:
        operations.append(_mutate(table, by_uuid(uuid), mutations))
    return operations


def _mutate(table: str, where: list[Any], mutations: list[Any]) -> Operation:
    return {"op": "mutate", "table": table, "where": where, "mutations": mutations}


def insert(table: str, name: str, row: Mapping[str, Any]) -> Operation:
    """Return an ``insert`` operation; other operations of the transaction refer to the new row by ``name``."""
    return {"op": "insert", "table": table, "uuid-name": name, "row": dict(row)}

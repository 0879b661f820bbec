"""Single columns of OVSDB rows, for the columns that the records of bridges and ports have no field for
(``stp_enable``, ``ofport_request``, a Port's ``other_config``): read, compared, and the operations that set them.

Bridges and ports are in ``node/ovs/``; how the option ``set`` is parsed is in ``set_option.py``, and the transaction is
in ``switch.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any, ClassVar

from ...node.subsystem import Change, Reading, Scope, Subsystem
from ...system.ovsdb import ENDPOINT, Operation, Ovsdb, OvsdbError, present, select, to_map, to_set
from .values import canonical


@dataclass(frozen=True)
class OvsColumn:
    """``column`` of the row of ``table`` (Bridge, Port or Interface) that is named ``record``; with ``key`` only that
    key of a map. ``value`` is a sorted tuple for a whole column, a dict for a whole map. With ``key`` it is the key's
    value; None: the map does not have the key."""

    table: str
    record: str
    column: str
    key: str = ""
    value: Any = ()

    @property
    def name(self) -> str:
        """``Interface eth0 options:remote_ip``."""
        return f"{self.table} {self.record} {self.column}" + (f":{self.key}" if self.key else "")


def add_column(columns: dict[str, OvsColumn], column: OvsColumn) -> None:
    """Add ``column`` to ``columns`` as if it were set after them: it replaces what it overlaps."""
    whole = replace(column, key="", value={})
    if column.key and whole.name in columns:
        value = {**columns[whole.name].value, column.key: column.value}
        column = replace(whole, value={key: item for key, item in value.items() if item is not None})
    if not column.key:
        for name in [name for name in columns if name.startswith(f"{whole.name}:")]:
            del columns[name]
    columns[column.name] = column


class OvsColumnSubsystem(Subsystem[OvsColumn]):
    """Single columns. Nothing is owned here: a column is set, never removed."""

    kind: ClassVar[str] = "ovs_column"
    record: ClassVar[type] = OvsColumn

    def __init__(self, owner: str | None = None, *, endpoint: str = ENDPOINT) -> None:
        super().__init__(owner)
        self.endpoint = endpoint

    def read(self, desired: Mapping[str, OvsColumn], scope: Scope | None = None) -> Reading[OvsColumn]:
        """The desired columns whose row exists, with their values."""
        if not desired or not present(self.endpoint):
            return Reading()
        wanted = list(desired.values())
        queries = [select(one.table, [one.column], _is_named(one.record)) for one in wanted]
        with Ovsdb(self.endpoint) as database:
            answers = database.select(queries)
        found = {}
        for column, rows in zip(wanted, answers, strict=True):
            if rows:
                value = canonical(rows[0][column.column])
                found[column.name] = replace(column, value=value.get(column.key) if column.key else value)
        return Reading(found)

    def describe(self, item: OvsColumn | None) -> Any:
        """Return the column with its name and value."""
        return None if item is None else {key: value for key, value in asdict(item).items() if key != "key" or value}

    def operations(
        self, database: Ovsdb, changes: Sequence[Change[OvsColumn]], new: Collection[str]
    ) -> list[Operation]:
        """Return the operations that set the columns. They work on rows that earlier operations of the transaction
        add, too.

        :param new: names of the bridges and ports that earlier operations of the transaction add.
        :raises OvsdbError: a row does not exist.
        """
        wanted = [change.after for change in changes if change.after is not None]
        rows = database.select([select(column.table, ["name"], _is_named(column.record)) for column in wanted])
        for column, found in zip(wanted, rows, strict=True):
            if not found and column.record not in new:
                raise OvsdbError(f"set {column.name}: table {column.table} has no row {column.record}")
        return list(chain(*map(_operations, wanted)))


def _operations(column: OvsColumn) -> list[Operation]:
    """The OVSDB operations that set one column."""
    row = {"table": column.table, "where": _is_named(column.record)}
    if not column.key:
        value = to_map(column.value) if isinstance(column.value, dict) else to_set(column.value)
        return [{**row, "op": "update", "row": {column.column: value}}]
    mutations: list[Any] = [[column.column, "delete", to_set([column.key])]]  # "insert" does not replace a value
    if column.value is not None:
        mutations.append([column.column, "insert", to_map({column.key: column.value})])
    return [{**row, "op": "mutate", "mutations": mutations}]


def _is_named(record: str) -> list[list[Any]]:
    return [["name", "==", record]]

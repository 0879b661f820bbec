"""Single columns of OVSDB rows, for the columns that the records of bridges and ports have no field for
(``stp_enable``, ``ofport_request``, a Port's ``other_config``): read, compared, set.

Bridges and ports are in ``node/ovs/``; how the option ``set`` is parsed is in ``set_option.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ...node.subsystem import Applied, Change, Reading, Scope, Subsystem
from ...system.ovsdb import (
    ENDPOINT,
    Operation,
    Ovsdb,
    OvsdbError,
    by_uuid,
    from_map,
    from_set,
    map_mutations,
    present,
    select,
    to_set,
)

TRUE = ("true", "yes", "on", "1")
FALSE = ("false", "no", "off", "0")


@dataclass(frozen=True)
class OvsColumn:
    """``column`` of the row of ``table`` (Bridge, Port or Interface) that is named ``record``; with ``key`` only that
    key of a map. ``value`` is text: ``5``, ``true``, ``1,2,3``, ``[]``."""

    table: str
    record: str
    column: str
    key: str = ""
    value: str = ""

    @property
    def name(self) -> str:
        """``Interface eth0 options:remote_ip``."""
        return f"{self.table} {self.record} {self.column}" + (f":{self.key}" if self.key else "")

    def parts(self) -> list[str]:
        """The members of a set: ``1,2,3`` or ``[1, 2, 3]``; none in ``[]`` and in an empty value."""
        value = self.value.strip()
        inner = value[1:-1] if value.startswith("[") and value.endswith("]") else value
        return [part.strip() for part in inner.split(",") if part.strip()]


class OvsColumnSubsystem(Subsystem[OvsColumn]):
    """Single columns. Nothing is owned here: a column is set, never removed."""

    kind: ClassVar[str] = "ovs_column"
    record: ClassVar[type] = OvsColumn

    def __init__(self, owner: str | None = None, *, endpoint: str = ENDPOINT, seconds: float | None = None) -> None:
        super().__init__(owner)
        self.endpoint = endpoint
        self.seconds = seconds

    def read(self, desired: Mapping[str, OvsColumn], scope: Scope | None = None) -> Reading[OvsColumn]:
        """The desired columns whose row exists. A column whose value is as desired is the desired object itself."""
        if not desired or not present(self.endpoint):
            return Reading()
        with Ovsdb(self.endpoint) as database:
            schema = database.schema()["tables"]
            found = {}
            for name, column in desired.items():
                kind, row = _read_row(database, schema, column)
                if row is not None:
                    actual = _decode(row[column.column], column.key)
                    same = actual == _parse(column, kind)
                    found[name] = column if same else replace(column, value=_as_text(actual))
        return Reading(found)

    def apply(self, changes: Sequence[Change[OvsColumn]]) -> Applied:
        """Set all columns in one transaction, then wait for ovs-vswitchd.

        :raises OvsdbError: a row does not exist, or a value is not of its column's type.
        """
        operations: list[Operation] = []
        with Ovsdb(self.endpoint) as database:
            schema = database.schema()["tables"]
            for change in changes:
                assert change.after is not None
                operations.append(_operation(database, schema, change.after))
            database.commit(operations, self.seconds)
        return Applied()


def _read_row(database: Ovsdb, schema: Mapping[str, Any], column: OvsColumn) -> tuple[Any, dict[str, Any] | None]:
    """The column's type in the schema, and the row (``_uuid`` and the column), or None if there is no such row."""
    columns = schema[column.table]["columns"]
    if column.column not in columns:
        raise OvsdbError(f"set {column.name}: table {column.table} has no column {column.column}")
    where = [["name", "==", column.record]]
    (rows,) = database.select([select(column.table, ["_uuid", column.column], where)])
    return columns[column.column]["type"], rows[0] if rows else None


def _operation(database: Ovsdb, schema: Mapping[str, Any], column: OvsColumn) -> Operation:
    """The OVSDB operation that sets the column."""
    kind, row = _read_row(database, schema, column)
    if row is None:
        raise OvsdbError(f"set {column.name}: there is no such row")
    operation: Operation = {"table": column.table, "where": by_uuid(row["_uuid"][1])}
    value = _parse(column, kind)
    if column.key:
        before = {key: item for key, item in from_map(row[column.column]).items() if key == column.key}
        return {**operation, "op": "mutate", "mutations": map_mutations(column.column, before, {column.key: value})}
    return {**operation, "op": "update", "row": {column.column: to_set(value)}}


def _decode(value: Any, key: str) -> Any:
    """A column's value for comparison: a sorted list, or with ``key`` that key's value (None if the map lacks it)."""
    return from_map(value).get(key) if key else sorted(from_set(value))


def _parse(column: OvsColumn, kind: Any) -> Any:
    """``column.value`` in the form of ``_decode``. ``kind`` is the column's type in OVSDB's schema."""
    if isinstance(kind, str):
        kind = {"key": kind}
    if ("value" in kind) != bool(column.key):
        form = "COLUMN:KEY=VALUE" if "value" in kind else "COLUMN=VALUE"
        raise OvsdbError(f"set {column.name}={column.value}: must be {form}")
    if column.key:
        return _parse_atom(column, column.value, kind["value"])
    single = kind.get("min", 1) == kind.get("max", 1) == 1
    texts = [column.value] if single else column.parts()
    return sorted(_parse_atom(column, text, kind["key"]) for text in texts)


def _parse_atom(column: OvsColumn, text: str, kind: Any) -> Any:
    name = kind if isinstance(kind, str) else kind["type"]
    try:
        if name == "integer":
            return int(text, 0)
        if name == "real":
            return float(text)
    except ValueError as error:
        raise OvsdbError(f"set {column.name}: {text!r} is not of type {name}") from error
    if name == "boolean":
        if text.lower() not in TRUE + FALSE:
            raise OvsdbError(f"set {column.name}: {text!r} is not of type boolean")
        return text.lower() in TRUE
    if name == "uuid":
        raise OvsdbError(f"set {column.name}: references to other rows are not supported")
    return text


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_as_text(member) for member in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)

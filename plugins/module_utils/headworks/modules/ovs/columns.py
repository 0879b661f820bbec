"""Any column of any OVSDB row, as ``ovs-vsctl set TABLE RECORD COLUMN[:KEY]=VALUE`` says it: read, compared, set.

Bridges and ports proper are ``ovs.py``; this is for what those records have no field for (``stp_enable``,
``ofport_request``, a Port's ``other_config``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ...node.subsystem import Change, Reading, Subsystem
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
    to_map,
    to_set,
)

# A word is made of quoted parts and letters; a quote that is never closed is in no word.
PART = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'])"""
WORD_PART = re.compile(PART)
WORD = re.compile(f"{PART}+")
ASSIGNMENT = re.compile(r'([^:="]+)(?::("(?:[^"\\]|\\.)*"|[^=]*))?(=)(.*)', re.DOTALL)


@dataclass(frozen=True)
class OvsColumn:
    """``column`` of the row of ``table`` that is named ``record`` (``.``: the only row); with ``key`` only that key of
    a map. ``value`` is written as for ovs-vsctl: ``5``, ``true``, ``1,2,3``, ``{a=b,c="d e"}``."""

    table: str
    record: str
    column: str
    key: str = ""
    value: str = ""

    @property
    def name(self) -> str:
        """``Interface eth0 options:remote_ip``."""
        return f"{self.table} {self.record} {self.column}" + (f":{self.key}" if self.key else "")


def parse_set(text: str) -> list[OvsColumn]:
    """The assignments of ``TABLE RECORD COLUMN[:KEY]=VALUE…``; several such, as on a command line of ovs-vsctl, are
    separated by ``-- set``. A text without assignments is allowed, and nothing.

    :raises ValueError: the text is not of that form.
    """
    columns = []
    for words in _commands(text):
        if len(words) < 2:
            raise ValueError(f"set: {text!r}: must be TABLE RECORD COLUMN[:KEY]=VALUE")
        table, record = words[:2]
        for word in words[2:]:
            column, key, equals, value = _assigned(word)
            if not equals or not re.fullmatch(r"[A-Za-z_-]+", column):
                raise ValueError(f"set: {word!r}: must be COLUMN[:KEY]=VALUE")
            columns.append(OvsColumn(table, record, column.replace("-", "_"), _unquote(key), value))
    return columns


def _assigned(word: str) -> tuple[str, str, str, str]:
    """``COLUMN[:KEY]=VALUE`` as column, key, ``=`` and value; a quoted key may have any letter."""
    found = ASSIGNMENT.fullmatch(word)
    return (found[1], found[2] or "", found[3], found[4]) if found else (word, "", "", "")


def _commands(text: str) -> list[list[str]]:
    """Words by command. Blanks separate words, but not within quotes; double quotes are OVSDB's own and stay."""
    words = [WORD_PART.sub(_without_shell_quotes, word) for word in WORD.findall(text)]
    if re.search(r"[\"']", WORD.sub("", text)):
        raise ValueError(f"set: {text!r}: a quote is not closed")
    commands: list[list[str]] = [[]]
    for word in words:
        if word == "--":
            commands.append([])
        elif word != "set" or commands[-1] or len(commands) == 1:
            commands[-1].append(word)
    return [one for one in commands if one]


def _without_shell_quotes(part: re.Match[str]) -> str:
    return part[0][1:-1] if part[0].startswith("'") else part[0]


class OvsColumnSubsystem(Subsystem[OvsColumn]):
    """Single columns. There is nothing to own: a column is set, never removed."""

    kind: ClassVar[str] = "ovs_column"
    record: ClassVar[type] = OvsColumn

    def __init__(self, owner: str | None = None, *, endpoint: str = ENDPOINT, seconds: float | None = None) -> None:
        super().__init__(owner)
        self.endpoint = endpoint
        self.seconds = seconds

    def read(self, desired: Mapping[str, OvsColumn], scope: frozenset[str] | None = None) -> Reading[OvsColumn]:
        """The columns whose row exists; one that is as desired is the very same object."""
        if not desired or not present(self.endpoint):
            return Reading()
        with Ovsdb(self.endpoint) as database:
            schema = database.schema()["tables"]
            found = {}
            for name, one in desired.items():
                kind, row = _row(database, schema, one)
                if row is not None:
                    is_now = _decode(row[one.column], one.key)
                    same = is_now == _parse(one, kind)
                    found[name] = one if same else replace(one, value=_text(is_now))
        return Reading(found)

    def apply(self, changes: Sequence[Change[OvsColumn]]) -> None:
        """All in one transaction, then wait for ovs-vswitchd.

        :raises OvsdbError: a row does not exist, or a value is not of its column's type.
        """
        operations: list[Operation] = []
        with Ovsdb(self.endpoint) as database:
            schema = database.schema()["tables"]
            for change in changes:
                assert change.after is not None
                operations.append(_assignment(database, schema, change.after))
            database.commit(operations, self.seconds)


def _row(database: Ovsdb, schema: Mapping[str, Any], one: OvsColumn) -> tuple[Any, dict[str, Any] | None]:
    """The column's type, and the row (``_uuid`` and the column)."""
    table = _table(schema, one)
    columns = schema[table]["columns"]
    if one.column not in columns:
        raise OvsdbError(f"set {one.name}: table {table} has no column {one.column}")
    if one.record == ".":
        where = []
    elif re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", one.record):
        where = by_uuid(one.record)
    elif "name" in columns:
        where = [["name", "==", _unquote(one.record)]]
    else:
        raise OvsdbError(f"set {one.name}: rows of table {table} have no name: give the UUID or .")
    (rows,) = database.select([select(table, ["_uuid", one.column], where)])
    return columns[one.column]["type"], rows[0] if len(rows) == 1 else None


def _table(schema: Mapping[str, Any], one: OvsColumn) -> str:
    """The table's full name: case does not matter, and an unambiguous beginning will do, as for ovs-vsctl."""
    wanted = one.table.lower().replace("-", "_")
    exact = [name for name in schema if name.lower() == wanted]
    found = exact or [name for name in schema if name.lower().startswith(wanted)]
    if len(found) != 1:
        raise OvsdbError(f"set {one.name}: {'no' if not found else 'more than one'} table is called {one.table}")
    return found[0]


def _assignment(database: Ovsdb, schema: Mapping[str, Any], one: OvsColumn) -> Operation:
    table = _table(schema, one)
    kind, row = _row(database, schema, one)
    if row is None:
        raise OvsdbError(f"set {one.name}: there is no such row")
    operation: Operation = {"table": table, "where": by_uuid(row["_uuid"][1])}
    value = _parse(one, kind)
    if one.key:
        before = {key: item for key, item in from_map(row[one.column]).items() if key == one.key}
        return {**operation, "op": "mutate", "mutations": map_mutations(one.column, before, {one.key: value})}
    encoded = to_map(value) if isinstance(value, dict) else to_set(value)
    return {**operation, "op": "update", "row": {one.column: encoded}}


def _decode(value: Any, key: str) -> Any:
    """A column's value for comparison: a dict, or a sorted list; of one key its value, None if it is not there."""
    if isinstance(value, list) and value and value[0] == "map":
        mapping = from_map(value)
        return mapping.get(key) if key else mapping
    return sorted(from_set(value))


def _parse(one: OvsColumn, kind: Any) -> Any:
    """``one.value`` in the form of ``_decode``."""
    if isinstance(kind, str):
        return [_atom(one, one.value, kind)]
    if "value" in kind:
        if one.key:
            return _atom(one, one.value, kind["value"])
        pairs = (piece.partition("=") for piece in _pieces(one.value))
        return {_unquote(key): _atom(one, value, kind["value"]) for key, _, value in pairs}
    if one.key:
        raise OvsdbError(f"set {one.name}: column {one.column} has no keys")
    return sorted(_atom(one, piece, kind["key"]) for piece in _pieces(one.value))


def _pieces(text: str) -> list[str]:
    """``{a=b,c="d,e"}``, ``[1,2]`` or ``1,2`` at its commas."""
    inner = text.strip()
    if inner[:1] in ("{", "[") and inner[-1:] in ("}", "]"):
        inner = inner[1:-1]
    pieces, current = [], ""
    for part in re.findall(r'"(?:[^"\\]|\\.)*"|,|[^",]+', inner):
        if part == ",":
            pieces.append(current.strip())
            current = ""
        else:
            current += part
    return [piece for piece in [*pieces, current.strip()] if piece]


def _atom(one: OvsColumn, text: str, kind: Any) -> Any:
    name = kind if isinstance(kind, str) else kind["type"]
    try:
        if name == "integer":
            return int(text, 0)
        if name == "real":
            return float(text)
    except ValueError as error:
        raise OvsdbError(f"set {one.name}: {text!r} is not of type {name}") from error
    if name == "boolean":
        if text.lower() not in ("true", "false", "yes", "no", "on", "off", "1", "0"):
            raise OvsdbError(f"set {one.name}: {text!r} is not of type boolean")
        return text.lower() in ("true", "yes", "on", "1")
    if name == "uuid":
        raise OvsdbError(f"set {one.name}: references to other rows are not supported")
    return _unquote(text)


def _unquote(text: str) -> str:
    return str(json.loads(text)) if len(text) > 1 and text[0] == text[-1] == '"' else text


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}={item}" for key, item in sorted(value.items())) + "}"
    if isinstance(value, list):
        return ",".join(_text(one) for one in value)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

"""The option ``set`` of ovs_bridge and ovs_port: ``TABLE RECORD COLUMN[:KEY]=VALUE...``, as for ``ovs-vsctl set``.

It is read with the schema of the database, so that a mistake in it is found before anything is changed, also in check
mode. An assignment to a column that a record has a field for becomes part of the record. All other assignments are
records of their own (``columns.py``). How a value is written is in ``values.py``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from ...state.ovs import OvsBridge, OvsPort
from .columns import OvsColumn
from .values import is_map, parse_atom, parse_value, token

TABLES = ("Bridge", "Port", "Interface")
# What is in which bridge, port or bond: the modules' own options change it, and check what they change.
STRUCTURE = (("Bridge", "ports"), ("Port", "interfaces"), ("Port", "fake_bridge"))
# After a comma: the start of another set command, if the first word is a table.
COMMAND = re.compile(r"\s*([A-Za-z_-]+)\s+[^\s=]+(?=\s|$)")

# (table, column) → the field of the record.
FIELDS: Mapping[type, Mapping[tuple[str, str], str]] = {
    OvsBridge: {
        ("Bridge", "datapath_type"): "datapath_type",
        ("Bridge", "fail_mode"): "fail_mode",
        ("Bridge", "other_config"): "other_config",
        ("Bridge", "external_ids"): "external_ids",
    },
    OvsPort: {
        ("Interface", "type"): "type",
        ("Interface", "mac"): "mac",
        ("Interface", "mtu_request"): "mtu",
        ("Interface", "options"): "options",
        ("Interface", "external_ids"): "external_ids",
        ("Port", "tag"): "tag",
        ("Port", "vlan_mode"): "vlan_mode",
        ("Port", "trunks"): "trunks",
        ("Port", "external_ids"): "port_external_ids",
    },
}
# "" in these fields means that the column keeps its value. So the column itself is cleared.
OPEN_IF_EMPTY = ("datapath_type", "fail_mode", "mac")

Schema = Mapping[str, Any]  # table → {"columns": {column → {"type": …}}}
Record = TypeVar("Record", OvsBridge, OvsPort)


def with_set(record: Record, given: Any, schema: Schema) -> tuple[Record, list[OvsColumn]]:
    """``record`` with the assignments of ``given`` to its fields, and the other assignments.

    :raises ValueError: ``given`` is not of the form above, or a value is not of its column's type.
    """
    others = []
    for column in parse_set(given, schema):
        field = FIELDS[type(record)].get((column.table, column.column))
        if field is None or column.record != record.name:
            others.append(column)
            continue
        value = _field_value(column, getattr(record, field))
        if value == "" and field in OPEN_IF_EMPTY:
            others.append(column)
        changed: dict[str, Any] = {field: value}
        record = replace(record, **changed)
    return record, others


def parse_set(given: Any, schema: Schema) -> list[OvsColumn]:
    """The assignments of the option: one text, or a list of texts. In one text, a comma may separate commands. Without
    assignments (``Interface eth6``) a command is valid and sets nothing.

    Words are quoted as in a shell. The names of tables and columns may be abbreviated.

    :raises ValueError: the text is not of that form, or a value is not of its column's type.
    """
    texts = given if isinstance(given, list) else [given] if given else []
    if any(not isinstance(text, str) for text in texts):
        raise ValueError(f"set: {given!r}: must be a text or a list of texts: TABLE RECORD COLUMN[:KEY]=VALUE")
    return [column for text in texts for command in _commands(text, schema) for column in _parse(command, schema)]


def _commands(text: str, schema: Schema) -> Iterator[str]:
    """The set commands of ``text``: they are separated by commas that a table and a record follow. Other commas, and
    those in quotes, are part of a value."""
    start, index, quote = 0, 0, ""
    while index < len(text):
        letter = text[index]
        if letter == "\\" and quote != "'":
            index += 1
        elif letter in "\"'" and quote in ("", letter):
            quote = "" if quote else letter
        elif letter == "," and not quote:
            found = COMMAND.match(text, index + 1)
            if found and _best(found[1], schema):
                yield text[start:index]
                start = index + 1
        index += 1
    yield text[start:]


def _parse(command: str, schema: Schema) -> list[OvsColumn]:
    """The assignments of one command."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"set: {command!r}: a quote is not closed") from error
    if not words:
        return []
    if len(words) < 2:
        raise ValueError(f"set: {command!r}: must be TABLE RECORD COLUMN[:KEY]=VALUE")
    if "--" in words:
        raise ValueError(f"set: {command!r}: '--' and further commands are not supported: write a list of sets")
    tables = _best(words[0], schema)
    if len(tables) != 1 or tables[0] not in TABLES:
        raise ValueError(f"set: {command!r}: the table must be Bridge, Port or Interface")
    return [_assignment(schema, tables[0], words[1], word) for word in words[2:]]


def _assignment(schema: Schema, table: str, record: str, word: str) -> OvsColumn:
    """The column that ``word`` (``COLUMN[:KEY]=VALUE``) sets."""
    try:
        given, index = token(word)
        key = ""
        if word[index : index + 1] == ":":
            key, index = token(word, index + 1)
        if not given or word[index : index + 1] != "=" or (word[len(given)] == ":" and not key):
            raise ValueError("must be COLUMN[:KEY]=VALUE")
        value = word[index + 1 :]
        if not value:
            raise ValueError('a value is missing: write [] for none, {} for an empty map, "" for an empty string')
        column = _column(schema, table, given)
        kind = schema[table]["columns"][column]["type"]
        if not key:
            return OvsColumn(table, record, column, "", parse_value(value, kind))
        if not is_map(kind):
            raise ValueError(f"column {column} is no map: must be COLUMN=VALUE")
        return OvsColumn(table, record, column, str(parse_atom(key, kind["key"])), parse_atom(value, kind["value"]))
    except ValueError as error:
        raise ValueError(f"set: {table} {record} {word}: {error}") from error


def _column(schema: Schema, table: str, given: str) -> str:
    """The column of ``table`` that is named or abbreviated ``given``.

    :raises ValueError: there is none or there are several, or it cannot be set.
    """
    columns = schema[table]["columns"]
    found = _best(given, columns)
    if not found:
        raise ValueError(f"table {table} has no column {given}")
    if len(found) > 1:
        raise ValueError(f"{given} is short for several columns: {', '.join(found)}")
    if not columns[found[0]].get("mutable", True):
        raise ValueError(f"column {found[0]} cannot be changed")
    if (table, found[0]) in STRUCTURE:
        raise ValueError(f"column {found[0]} is changed by the other options of ovs_bridge and ovs_port only")
    return found[0]


def _best(given: str, names: Iterable[str]) -> list[str]:
    """The names that ``given`` is, or is short for, as ovs-vsctl finds them: case does not matter, and ``-`` is
    ``_``."""

    def plain(name: str) -> str:
        return name.lower().replace("-", "_")

    names = sorted(names)
    equal = [name for name in names if name == given] or [name for name in names if plain(name) == plain(given)]
    return equal or [name for name in names if plain(name).startswith(plain(given))]


def _field_value(column: OvsColumn, now: Any) -> Any:
    """The new value of the record's field that the column is, ``now`` being its present one."""
    if column.key:
        return {**now, column.key: column.value}
    if isinstance(now, tuple) or isinstance(column.value, dict):
        return column.value
    value = column.value[0] if column.value else None if column.column in ("tag", "mtu_request") else ""
    return "" if (column.column, value) == ("type", "system") else value

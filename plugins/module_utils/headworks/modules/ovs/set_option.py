"""The option ``set`` of ovs_bridge and ovs_port: ``TABLE RECORD COLUMN[:KEY]=VALUE...``, as for ``ovs-vsctl set``.

An assignment to a column that a record has a field for becomes part of the record, so it is in the same transaction as
everything else about a new port or bridge. All other assignments are records of their own (``columns.py``).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from ...state.ovs import OvsBridge, OvsPort
from .columns import OvsColumn

TABLES = {"bridge": "Bridge", "port": "Port", "interface": "Interface"}
ASSIGNMENT = re.compile(r"([A-Za-z_-]+)(?::([^=]+))?=(.*)", re.DOTALL)

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
MAPS = ("other_config", "external_ids", "port_external_ids", "options")
NUMBERS = ("tag", "mtu")

Record = TypeVar("Record", OvsBridge, OvsPort)


def with_set(record: Record, given: str | list[str] | None) -> tuple[Record, list[OvsColumn]]:
    """``record`` with the assignments of ``given`` to its fields, and the other assignments.

    :raises ValueError: ``given`` is not of the form above, or a value is not of its column's type.
    """
    others = []
    for text in [given] if isinstance(given, str) else given or []:
        for assignment in parse_set(text):
            field = FIELDS[type(record)].get((assignment.table, assignment.column))
            if field is None or assignment.record != record.name:
                others.append(assignment)
            else:
                changed: dict[str, Any] = {field: _field_value(assignment, field, getattr(record, field))}
                record = replace(record, **changed)
    return record, others


def parse_set(text: str) -> list[OvsColumn]:
    """The assignments of ``text``. Without assignments (``Interface eth6``) it is valid and sets nothing.

    Words are quoted as in a shell. The table's name is written in full, in any case.

    :raises ValueError: the text is not of that form.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"set: {text!r}: a quote is not closed") from error
    if not words:
        return []
    if len(words) < 2:
        raise ValueError(f"set: {text!r}: must be TABLE RECORD COLUMN[:KEY]=VALUE")
    table = TABLES.get(words[0].lower())
    if table is None:
        raise ValueError(f"set: {text!r}: the table must be Bridge, Port or Interface")
    return [_assignment(table, words[1], word) for word in words[2:]]


def _assignment(table: str, record: str, word: str) -> OvsColumn:
    found = ASSIGNMENT.fullmatch(word)
    if found is None:
        raise ValueError(f"set: {word!r}: must be COLUMN[:KEY]=VALUE")
    column, key, value = found[1].replace("-", "_"), found[2] or "", found[3]
    if value.startswith("{"):
        raise ValueError(f"set: {word!r}: set the keys of a map one by one: COLUMN:KEY=VALUE")
    return OvsColumn(table, record, column, key, _unquote(value))


def _unquote(text: str) -> str:
    """``text`` without the double quotes that ovs-vsctl allows around a string (they are left by an outer pair of
    single quotes)."""
    return str(json.loads(text)) if len(text) > 1 and text[0] == text[-1] == '"' else text


def _field_value(assignment: OvsColumn, field: str, now: Any) -> Any:
    """The field's new value, ``now`` being its present one."""
    value = assignment.value
    if bool(assignment.key) != (field in MAPS):
        form = "COLUMN:KEY=VALUE" if field in MAPS else "COLUMN=VALUE"
        raise ValueError(f"set {assignment.name}={value}: must be {form}")
    if assignment.key:
        return {**now, assignment.key: value}
    parts = assignment.parts()
    try:
        if field == "trunks":
            return tuple(sorted(int(part) for part in parts))
        if field in NUMBERS:
            return int(value) if parts else None
    except ValueError as error:
        raise ValueError(f"set {assignment.name}={value}: must be a number") from error
    return value if parts and (field, value) != ("type", "system") else ""

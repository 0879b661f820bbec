"""Convert records to plain JSON-able data and back. A node state travels in this form, and ``--diff`` shows it.

What does not belong here: the records themselves. They are in the other files of this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Return ``value`` as plain JSON-able data: a record becomes a dict without the fields that have their default, a
    tuple becomes a list."""
    if isinstance(value, (str, int)):  # the fast path: nearly all values of a big node state
        return value
    if is_dataclass(value) and not isinstance(value, type):
        fields_set = ((name, default, getattr(value, name)) for name, default in _defaults(type(value)))
        return {name: encode(field_value) for name, default, field_value in fields_set if field_value != default}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(encode(item) for item in value)
    return value


@cache
def _defaults(record: type) -> tuple[tuple[str, Any], ...]:
    """Return (field name, default) of each field. A required field has ``MISSING``, which equals no value."""
    return tuple(
        (field.name, field.default if field.default_factory is MISSING else field.default_factory())
        for field in fields(record)
    )


def decode(record: type[T], data: Mapping[str, Any]) -> T:
    """Return the frozen dataclass ``record`` with the fields of ``data``. Lists become tuples. A record declares its
    nested records in its class attribute ``nested``, a mapping of field name → record.

    :raises ValueError: ``data`` has an unknown field, or a required field is missing.
    """
    nested: Mapping[str, type] = getattr(record, "nested", {})
    values = {}
    for name, value in data.items():
        if name in nested and value is not None:
            values[name] = _decode_nested(nested[name], value)
        else:
            values[name] = _freeze(value)
    try:
        return record(**values)
    except TypeError as error:
        raise ValueError(f"{record.__name__}: {error}") from error


def _decode_nested(record: type, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(decode(record, item) for item in value)
    return decode(record, value)


def _freeze(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_freeze(item) for item in value)
    return value

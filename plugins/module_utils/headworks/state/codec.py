"""Records to plain JSON-able data and back: how a node state travels, and what ``--diff`` shows.

The records themselves are in the other files of this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Dataclasses and tuples to plain JSON-able data; fields at their default are left out."""
    if isinstance(value, (str, int)):  # nearly all of what is in a big node state
        return value
    if is_dataclass(value) and not isinstance(value, type):
        found = ((name, default, getattr(value, name)) for name, default in _defaults(type(value)))
        return {name: encode(one) for name, default, one in found if one != default}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(encode(item) for item in value)
    return value


@cache
def _defaults(record: type) -> tuple[tuple[str, Any], ...]:
    """(field, its default) of a record; a field that must be given has ``MISSING``, which equals nothing."""
    return tuple(
        (one.name, one.default if one.default_factory is MISSING else one.default_factory()) for one in fields(record)
    )


def decode(record: type[T], data: Mapping[str, Any]) -> T:
    """A plain mapping to the frozen dataclass ``record``: lists become tuples; nested records are declared by the
    record's own ``nested`` class attribute, a mapping of field name → record.

    :raises ValueError: an unknown field, or a missing one.
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

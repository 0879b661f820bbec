"""Values as they are written for ``ovs-vsctl set``, read with the types of OVSDB's schema: ``5``, ``true``, ``[1, 2]``,
``1-10``, ``{a=b, "c d"=e}``.

What does not belong here: which column a value is for (``set_option.py``), and changing columns (``columns.py``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

DELIMITERS = frozenset(":=, []{}!<>")
BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}

Member = TypeVar("Member")

# A column's type, or that of a key or value, in the schema: a name, or an object with a name and limits.
Kind = str | Mapping[str, Any]


def is_map(kind: Kind) -> bool:
    """Whether a column of this type is a map."""
    return not isinstance(kind, str) and "value" in kind


def token(text: str, start: int = 0) -> tuple[str, int]:
    """Return the token of ``text`` at ``start``, and the index after it. Delimiters between double quotes, and escaped
    quotes, are part of the token. The quotes and escapes are kept.

    :raises ValueError: a quote is not closed, or the text ends with a backslash.
    """
    index, quoted = start, False
    while index < len(text) and (quoted or text[index] not in DELIMITERS):
        if text[index] == "\\":
            if index + 1 == len(text):
                raise ValueError(f"{text!r} ends with a backslash")
            index += 1
        elif text[index] == '"':
            quoted = not quoted
        index += 1
    if quoted:
        raise ValueError(f"{text!r}: a double quote is not closed")
    return text[start:index], index


def parse_value(text: str, kind: Kind) -> Any:
    """Return the value of a whole column: a dict for a map, otherwise a sorted tuple (also for a single value).

    :raises ValueError: the value is not of the column's type.
    """
    kind = {"key": kind} if isinstance(kind, str) else kind
    found = _parse_map(text, kind) if is_map(kind) else _parse_set(text, kind)
    least, most = kind.get("min", 1), kind.get("max", 1)
    if len(found) < least or (most != "unlimited" and len(found) > most):
        limit = f"at least {least}" if len(found) < least else f"at most {most}"
        raise ValueError(f"{text!r} has {len(found)} values: there must be {limit}")
    return found


def parse_atom(text: str, kind: Kind) -> Any:
    """Return one value, or one key or value of a map.

    :raises ValueError: the text is not of this type, or is outside the type's limits.
    """
    limits: Mapping[str, Any] = {"type": kind} if isinstance(kind, str) else kind
    value = _bare_atom(text, limits["type"])
    _check_limits(text, value, limits)
    return value


def canonical(value: Any) -> Any:
    """Return a column as OVSDB sends it in the form of ``parse_value``."""
    if isinstance(value, list) and value and value[0] == "map":
        return dict(value[1])
    if isinstance(value, list) and value and value[0] == "set":
        return tuple(sorted(value[1]))
    return (value,)


def _parse_set(text: str, kind: Mapping[str, Any]) -> tuple[Any, ...]:
    def read(index: int) -> tuple[list[Any], int]:
        word, end = token(text, index)
        return _range(word, kind["key"]) or [parse_atom(word, kind["key"])], end

    values = [value for members in _members(text, "[]", read) for value in members]
    if len(set(values)) < len(values):
        raise ValueError(f"{text!r} has a value twice")
    return tuple(sorted(values))


def _parse_map(text: str, kind: Mapping[str, Any]) -> dict[Any, Any]:
    def read(index: int) -> tuple[tuple[Any, Any], int]:
        key, middle = token(text, index)
        if text[middle : middle + 1] != "=":
            raise ValueError(f"{text!r}: '=' is missing after {key!r}")
        value, end = token(text, middle + 1)
        return (parse_atom(key, kind["key"]), parse_atom(value, kind["value"])), end

    pairs = _members(text, "{}", read)
    if len(dict(pairs)) < len(pairs):
        raise ValueError(f"{text!r} has a key twice")
    return dict(pairs)


def _members(text: str, brackets: str, read: Callable[[int], tuple[Member, int]]) -> list[Member]:
    """Return the members of a set or map. ``brackets`` around them are optional, unless there are no members. ``read``
    returns the member at an index, and the index after it."""
    index = _skip_blanks(text, 0)
    if index == len(text):
        raise ValueError(f"a value is missing: write {brackets} for none")
    closing = brackets[1] if text[index] == brackets[0] else ""
    if closing:
        index = _skip_blanks(text, index + 1)
    found = []
    while index < len(text) and text[index] != closing:
        if text[index] in DELIMITERS:
            raise ValueError(f"{text!r}: unexpected {text[index]!r}")
        member, index = read(index)
        found.append(member)
        index = _skip_blanks(text, index)
        if text[index : index + 1] == ",":
            index = _skip_blanks(text, index + 1)
    if closing and text[index:].rstrip(" ") != closing:
        raise ValueError(f"{text!r}: must end with {closing!r}")
    return found


def _skip_blanks(text: str, index: int) -> int:
    while text[index : index + 1] == " ":
        index += 1
    return index


def _range(word: str, kind: Kind) -> list[int]:
    """Return the numbers of ``1-10``; an empty list if ``word`` is not a range of numbers."""
    first, dash, last = word.partition("-")
    name = kind if isinstance(kind, str) else kind["type"]
    if name != "integer" or not (dash and first.isdecimal() and last.isdecimal()):
        return []
    bounds = [parse_atom(bound, kind) for bound in (first, last)]
    if bounds[0] > bounds[1]:
        raise ValueError(f"{word!r} is not a range: {first} is greater than {last}")
    return list(range(bounds[0], bounds[1] + 1))


def _bare_atom(text: str, name: str) -> Any:
    """Return ``text`` as a value of the type ``name``, whatever its limits are."""
    try:
        if name == "integer":
            return int(text, 16 if text.lower().startswith("0x") else 10)
        if name == "real":
            return float(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not of type {name}") from error
    if name == "boolean":
        if text.lower() not in BOOLEANS:  # Ansible writes the boolean of a template as True
            raise ValueError(f"{text!r} is not of type boolean: write true or false")
        return BOOLEANS[text.lower()]
    if name == "uuid":
        raise ValueError("references to other rows are not supported")
    return _string(text)


def _string(text: str) -> str:
    """Return the string that ``text`` is, or that it has between double quotes."""
    if not text:
        raise ValueError('an empty string must be written as ""')
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text, strict=False))
    except json.JSONDecodeError as error:
        raise ValueError(f"{text!r}: what starts with a double quote must be a string in double quotes") from error


def _check_limits(text: str, value: Any, limits: Mapping[str, Any]) -> None:
    if "enum" in limits and value not in canonical(limits["enum"]):
        raise ValueError(f"{text!r} is not one of {', '.join(str(one) for one in canonical(limits['enum']))}")
    low = limits.get("minInteger", limits.get("minReal"))
    high = limits.get("maxInteger", limits.get("maxReal"))
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = [f"{word} {bound}" for word, bound in (("at least", low), ("at most", high)) if bound is not None]
        raise ValueError(f"{text!r} must be {' and '.join(bounds)}")
    if limits["type"] == "string":
        least, most = limits.get("minLength", 0), limits.get("maxLength", len(value))
        if not least <= len(value) <= most:
            raise ValueError(f"{text!r} must have {least} to {most} characters")

"""How a value is written in an inventory: markers inside the types of the models, for the reference and for editors.

A marker checks nothing. The checks stand beside the markers, in ``addresses.py``, ``names.py`` and the models. The code
that reads the markers is ``describe.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


# Types are hashed (``Name | None``), and a schema cannot be: so two markers are equal only if they are the same object.
@dataclass(frozen=True, eq=False)
class Kind:
    """What a value is called, and the JSON Schema of everything that may be written for it.

    :ivar example: a value for places where the reference needs one, for example the key of a dictionary.
    """

    text: str
    schema: Mapping[str, Any]
    example: str = ""


@dataclass(frozen=True, eq=False)
class ShortForm:
    """Other ways to write a value, beside what its type says: one name instead of a dictionary, for example."""

    kinds: tuple[Kind, ...]


def text_kind(text: str, pattern: str, *, example: str = "", most: int = 0) -> Kind:
    """The kind of a text that matches ``pattern`` (as JSON Schema reads it) and has at most ``most`` characters."""
    schema: dict[str, Any] = {"type": "string", "pattern": pattern}
    if most:
        schema["maxLength"] = most
    return Kind(text, schema, example)


def range_kind(text: str, low: int, high: int) -> Kind:
    """The kind of a range of numbers: ``"80:90"``, ``"80-90"``, ``80`` or ``[80, 90]``."""
    number = {"type": "integer", "minimum": low, "maximum": high}
    pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
    words = {"type": "string", "pattern": "^[0-9]{1,10}([:-][0-9]{1,10})?$"}
    return Kind(f"{text} ({low} to {high})", {"anyOf": [words, number, pair]})


@dataclass(frozen=True, eq=False)
class Unset:
    """What a field that is not given means, where its default in the model (null) says something else."""

    text: str


NULL_KIND = Kind("null", {"type": "null"})
NULL = ShortForm((NULL_KIND,))
EMPTY_TEXT = ShortForm((Kind("empty", {"const": ""}),))

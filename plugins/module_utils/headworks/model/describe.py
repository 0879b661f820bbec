"""What the models say of themselves, as plain records: every field with its description, default and allowed values.

What does not belong here: texts, tables and schemas made of it (``view/reference/``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, MaxLen
from pydantic.fields import FieldInfo

from .base import Model, aliases
from .inventory import HELPERS, MODELS
from .written import NULL_KIND, Kind, ShortForm, Unset

_BOOLEAN = ("true", "false", "yes", "no", "on", "off")
_BOOLEAN_TEXT = "^(" + "|".join(f"{one}|{one.title()}|{one.upper()}" for one in _BOOLEAN) + ")$"
_PLAIN_KINDS = {
    bool: Kind("boolean", {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": _BOOLEAN_TEXT}]}),
    str: Kind("text", {"type": "string"}),
    Any: Kind("any value", {}),
}
_NUMBER_TEXT = {int: "^[+-]?[0-9]+$", float: "^[+-]?[0-9]*[.]?[0-9]+$"}


@dataclass(frozen=True)
class Scalar:
    """A value of a kind. ``choices`` are the allowed values, if these are few."""

    kind: Kind
    choices: tuple[Any, ...] = ()
    also: tuple[Kind, ...] = ()


@dataclass(frozen=True)
class ListOf:
    """A list."""

    item: Shape
    also: tuple[Kind, ...] = ()


@dataclass(frozen=True)
class DictOf:
    """A dictionary with free keys. ``most`` is the number of entries allowed; 0 = any number."""

    key: Scalar
    value: Shape
    most: int = 0
    also: tuple[Kind, ...] = ()


@dataclass(frozen=True)
class Nested:
    """A dictionary with the fields of a model."""

    model: type[Model]
    also: tuple[Kind, ...] = ()


# ``also`` are other ways to write the same: null, or one name for a dictionary.
Shape: TypeAlias = Scalar | ListOf | DictOf | Nested


@dataclass(frozen=True)
class Entry:
    """A field as an operator writes it.

    :ivar aliases: other names for the field.
    :ivar unset: what it means to leave the field out, in words; "" where ``default`` says it.
    """

    name: str
    description: str
    shape: Shape
    required: bool
    default: Any
    examples: tuple[Any, ...] = ()
    aliases: tuple[str, ...] = ()
    unset: str = ""


def variables(prefix: str) -> tuple[Entry, ...]:
    """The variables of a prefix (cloud, node, instance), with their whole names."""
    models = [MODELS[prefix], *HELPERS.get(prefix, ())]
    return tuple(entry for model in models for entry in entries(model, f"{prefix}_"))


def entries(model: type[Model], prefix: str = "") -> tuple[Entry, ...]:
    """The fields of a model."""
    return tuple(_entry(prefix + name, info) for name, info in model.model_fields.items())


def nested_models(found: Iterable[Entry]) -> tuple[type[Model], ...]:
    """The models below some fields, at any depth, each once, in the order in which a reader meets them."""
    return tuple(dict.fromkeys(model for entry in found for model in _models(entry.shape)))


def innermost(shape: Shape) -> Scalar | Nested:
    """What the lists and dictionaries of ``shape`` hold."""
    while isinstance(shape, (ListOf, DictOf)):
        shape = shape.item if isinstance(shape, ListOf) else shape.value
    return shape


def _models(shape: Shape) -> Iterator[type[Model]]:
    inner = innermost(shape)
    if isinstance(inner, Nested):
        yield inner.model
        yield from nested_models(entries(inner.model))


def _entry(name: str, info: FieldInfo) -> Entry:
    markers = [one for one in info.metadata if isinstance(one, Unset)]
    return Entry(
        name=name,
        description=info.description or "",
        shape=_shape(info.annotation, info.metadata),
        required=info.is_required(),
        default=None if info.is_required() else _plain(info.get_default(call_default_factory=True)),
        examples=tuple(info.examples or ()),
        aliases=tuple(one for one in aliases(info) if one != name),
        unset=markers[0].text if markers else "",
    )


def _plain(default: Any) -> Any:
    """A default as it would be written in an inventory."""
    if isinstance(default, Model):
        return default.model_dump(exclude_defaults=True)
    return f"{default[0]}:{default[1]}" if isinstance(default, tuple) else default


@dataclass
class _Read:
    """What an annotation says, its layers taken off."""

    annotation: Any
    nullable: bool = False
    metadata: list[Any] = field(default_factory=list)

    def number(self, kind: type[Ge] | type[Gt] | type[Le] | type[MaxLen], name: str) -> Any:
        """The last bound of a kind (the innermost comes first, and the outer ones narrow it); None if there is none."""
        found = [getattr(one, name) for one in self.metadata if isinstance(one, kind)]
        return found[-1] if found else None


def _read(annotation: Any, metadata: Iterable[Any] = ()) -> _Read:
    read = _Read(annotation)
    outer = list(metadata)
    while True:
        if get_origin(read.annotation) is Annotated:
            inner: list[Any] = []
            for one in read.annotation.__metadata__:
                inner += one.metadata if isinstance(one, FieldInfo) else [one]
            read.metadata = inner + read.metadata
            read.annotation = read.annotation.__origin__
        elif get_origin(read.annotation) in (Union, UnionType):
            read.nullable = True
            (read.annotation,) = (one for one in get_args(read.annotation) if one is not type(None))
        else:
            read.metadata += outer
            return read


def _shape(annotation: Any, metadata: Iterable[Any] = ()) -> Shape:
    read = _read(annotation, metadata)
    also = tuple(kind for one in read.metadata if isinstance(one, ShortForm) for kind in one.kinds)
    if read.nullable:
        also += (NULL_KIND,)
    origin, arguments = get_origin(read.annotation), get_args(read.annotation)
    kinds = [one for one in read.metadata if isinstance(one, Kind)]
    if not kinds and origin is list:
        return ListOf(_shape(arguments[0]), also)
    if not kinds and origin is dict:
        key = _shape(arguments[0])
        assert isinstance(key, Scalar)
        return DictOf(key, _shape(arguments[1]), read.number(MaxLen, "max_length") or 0, also)
    if isinstance(read.annotation, type) and issubclass(read.annotation, Model):
        return Nested(read.annotation, also)
    if origin is Literal:
        return Scalar(Kind("choice", {"enum": list(arguments)}), arguments, also)
    if kinds:
        return Scalar(kinds[-1], (), also)
    if read.annotation in _NUMBER_TEXT:
        return Scalar(_number_kind(read), (), also)
    return Scalar(_text_kind(read), (), also)


def _number_kind(read: _Read) -> Kind:
    """A whole number or any number, and its bounds."""
    whole = read.annotation is int
    schema: dict[str, Any] = {"type": "integer" if whole else "number"}
    least, more, most = read.number(Ge, "ge"), read.number(Gt, "gt"), read.number(Le, "le")
    words = "whole number" if whole else "number"
    if least is not None:
        schema["minimum"] = least
    if more is not None:
        schema["exclusiveMinimum"] = more
    if most is not None:
        schema["maximum"] = most
    if least is not None and most is not None:
        words += f" ({least} to {most})"
    elif least is not None:
        words += f" (at least {least})"
    elif more is not None:
        words += f" (more than {more})"
    return Kind(words, {"anyOf": [schema, {"type": "string", "pattern": _NUMBER_TEXT[read.annotation]}]})


def _text_kind(read: _Read) -> Kind:
    patterns = [one.pattern for one in read.metadata if isinstance(getattr(one, "pattern", None), str)]
    if read.annotation is str and patterns:
        return Kind("text", {"type": "string", "pattern": patterns[-1]})
    return _PLAIN_KINDS[read.annotation]

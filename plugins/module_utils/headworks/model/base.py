"""The base of every model, and numbers. What an operator misspells is refused: no model takes an unknown key.

Every field of every model has a description: the reference of the variables and the JSON Schema are generated from
the models (``describe.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo

from .names import Name
from .written import NULL

K = TypeVar("K")
T = TypeVar("T")


class Model(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _no_bool(value: Any) -> Any:
    # YAML's ``yes`` would otherwise pass for 1.
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def none_as(make: Callable[[], Any]) -> BeforeValidator:
    """An empty YAML value (null) where a dictionary or a list is expected means an empty one."""
    return BeforeValidator(lambda value: make() if value is None else value)


def _bracketed(value: Any) -> Any:
    return value if value is None or isinstance(value, (list, tuple)) else [value]


def _listed(value: Any) -> Any:
    return [] if value is None else _bracketed(value)


def also(name: str, *others: str) -> AliasChoices:
    """The names under which a field may be written: its own, then OpenStack's."""
    return AliasChoices(name, *others)


def aliases(info: FieldInfo) -> tuple[str, ...]:
    """All names of a field that has several names."""
    alias = info.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return tuple(one for one in choices if isinstance(one, str))


Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=0)]
Positive = Annotated[int, BeforeValidator(_no_bool), Field(ge=1)]
Ratio = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, allow_inf_nan=False)]
Limit = Annotated[int, BeforeValidator(_no_bool), Field(ge=-1)]
TcpPort = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=65535)]
Whole = Annotated[int, BeforeValidator(_no_bool)]
# A list with one item may be written without brackets.
Items = Annotated[list[T], BeforeValidator(_bracketed)]
# Empty when not given, or null.
Listed = Annotated[list[T], NULL, BeforeValidator(_listed), Field(default_factory=list)]
Keyed = Annotated[dict[K, T], NULL, none_as(dict), Field(default_factory=dict)]
Named = Annotated[dict[Name, T], NULL, none_as(dict), Field(default_factory=dict)]

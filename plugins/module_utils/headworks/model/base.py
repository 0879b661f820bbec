"""The base of every model, and numbers. What an operator misspells is refused: no model takes an unknown key.

Every field of every model has a description: the reference of the variables and the JSON Schema are generated from
the models (``describe.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

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


Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=0)]
Positive = Annotated[int, BeforeValidator(_no_bool), Field(ge=1)]
Ratio = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, allow_inf_nan=False)]
Limit = Annotated[int, BeforeValidator(_no_bool), Field(ge=-1)]
TcpPort = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=65535)]
Whole = Annotated[int, BeforeValidator(_no_bool)]
# Empty when not given, or null.
Listed = Annotated[list[T], NULL, none_as(list), Field(default_factory=list)]
Keyed = Annotated[dict[K, T], NULL, none_as(dict), Field(default_factory=dict)]
Named = Annotated[dict[Name, T], NULL, none_as(dict), Field(default_factory=dict)]

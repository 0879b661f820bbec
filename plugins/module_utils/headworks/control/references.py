"""The names of the variables that templates use.

What does not belong here: expanding templates (``variables.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, meta

from .variables import has_template

_ENVIRONMENT = Environment()


def names_in(value: Any) -> frozenset[str]:
    """The names that the templates in ``value`` use, also inside dictionaries and lists.

    A template with an error has no names: expanding it reports the error.
    """
    if isinstance(value, str):
        return _names(str(value)) if has_template(value) else frozenset()
    if isinstance(value, Mapping):
        return frozenset().union(*map(names_in, value.values()))
    if isinstance(value, (list, tuple)):
        return frozenset().union(*map(names_in, value))
    return frozenset()


def names_used(value: Any, variables: Mapping[str, Any]) -> set[str]:
    """The names that the templates in ``value`` use, also by way of other ``variables``."""
    found: set[str] = set()
    pending = set(names_in(value))
    while pending:
        name = pending.pop()
        found.add(name)
        if name in variables:
            pending |= names_in(variables[name]) - found
    return found


@lru_cache(maxsize=4096)
def _names(text: str) -> frozenset[str]:
    try:
        return frozenset(meta.find_undeclared_variables(_ENVIRONMENT.parse(text)))
    except TemplateSyntaxError:
        return frozenset()

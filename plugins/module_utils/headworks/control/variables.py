"""Inventory variables as the plan wants them: plain data, and dictionaries that several inventories add to.

What does not belong here: what a variable means (``model/``), and asking Ansible for it (``plugins/action``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..model.errors import PlanError

ADDITION = "__"
# Read for itself, from its own file: not to be templated, which takes long at 20,000 instances.
ALLOCATIONS = "cloud_allocations"


def select(variables: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The variables whose name begins with ``prefix``, without the allocations."""
    return {name: value for name, value in variables.items() if name.startswith(prefix) and name != ALLOCATIONS}


def merge_additions(variables: Mapping[str, Any]) -> dict[str, Any]:
    """``cloud_networks__mine`` merged over ``cloud_networks``, entry by entry, in the order of the names.

    That is how a second inventory adds to the dictionaries of the first, where a variable of the same name would
    replace them.

    :raises PlanError: an addition, or what it adds to, is not a dictionary.
    """
    merged = {name: value for name, value in variables.items() if ADDITION not in name}
    messages = []
    for name in sorted(set(variables) - set(merged)):
        base = name.partition(ADDITION)[0]
        addition, here = variables[name] or {}, merged.get(base) or {}
        if not isinstance(addition, Mapping):
            messages.append(f"{name}: {addition!r}: must be a dictionary; it is merged over {base}")
        elif not isinstance(here, Mapping):
            messages.append(f"{name}: {base} is no dictionary, so nothing can be added to it")
        else:
            merged[base] = {**here, **addition}
    if messages:
        raise PlanError(messages)
    return merged


def plain(value: Any) -> Any:
    """Ansible's tagged values as Python's own, all the way down."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    for kind in (bool, str, int, float):
        if isinstance(value, kind):
            return value if type(value) is kind else kind(value)
    return value


def has_template(value: Any) -> bool:
    """Whether some text in ``value`` may be a template; most hosts of a big inventory have none, and it costs."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value or "{#" in value
    if isinstance(value, Mapping):
        return any(has_template(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(map(has_template, value))


def expand(variables: Mapping[str, Any], template: Callable[[Any], Any], where: str = "") -> dict[str, Any]:
    """``variables`` as plain data, those that hold templates expanded with ``template``.

    :param where: what errors begin with, for example ``instances.vm1.``.
    :raises PlanError: templates that cannot be expanded, each named by its variable.
    """
    values, messages = {}, []
    for name, value in variables.items():
        if not has_template(value):
            values[name] = plain(value)
            continue
        try:
            values[name] = plain(template(value))
        except Exception as error:  # whatever a lookup or a filter raises
            messages.append(f"{where}{name}: {' '.join(str(error).split())}")
    if messages:
        raise PlanError(messages)
    return values

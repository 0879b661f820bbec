"""Inventory variables as input of the plan: plain data, with the additions of several inventories merged.

What does not belong here: the meaning of a variable (``model/``), and reading it from Ansible (``plugins/action``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..model.errors import PlanError
from ..model.inventory import ADDITION

# The plan reads this variable from its own file: templating it takes long at 20,000 instances.
ALLOCATIONS = "cloud_allocations"


def select(variables: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The variables whose name begins with ``prefix``, without the allocations."""
    return {name: value for name, value in variables.items() if name.startswith(prefix) and name != ALLOCATIONS}


def merge_additions(variables: Mapping[str, Any]) -> dict[str, Any]:
    """``variables`` with each addition, such as ``cloud_networks__mine``, merged over its base, ``cloud_networks``.

    Entries of an addition replace entries of the base; additions are merged in the order of their names. A second
    inventory uses this to add to the dictionaries of the first: a variable of the same name would replace them.

    :raises PlanError: an addition, or the base of an addition, is not a dictionary.
    """
    merged = {name: value for name, value in variables.items() if ADDITION not in name}
    messages = []
    for name in sorted(set(variables) - set(merged)):
        base = name.partition(ADDITION)[0]
        addition, existing = variables[name] or {}, merged.get(base) or {}
        if not isinstance(addition, Mapping):
            messages.append(f"{name}: {addition!r}: must be a dictionary; it is merged over {base}")
        elif not isinstance(existing, Mapping):
            messages.append(f"{name}: {base} is not a dictionary, so it cannot be added to")
        else:
            merged[base] = {**existing, **addition}
    if messages:
        raise PlanError(messages)
    return merged


def plain(value: Any) -> Any:
    """Ansible's tagged values as Python's own types, also inside dictionaries and lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    for kind in (bool, str, int, float):
        if isinstance(value, kind):
            return value if type(value) is kind else kind(value)
    return value


def has_template(value: Any) -> bool:
    """Whether any text in ``value`` may be a template.

    Expanding is slow, and most variables of a large inventory hold no template.
    """
    if isinstance(value, str):
        return "{{" in value or "{%" in value or "{#" in value
    if isinstance(value, Mapping):
        return any(has_template(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(map(has_template, value))


def expand(
    variables: Mapping[str, Any], template: Callable[[Any], Any], where: str = "",
    plain: Callable[[Any], Any] = plain,
) -> dict[str, Any]:
    """``variables`` as plain data, with values that hold templates expanded by ``template``.

    :param where: the beginning of the key in messages, for example ``instances.vm1.``.
    :param plain: what makes Ansible's values plain; ``Secrets.plain`` also decrypts them.
    :raises PlanError: values cannot be expanded or decrypted; each message names a variable.
    """
    values, messages = {}, []
    for name, value in variables.items():
        try:
            values[name] = plain(template(value) if has_template(value) else value)
        except Exception as error:  # a lookup or a filter can raise any exception
            messages.append(f"{where}{name}: {' '.join(str(error).split())}")
    if messages:
        raise PlanError(messages)
    return values

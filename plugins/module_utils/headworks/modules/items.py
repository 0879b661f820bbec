"""What all modules in library/ share: one item or a list of them, one walk through the engine, one way to end.

A module used alone marks nothing as a cloud's and prunes nothing: it looks only at the items it was given, and
``state: absent`` removes the named item whoever made it. What does not belong here: anything about one kind of item.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..engine import converge as engine
from ..engine.converge import ConvergeError, Result
from ..engine.doors import converge_steps
from ..node.subsystem import Applied, Change, Reading, Scope, Subsystem, Undone


class DiscreetModule(AnsibleModule):  # type: ignore[misc]  # Ansible has no types
    """A module whose arguments hold user data: they are not written to the node's log.

    Ansible's own ``no_log`` is no use here: on an argument it censors every word of it in all results, and as
    AnsibleModule's parameter it is overwritten by what the task says.
    """

    def _log_invocation(self) -> None:
        """Nothing."""


STATE = {"type": "str", "choices": ["present", "absent"]}

# (subsystem, present, absent); the mappings are name → record.
Step = tuple[Subsystem[Any], Mapping[str, Any], Mapping[str, Any]]


def item_module(
    plural: str, options: Mapping[str, Any], key: str = "name", common: Mapping[str, Any] | None = None, **rules: Any
) -> AnsibleModule:
    """The AnsibleModule that takes one item (its options at the top) or a list of items (under ``plural``).

    :param options: argument spec of one item, without ``state`` (added here) and **without defaults**: an option that
        is not given stays absent, so that the engine's record decides and a list's items can inherit from the top.
    :param key: the option that names an item; required in each.
    :param common: options of the call as a whole, not of an item (a timeout, a socket); ``items`` leaves them out.
    :param rules: further keyword arguments of AnsibleModule (``required_if`` …).
    """
    one = {**options, "state": STATE}
    item = {**one, key: {**one[key], "required": True}}
    spec = {**one, **(common or {}), plural: {"type": "list", "elements": "dict", "options": item}}
    return AnsibleModule(
        argument_spec=spec,
        mutually_exclusive=[[key, plural], *rules.pop("mutually_exclusive", [])],
        required_one_of=[[key, plural], *rules.pop("required_one_of", [])],
        supports_check_mode=True,
        **rules,
    )


def items(module: AnsibleModule, plural: str, common: Iterable[str] = ()) -> list[dict[str, Any]]:
    """The items as given, options that were not given and those of ``common`` left out; each has ``state``.

    In a list, what is given at the top (``bridge: br-int`` beside ``ports: [...]``) holds for every item that does not
    say otherwise.
    """
    top = _given({key: value for key, value in module.params.items() if key != plural and key not in common})
    top.setdefault("state", "present")
    listed = module.params[plural]
    return [top] if listed is None else [{**top, **_given(item)} for item in listed]


def split(
    subsystem: type[Subsystem[Any]], wanted: Iterable[Mapping[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Items whose options are the record's fields, as (present, absent) records keyed by name.

    :raises ValueError: an option the record does not know.
    """
    chosen: dict[str, list[dict[str, Any]]] = {"present": [], "absent": []}
    for item in wanted:
        fields = {key: value for key, value in item.items() if key != "state"}
        chosen[item["state"]].append(fields)
    return subsystem.load(chosen["present"]), subsystem.load(chosen["absent"])


def finish(module: AnsibleModule, steps: Sequence[Step], **extra: Any) -> None:
    """Converge ``steps`` and end the module with ``changed``, ``changes``, ``notes``, ``diff`` (if asked), ``extra``.

    :param steps: (subsystem, present, absent), in the order in which things are made; the mappings are name → record.
    """
    converge_and_exit(module, [(Selected(subsystem, absent), present) for subsystem, present, absent in steps], **extra)


def converge_and_exit(module: AnsibleModule, steps: Sequence[engine.Step], **extra: Any) -> None:
    """As ``finish``, for steps that prune by themselves: (subsystem, present)."""
    try:
        result = converge_steps(steps, check=module.check_mode)
    except ConvergeError as error:
        fail(module, error, **extra)
    succeed(module, result, **extra)


def succeed(module: AnsibleModule, result: Result, **extra: Any) -> None:
    """End the module with what the walk found and did."""
    if module._diff:
        extra["diff"] = [_difference(change) for change in result.changes]
    module.exit_json(changed=result.changed, changes=_brief(result), notes=_texts(result), **extra)


def fail(module: AnsibleModule, error: ConvergeError, **extra: Any) -> None:
    """End the module badly: the message, what had been found to do, and ``extra``."""
    module.fail_json(msg=str(error), changes=_brief(error.result), notes=_texts(error.result), **extra)


class Selected(Subsystem[Any]):
    """A subsystem that sees only the items it was given, and removes those in ``absent`` whoever made them."""

    def __init__(self, inner: Subsystem[Any], absent: Mapping[str, Any]) -> None:
        super().__init__(inner.owner)
        self.inner = inner
        self.absent = absent
        self.kind = inner.kind  # type: ignore[misc]
        self.atomic = inner.atomic  # type: ignore[misc]

    def read(self, desired: Mapping[str, Any], scope: Scope | None = None) -> Reading[Any]:
        """Only what bears the name of an item; ours to remove are those that shall be absent."""
        named = {**desired, **self.absent}
        reading = self.inner.read(named, scope)
        objects = {name: one for name, one in reading.objects.items() if name in named}
        return replace(reading, objects=objects, owned=frozenset(name for name in self.absent if name in objects))

    def diff(self, desired: Mapping[str, Any], actual: Reading[Any]) -> list[Change[Any]]:
        """The subsystem's own comparison."""
        return self.inner.diff(desired, actual)

    def undone_by(self, earlier: Sequence[Change[Any]], desired: Mapping[str, Any], actual: Reading[Any]) -> Undone:
        """What the subsystem itself says."""
        return self.inner.undone_by(earlier, desired, actual)

    def apply(self, changes: Sequence[Change[Any]]) -> Applied:
        """The subsystem's own batch."""
        return self.inner.apply(changes)

    def describe(self, one: Any) -> Any:
        """The subsystem's own description."""
        return self.inner.describe(one)


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if value is not None}


def _texts(result: Result) -> list[str]:
    return [note.text for note in result.notes] + [confirmation.text for confirmation in result.confirmations]


def _brief(result: Result) -> list[dict[str, str]]:
    return [{key: change[key] for key in ("kind", "name", "verb")} for change in result.changes]


def _difference(change: Mapping[str, Any]) -> dict[str, str]:
    header = f"{change['kind']} {change['name']}"
    return {
        "before_header": header,
        "after_header": header,
        "before": _text(change["before"]),
        "after": _text(change["after"]),
    }


def _text(value: Any) -> str:
    return "" if value is None else json.dumps(value, indent=2, sort_keys=True) + "\n"

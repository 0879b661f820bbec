"""What the modules in library/ share: the options of one item or of a list, the walk through the engine, the result.

A module that is used alone marks nothing as a cloud's and prunes nothing. It reads only the items it was given, and
``state: absent`` removes the named item, whoever made it. What does not belong here: anything about one kind of item.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..engine import converge as engine
from ..engine.doors import LockError, converge_steps
from ..engine.result import ConflictError, ConvergeError, Result
from ..node.subsystem import Applied, Change, Note, Reading, Scope, Subsystem, Undone


class DiscreetModule(AnsibleModule):  # type: ignore[misc]  # Ansible has no types
    """A module whose arguments contain user data and are not written to the node's log.

    Ansible's own ``no_log`` cannot do this. On an argument, it replaces every word of the argument in all results. As a
    parameter of AnsibleModule, it is overwritten by the task's ``no_log``.
    """

    def _log_invocation(self) -> None:
        """Write no log entry, where AnsibleModule logs the arguments."""


STATE = {"type": "str", "choices": ["present", "absent"]}

# (subsystem, present, absent); the mappings are name → record.
Step = tuple[Subsystem[Any], Mapping[str, Any], Mapping[str, Any]]


def item_module(
    plural: str,
    options: Mapping[str, Any],
    key: str = "name",
    common: Mapping[str, Any] | None = None,
    discreet: bool = False,
    **rules: Any,
) -> AnsibleModule:
    """Return an AnsibleModule that takes one item (options at the top) or a list of items (in the option ``plural``).

    :param options: argument spec of one item, without ``state`` (added here) and **without defaults**. An omitted
        option stays absent, so that the default of the record applies and the items of a list can inherit from the top.
    :param key: the option that names an item. It is required in each item of a list.
    :param common: options of the whole call, not of an item (a timeout, a socket). ``items`` does not return them.
    :param discreet: the items contain user data, which must not be written to the node's log.
    :param rules: further keyword arguments of AnsibleModule (``required_if`` …).
    """
    module_class = DiscreetModule if discreet else AnsibleModule
    top = {**options, "state": STATE}
    item = {**top, key: {**top[key], "required": True}}
    spec = {**top, **(common or {}), plural: {"type": "list", "elements": "dict", "options": item}}
    return module_class(
        argument_spec=spec,
        mutually_exclusive=[[key, plural], *rules.pop("mutually_exclusive", [])],
        required_one_of=[[key, plural], *rules.pop("required_one_of", [])],
        supports_check_mode=True,
        **rules,
    )


def items(module: AnsibleModule, plural: str, common: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return the items, without omitted options and without the options ``common``. Each item has ``state``.

    An option at the top (``bridge: br-int`` beside ``ports: [...]``) applies to every item of the list that does not
    set it.
    """
    top = _given({key: value for key, value in module.params.items() if key != plural and key not in common})
    top.setdefault("state", "present")
    listed = module.params[plural]
    return [top] if listed is None else [{**top, **_given(item)} for item in listed]


def split(
    subsystem: type[Subsystem[Any]], wanted: Iterable[Mapping[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the records of items whose options are the record's fields: (present, absent), each by name.

    :raises ValueError: an option is not a field of the record.
    """
    by_state: dict[str, list[dict[str, Any]]] = {"present": [], "absent": []}
    for item in wanted:
        fields = {key: value for key, value in item.items() if key != "state"}
        by_state[item["state"]].append(fields)
    return subsystem.load(by_state["present"]), subsystem.load(by_state["absent"])


def finish(module: AnsibleModule, steps: Sequence[Step], **extra: Any) -> None:
    """Converge ``steps`` and end the module with ``changed``, ``changes``, ``notes``, ``diff`` (if asked), ``extra``.

    :param steps: in the order in which objects are created.
    """
    converge_and_exit(module, [(Selected(subsystem, absent), present) for subsystem, present, absent in steps], **extra)


def converge_and_exit(module: AnsibleModule, steps: Sequence[engine.Step], **extra: Any) -> None:
    """As ``finish``, for steps that prune by themselves: (subsystem, present)."""
    try:
        result = converge_steps(steps, check=module.check_mode)
    except ConvergeError as error:
        fail(module, error, **extra)
    except LockError as error:
        module.fail_json(msg=str(error), **extra)
    succeed(module, result, **extra)


def succeed(module: AnsibleModule, result: Result, **extra: Any) -> None:
    """End the module successfully, with the changes and notes of ``result``."""
    if module._diff:
        extra["diff"] = [_difference(change) for change in result.changes]
    module.exit_json(changed=result.changed, changes=_brief(result), notes=_texts(result), **extra)


def fail(module: AnsibleModule, error: ConvergeError, **extra: Any) -> None:
    """End the module with an error: the message, the changes and failures that were found, whether nothing was applied,
    and ``extra``."""
    module.fail_json(
        msg=str(error),
        changes=_brief(error.result),
        notes=_texts(error.result),
        failures=failures(error.result),
        refused=isinstance(error, ConflictError),
        **extra,
    )


def failures(result: Result) -> list[dict[str, str]]:
    """Return what is not as desired at the end of a run, each with kind, name and text. The name of a subsystem that
    failed as a whole is empty."""
    return [{"kind": failure.kind, "name": failure.name, "text": failure.text} for failure in result.failures]


class Selected(Subsystem[Any]):
    """A subsystem that reads only the given items, and removes the items in ``absent``, whoever made them."""

    def __init__(self, inner: Subsystem[Any], absent: Mapping[str, Any]) -> None:
        super().__init__(inner.owner)
        self.inner = inner
        self.absent = absent
        self.kind = inner.kind  # type: ignore[misc]
        self.atomic = inner.atomic  # type: ignore[misc]
        self.guarded = inner.guarded  # type: ignore[misc]

    def read(self, desired: Mapping[str, Any], scope: Scope | None = None) -> Reading[Any]:
        """Return the objects that have the name of an item. The objects in ``absent`` count as owned, so that they are
        removed."""
        named = {**desired, **self.absent}
        reading = self.inner.read(named, scope)
        objects = {name: found for name, found in reading.objects.items() if name in named}
        return replace(reading, objects=objects, owned=frozenset(name for name in self.absent if name in objects))

    def diff(self, desired: Mapping[str, Any], actual: Reading[Any]) -> list[Change[Any]]:
        """Return the changes from the actual to the desired objects, as the inner subsystem finds them."""
        return self.inner.diff(desired, actual)

    def undone_by(self, earlier: Sequence[Change[Any]], desired: Mapping[str, Any], actual: Reading[Any]) -> Undone:
        """Return which desired objects the earlier changes undo, as the inner subsystem finds them."""
        return self.inner.undone_by(earlier, desired, actual)

    def parts(self, item: Any) -> Collection[str]:
        """Return the names under which the inner subsystem reports a failure of the object."""
        return self.inner.parts(item)

    def requires(self, item: Any) -> Mapping[str, Collection[str]]:
        """Return what the object must not go on without, as the inner subsystem says."""
        return self.inner.requires(item)

    def can_wait(self, removals: Sequence[Change[Any]], desired: Mapping[str, Any]) -> Sequence[Change[Any]]:
        """Return the removals that can wait, as the inner subsystem says."""
        return self.inner.can_wait(removals, desired)

    def foreseen(self, change: Change[Any]) -> Sequence[Note]:
        """Return the effects that the inner subsystem foresees."""
        return self.inner.foreseen(change)

    def apply(self, changes: Sequence[Change[Any]]) -> Applied:
        """Apply the changes with the inner subsystem. Return its notes and confirmations."""
        return self.inner.apply(changes)

    def describe(self, item: Any) -> Any:
        """Return the object as the inner subsystem shows it in a diff."""
        return self.inner.describe(item)


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

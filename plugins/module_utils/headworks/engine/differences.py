"""The first half of the walk: read the node, compare, and decide which changes are to be made. Nothing is applied.

What does not belong here: applying and verifying the changes (``converge.py``), and the rules that it uses
(``removals.py``, ``dependencies.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from ..node.subsystem import Change, Reading
from .removals import hold_removals, keep_refused, leave, leave_unread, leave_unsafe, leave_withheld, refusal
from .result import ConflictError, Result
from .stage import Stage


def find_changes(
    stages: Sequence[Stage], result: Result, removable: Collection[str] | None, restore: bool, remove: bool
) -> None:
    """Read and compare all stages. A subsystem that cannot be read fails only itself, but nothing is removed then.

    :param removable: see ``converge``.
    :param restore: see ``converge``.
    :param remove: see ``converge``.
    :raises ConflictError: a subsystem has a conflict, or a removal is not allowed, and the run is not a restore.
    """
    for stage in stages:
        read_and_compare(stage, result)
    conflicts = [f"{stage.subsystem.kind}: {'; '.join(stage.conflicts)}" for stage in stages if stage.conflicts]
    if conflicts:
        problems = [problem for stage in stages for problem in stage.problems()]
        raise ConflictError("\n".join([*conflicts, *problems]), result)
    _keep_needed(stages)
    if restore:
        result.add(keep_refused(stages, removable))
        result.add(leave_unsafe(stages))
    elif text := refusal(stages, removable):
        raise ConflictError(text, result)
    leave_withheld(stages)
    _add_undone(stages)
    if not all(stage.compared for stage in stages):
        result.add(leave_unread(stages))
    elif not remove:
        hold_removals(stages)
    for stage in stages:
        if stage.subsystem.guarded:
            leave(stages, stage.failed, removals=True)


def read_and_compare(stage: Stage, result: Result) -> None:
    """Read the node for one subsystem and find its changes. Objects that cannot be as desired now are left alone
    (``Reading.broken``)."""
    doing = "reading"
    stage.compared = False
    try:
        stage.reading = stage.subsystem.read(stage.desired)
        result.add(stage.reading.notes)
        stage.conflicts = () if stage.lenient else conflict_texts(stage.reading)
        if stage.conflicts:
            return
        doing = "comparing"
        stage.changes = stage.subsystem.diff(stage.desired, stage.reading)
    except Exception as error:
        stage.fail_all(doing, error)
        return
    stage.compared = True
    stage.leave(stage.reading.broken)
    if stage.lenient and not stage.subsystem.guarded:  # the conflicts of guests: see leave_unsafe
        stage.leave({conflict.name: conflict.text for conflict in stage.reading.conflicts})


def conflict_texts(reading: Reading[Any]) -> tuple[str, ...]:
    """Return the conflicts of a reading, each once."""
    return tuple(dict.fromkeys(conflict.text for conflict in reading.conflicts))


def _keep_needed(stages: Sequence[Stage]) -> None:
    """Drop the removals of objects that remaining objects of another subsystem use."""
    needed: dict[str, set[str]] = {}
    for stage in stages:
        for kind, names in stage.reading.needs.items():
            needed.setdefault(kind, set()).update(names)
    for stage in stages:
        in_use = needed.get(stage.subsystem.kind, set())
        stage.changes = [change for change in stage.changes if change.after is not None or change.name not in in_use]


def _add_undone(stages: Sequence[Stage]) -> None:
    """Find the objects that changes of earlier subsystems are going to undo: give the cause to their changes, and add a
    change for each of them that is as desired now."""
    earlier: list[Change[Any]] = []
    for stage in stages:
        if not stage.compared:
            continue
        try:
            undone = stage.subsystem.undone_by(earlier, stage.desired, stage.reading)
        except Exception as error:
            stage.fail_all("comparing", error)
            stage.compared = False
            stage.changes = []
            continue
        stage.read_again = undone.read_again
        names = set(stage.desired) - stage.failed
        causes = {name: cause for name, cause in sorted(undone.causes.items()) if name in names}
        stage.changes = [replace(change, cause=causes.pop(change.name, change.cause)) for change in stage.changes]
        stage.changes += [
            Change(stage.subsystem.kind, name, stage.reading.objects.get(name), stage.desired[name], cause)
            for name, cause in causes.items()
        ]
        earlier += stage.changes

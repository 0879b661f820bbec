"""The walk through the subsystems: read all, diff all, apply in order, verify. All doors of the engine use it.

What does not belong here: the list of subsystems and their order (``order.py``), the lock and the kept document
(``doors.py``), which removals are allowed (``removals.py``), and the work of a subsystem (``node/``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ..node.subsystem import Applied, Change, Confirmation, Note, Reading, Subsystem
from .removals import keep_refused, leave, leave_unsafe, leave_withheld, refusal, withheld
from .stage import Stage

R = TypeVar("R")
Step = tuple[Subsystem[Any], Mapping[str, Any]]


class ConvergeError(RuntimeError):
    """Converging failed. The message names the subsystem; ``result`` has the changes that were found before."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


class ConflictError(ConvergeError):
    """A foreign object has a desired name, an object that must exist is missing, or a removal is not allowed. Nothing
    was applied."""


class _Conflicts(Exception):
    """The texts of the conflicts of a reading."""


@dataclass
class Result:
    """The changes, notes and confirmations of a run.

    ``changes`` has every change as plain data ``{kind, name, verb, before, after}``, in the order of the subsystems; in
    check mode, the changes that a run would make. ``notes`` tell a person about things that the run does not act on,
    for example a guest that needs a restart. ``confirmations`` are changes that undo themselves unless the control node
    confirms them. ``kept`` says that the node already kept exactly this document, undamaged, before the run, and had
    applied it. ``complete`` is False if guests are left as they are because their disk is missing.
    """

    changes: list[dict[str, Any]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    confirmations: list[Confirmation] = field(default_factory=list)
    kept: bool = False
    complete: bool = True

    @property
    def changed(self) -> bool:
        """Whether the node differed from its desired state."""
        return bool(self.changes)

    def add(self, notes: Iterable[Note], confirmations: Iterable[Confirmation] = ()) -> None:
        """Add the notes and confirmations that the result does not have yet."""
        self.notes += [note for note in dict.fromkeys(notes) if note not in self.notes]
        self.confirmations += [
            confirmation for confirmation in dict.fromkeys(confirmations) if confirmation not in self.confirmations
        ]


def converge(
    steps: Sequence[Step],
    *,
    check: bool = False,
    verify: bool = True,
    begin: Callable[[], None] | None = None,
    removable: Collection[str] | None = None,
    restore: bool = False,
) -> Result:
    """Bring the node from its actual state to the desired state of ``steps``.

    :param steps: (subsystem, desired objects by name), in the order in which objects are created.
    :param check: only find the differences; change nothing on the node.
    :param verify: after applying, read the changed objects again; a remaining difference is an error (invariant I3).
    :param begin: called once, when all differences are known and before any change is applied. Also called when a
        subsystem cannot be read, but not when a subsystem has a conflict, and not in check mode.
    :param removable: the names of the guarded objects that may be removed (``Subsystem.guarded``). A removal of another
        guarded object is a conflict, also in check mode. None: no list is in play, and only protected objects stay.
    :param restore: the run is a restore without an operator. It makes no conflict of a removal that is not allowed, but
        keeps the object and says so. It leaves guests alone whose disk it would have to create.
    :raises ConvergeError: a subsystem failed or has a conflict, or a difference remained.
    """
    result = Result()
    stages = [Stage(subsystem, desired, lenient=restore and subsystem.guarded) for subsystem, desired in steps]
    begin = begin if begin is not None and not check else _no_beginning
    try:
        for stage in stages:
            _read_and_compare(stage, result)
        _keep_needed(stages)
        _check_guarded(stages, result, removable, restore)
        _add_undone(stages)
    except ConflictError:
        _describe_all(stages, result)
        raise
    except ConvergeError:
        _describe_all(stages, result)
        if not restore:
            _check_unread_guards(stages, result, removable)
        # The daemon that did not answer may answer at the next boot: what is to be restored then is the new state.
        begin()
        raise
    _describe_all(stages, result)
    result.complete = not withheld(stages)
    if check:
        return result
    begin()
    if result.changes or not result.complete:
        _change_node(stages, result, verify)
    return result


def _change_node(stages: Sequence[Stage], result: Result, verify: bool) -> None:
    """Apply all changes and verify them.

    :raises ConvergeError: a subsystem failed, a difference remained, or guests failed or lack their disk and the rest
        is complete.
    """
    problems = []
    try:
        _remove(stages, result)
        _add_and_change(stages, result)
        for stage in stages if verify else ():
            _verify(stage, result)
    except ConvergeError as error:
        problems.append(str(error))
    for stage in reversed(stages):
        if stage.failures:
            problems.insert(0, f"{stage.subsystem.kind}: applying: {'; '.join(stage.failures.values())}")
    if left := withheld(stages):
        problems.append(f"{', '.join(left)}: left as it is, because its disk is missing (see the notes)")
    if problems:
        raise ConvergeError("; ".join(problems), result)


def _read_and_compare(stage: Stage, result: Result) -> None:
    """Read the node for one subsystem and find its changes."""
    subsystem, desired = stage.subsystem, stage.desired
    stage.reading = _guard(subsystem, "reading", result, lambda: _read(stage))
    result.add(stage.reading.notes)
    stage.changes = _guard(subsystem, "comparing", result, lambda: subsystem.diff(desired, stage.reading))
    stage.compared = True


def _read(stage: Stage, *scope: Any) -> Reading[Any]:
    reading = stage.subsystem.read(stage.desired, *scope)
    if reading.conflicts and not stage.lenient:
        raise _Conflicts("; ".join(dict.fromkeys(conflict.text for conflict in reading.conflicts)))
    return reading


def _keep_needed(stages: Sequence[Stage]) -> None:
    """Drop the removals of objects that remaining objects of another subsystem use."""
    needed: dict[str, set[str]] = {}
    for stage in stages:
        for kind, names in stage.reading.needs.items():
            needed.setdefault(kind, set()).update(names)
    for stage in stages:
        in_use = needed.get(stage.subsystem.kind, set())
        stage.changes = [change for change in stage.changes if change.after is not None or change.name not in in_use]


def _check_guarded(
    stages: Sequence[Stage], result: Result, removable: Collection[str] | None, restore: bool
) -> None:
    """Refuse removals of guarded objects that are not allowed; in a restore, keep these objects.

    :raises ConflictError: a removal is not allowed, and the run is not a restore.
    """
    if restore:
        result.add(keep_refused(stages, removable))
        result.add(leave_unsafe(stages))
    elif text := refusal(stages, removable):
        raise ConflictError(text, result)
    leave_withheld(stages)


def _check_unread_guards(stages: Sequence[Stage], result: Result, removable: Collection[str] | None) -> None:
    """Check the guarded objects of a run that failed before it read them. What cannot be read now either is not
    checked: without its list, a restore removes none of it.

    :raises ConflictError: a removal is not allowed.
    """
    unread = [stage for stage in stages if stage.subsystem.guarded and not stage.compared]
    for stage in unread:
        with suppress(ConvergeError):
            _read_and_compare(stage, Result())
    if text := refusal([stage for stage in stages if stage.subsystem.guarded], removable):
        raise ConflictError(text, result)


def _add_undone(stages: Sequence[Stage]) -> None:
    """Find the objects that changes of earlier subsystems are going to undo: give the cause to their changes, and add a
    change for each of them that is as desired now."""
    earlier: list[Change[Any]] = []
    for stage in stages:
        undone = stage.subsystem.undone_by(earlier, stage.desired, stage.reading)
        stage.read_again = undone.read_again
        causes = {name: cause for name, cause in sorted(undone.causes.items()) if name in stage.desired}
        stage.changes = [replace(change, cause=causes.pop(change.name, change.cause)) for change in stage.changes]
        stage.changes += [
            Change(stage.subsystem.kind, name, stage.reading.objects.get(name), stage.desired[name], cause)
            for name, cause in causes.items()
        ]
        earlier += stage.changes


def _remove(stages: Sequence[Stage], result: Result) -> None:
    """Apply the removals, backwards through the stages, except those of atomic subsystems (``_add_and_change``)."""
    for stage in reversed(stages):
        removals = [] if stage.subsystem.atomic else [change for change in stage.changes if change.after is None]
        _apply(stage, removals, result)
        if stage.failures:  # a disk stays with its domain
            leave(stages, stage.failures, removals=True)


def _add_and_change(stages: Sequence[Stage], result: Result) -> None:
    """Apply the additions and changes, forwards through the stages; for an atomic subsystem also the removals."""
    for stage in stages:
        if stage.read_again:
            _compare_again(stage, result)
        atomic = stage.subsystem.atomic
        _apply(stage, [change for change in stage.changes if atomic or change.after is not None], result)
        if stage.failures:
            leave(stages, stage.failures)


def _compare_again(stage: Stage, result: Result) -> None:
    """Read the node again after the earlier changes, and add the changes that were not known before; removals only for
    an atomic subsystem, because the turn of the other removals is over."""
    first_changes, atomic = stage.changes, stage.subsystem.atomic
    known_names = {change.name for change in first_changes}
    stage.changes = []
    _read_and_compare(stage, result)
    more = [
        change
        for change in stage.changes
        if change.name not in known_names and (atomic or change.after is not None)
    ]
    stage.changes = first_changes + more
    _add_changes(stage.subsystem, more, result)


def _apply(stage: Stage, changes: Sequence[Change[Any]], result: Result) -> None:
    if not changes:
        return
    applied: Applied = _guard(stage.subsystem, "applying", result, lambda: stage.subsystem.apply(changes))
    result.add(applied.notes, applied.confirmations)
    stage.failures.update(applied.failures)


def _verify(stage: Stage, result: Result) -> None:
    scope = {change.name: change for change in stage.changes}
    if not scope:
        return
    subsystem = stage.subsystem
    desired = {name: stage.desired[name] for name in scope if name in stage.desired}
    reading = _guard(subsystem, "verifying", result, lambda: _read(stage, scope))
    result.add(reading.notes)
    left = [change for change in subsystem.diff(desired, reading) if change.name in scope]
    if left:
        details = "; ".join(
            f"{change.label}: is {subsystem.describe(change.before)!r}, wanted {subsystem.describe(change.after)!r}"
            for change in left[:5]
        )
        raise ConvergeError(f"{subsystem.kind}: {len(left)} difference(s) remain after applying: {details}", result)


def _no_beginning() -> None:
    """Begin nothing: the caller gave no ``begin``, or the run is a check."""


def _describe_all(stages: Sequence[Stage], result: Result) -> None:
    """Put the changes of all stages into the result. A reading that failed leaves the later stages without changes; the
    removals of the stages before it are then not final, since a later stage may need the objects."""
    complete = all(stage.compared for stage in stages)
    for stage in stages:
        changes = [change for change in stage.changes if complete or change.after is not None]
        _add_changes(stage.subsystem, changes, result)


def _add_changes(subsystem: Subsystem[Any], changes: Iterable[Change[Any]], result: Result) -> None:
    """Put changes and the effects that are foreseen of them into the result."""
    for change in changes:
        result.changes.append(_describe(subsystem, change))
        result.add(subsystem.foreseen(change))


def _describe(subsystem: Subsystem[Any], change: Change[Any]) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "name": change.name,
        "verb": change.verb,
        "before": subsystem.describe(change.before),
        "after": subsystem.describe(change.after),
    }


def _guard(subsystem: Subsystem[Any], doing: str, result: Result, action: Callable[[], R]) -> R:
    """Run ``action``. Put the subsystem's kind and ``doing`` before the message of any failure."""
    try:
        return action()
    except ConvergeError:
        raise
    except _Conflicts as error:
        raise ConflictError(f"{subsystem.kind}: {error}", result) from error
    except Exception as error:
        raise ConvergeError(f"{subsystem.kind}: {doing}: {error}", result) from error

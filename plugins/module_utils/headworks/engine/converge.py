"""The walk through the subsystems: read all, diff all, apply in order, verify. All doors of the engine use it.

A subsystem or an object that fails stops only itself and what requires it; the walk names all failures at its end.
What does not belong here: the list of subsystems and their order (``order.py``), the lock and the kept document
(``doors.py``), finding the changes (``differences.py``), which removals are allowed (``removals.py``), what waits for
something that failed (``dependencies.py``), and the work of a subsystem (``node/``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from ..node.subsystem import Change, Subsystem
from .dependencies import keep_required, leave_blocked
from .differences import conflict_texts, find_changes, read_and_compare
from .removals import leave, withheld
from .result import ConflictError, ConvergeError, Failure, Result
from .stage import Stage

__all__ = ["ConflictError", "ConvergeError", "Failure", "Result", "Step", "converge"]

Step = tuple[Subsystem[Any], Mapping[str, Any]]


def converge(
    steps: Sequence[Step],
    *,
    check: bool = False,
    verify: bool = True,
    begin: Callable[[], None] | None = None,
    removable: Collection[str] | None = None,
    restore: bool = False,
    pause: bool = False,
    remove: bool = True,
) -> Result:
    """Bring the node from its actual state to the desired state of ``steps``.

    :param steps: (subsystem, desired objects by name), in the order in which objects are created.
    :param check: only find the differences; change nothing on the node.
    :param verify: after applying, read the changed objects again; a remaining difference is an error (invariant I3).
    :param begin: called once, when all differences are known and before any change is applied. Also called when a
        subsystem cannot be read, but not when a subsystem has a conflict, and not in check mode.
    :param removable: the names of the guarded objects that may be removed (``Subsystem.guarded``). A removal of another
        guarded object is a conflict, also in check mode. None: no list is in play, and only protected objects stay.
    :param restore: the run is a restore without an operator. A conflict stops only its object. A removal that is not
        allowed is none: the object is kept, with a note. Guests are left alone whose disk would have to be created.
    :param pause: end the walk after a change that must be confirmed, without an error: ``Result.paused``. The caller
        confirms, and then converges again. What failed until then is in ``Result.failures``.
    :param remove: False: nothing is removed, except what is replaced (``Subsystem.can_wait``). For a repair of some
        sections: what the objects of the others need is unknown.
    :raises ConflictError: a subsystem has a conflict, or a removal is not allowed. Nothing was applied.
    :raises ConvergeError: subsystems or objects failed, or a difference remained. All else is done.
    """
    result = Result()
    stages = [Stage(subsystem, desired, lenient=restore) for subsystem, desired in steps]
    try:
        find_changes(stages, result, removable, restore, remove)
    except ConflictError:
        # A subsystem that was not compared may need the objects that others would remove.
        final = all(stage.compared for stage in stages)
        _describe_all(stages, result, removals=final)
        _report(stages, result)
        raise
    _describe_all(stages, result)
    if not check:
        if begin is not None:
            # Also if a daemon did not answer: it may answer at the next boot, and then the new state is restored.
            begin()
        result.paused = _change_node(stages, result, pause)
        for stage in stages if verify else ():
            _verify(stage, result)
    problems = _report(stages, result)
    without_disk = withheld(stages)
    result.complete = not (problems or without_disk or result.paused)
    if without_disk and not check:
        problems.append(f"{', '.join(without_disk)}: left as it is, because its disk is missing (see the notes)")
    if problems and not result.paused:
        raise ConvergeError("\n".join(problems), result)
    return result


def _change_node(stages: Sequence[Stage], result: Result, pause: bool) -> bool:
    """Apply all changes. Return whether the walk ended early because a change must be confirmed."""
    return _remove(stages, result, pause) or _add_and_change(stages, result, pause)


def _remove(stages: Sequence[Stage], result: Result, pause: bool) -> bool:
    """Apply the removals, backwards through the stages, except those of atomic subsystems (``_add_and_change``)."""
    for stage in reversed(stages):
        removals = [] if stage.subsystem.atomic else [change for change in stage.changes if change.after is None]
        to_confirm = _apply(stage, removals, result)
        keep_required(stage, removals, stages)
        if stage.subsystem.guarded:  # a disk stays with its domain
            leave(stages, stage.failed, removals=True)
        if to_confirm and pause:
            return True
    return False


def _add_and_change(stages: Sequence[Stage], result: Result, pause: bool) -> bool:
    """Apply the additions and changes, forwards through the stages; for an atomic subsystem also the removals."""
    for stage in stages:
        if stage.read_again:
            _compare_again(stage, result)
        leave_blocked(stage, stages)
        atomic = stage.subsystem.atomic
        changes = [change for change in stage.changes if atomic or change.after is not None]
        # What could not be removed is not added in another way either: a NIC that is still in its old bridge.
        to_confirm = _apply(stage, [change for change in changes if change.name not in stage.failed], result)
        if stage.subsystem.guarded:
            leave(stages, stage.failed)
        if to_confirm and pause:
            return True
    return False


def _compare_again(stage: Stage, result: Result) -> None:
    """Read the node again after the earlier changes, and add the changes that were not known before; removals only for
    an atomic subsystem, because the turn of the other removals is over."""
    first_changes, atomic = stage.changes, stage.subsystem.atomic
    known_names = {change.name for change in first_changes}
    stage.changes = []
    read_and_compare(stage, result)
    if not stage.compared:
        stage.troubles += stage.conflicts
        return
    more = [
        change
        for change in stage.allowed(stage.changes)
        if change.name not in known_names and (atomic or change.after is not None)
    ]
    stage.changes = first_changes + more
    _add_changes(stage.subsystem, more, result)


def _apply(stage: Stage, changes: Sequence[Change[Any]], result: Result) -> bool:
    """Apply changes of one subsystem. Return whether some of them must be confirmed."""
    if not changes:
        return False
    try:
        applied = stage.subsystem.apply(changes)
    except Exception as error:
        stage.fail_all("applying", error, changes)
        return False
    stage.fail(applied.failures)
    stage.applied.update({change.name: change for change in changes if not stage.has_failed(change)})
    result.add(applied.notes, applied.confirmations)
    return bool(applied.confirmations)


def _verify(stage: Stage, result: Result) -> None:
    """Read again what was applied. A remaining difference is a failure of the subsystem."""
    scope = stage.applied
    if not scope:
        return
    subsystem = stage.subsystem
    # Of an object that is replaced, a walk that ended early may have made only the removal.
    made = {name for name, change in scope.items() if change.after is not None}
    desired = {name: stage.desired[name] for name in made if name in stage.desired}
    try:
        reading = subsystem.read(stage.desired, scope)
        result.add(reading.notes)
        if not stage.lenient:
            stage.troubles += conflict_texts(reading)
        stage.fail({name: text for name, text in reading.broken.items() if name in scope})
        left = [change for change in subsystem.diff(desired, reading) if change.name in scope.keys() - stage.failed]
    except Exception as error:
        stage.fail_all("verifying", error)
        return
    if left:
        details = "; ".join(
            f"{change.label}: is {subsystem.describe(change.before)!r}, wanted {subsystem.describe(change.after)!r}"
            for change in left[:5]
        )
        stage.troubles.append(f"{len(left)} difference(s) remain after applying: {details}")


def _report(stages: Iterable[Stage], result: Result) -> list[str]:
    """Put all failures into the result. Return them as texts for people."""
    stages = list(stages)
    result.failures = [failure for stage in stages for failure in stage.report()]
    return [problem for stage in stages for problem in stage.problems()]


def _describe_all(stages: Sequence[Stage], result: Result, removals: bool = True) -> None:
    """Put the changes of all stages into the result, the removals only with ``removals``."""
    for stage in stages:
        changes = [change for change in stage.changes if removals or change.after is not None]
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

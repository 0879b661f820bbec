"""The walk through the subsystems: read all, diff all, apply in order, verify. All doors of the engine use it.

What does not belong here: which subsystems there are and in what order (``order.py``), the lock and the kept document
(``doors.py``), and the work of a subsystem (``node/``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..node.subsystem import Applied, Change, Confirmation, Note, Reading, Subsystem

R = TypeVar("R")
Step = tuple[Subsystem[Any], Mapping[str, Any]]


class ConvergeError(RuntimeError):
    """Converging failed: the message names the subsystem; ``result`` says which changes had been found."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


@dataclass
class Result:
    """What a run found and did.

    ``changes`` has every change in the order in which it is (or would be) made, as plain data: ``{kind, name, verb,
    before, after}``. ``notes`` tell a person what the run does not act on, for example a guest that needs a restart.
    ``confirmations`` are changes that undo themselves unless they are confirmed.
    """

    changes: list[dict[str, Any]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    confirmations: list[Confirmation] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether there was a difference."""
        return bool(self.changes)

    def tell(self, notes: Iterable[Note], confirmations: Iterable[Confirmation] = ()) -> None:
        """Add the notes and confirmations that are not there yet."""
        self.notes += [note for note in dict.fromkeys(notes) if note not in self.notes]
        self.confirmations += [one for one in dict.fromkeys(confirmations) if one not in self.confirmations]


@dataclass
class _Stage:
    """A subsystem on its way through the walk."""

    subsystem: Subsystem[Any]
    desired: Mapping[str, Any]
    reading: Reading[Any] = field(default_factory=Reading)
    changes: list[Change[Any]] = field(default_factory=list)
    read_again: bool = False


def converge(
    steps: Sequence[Step], *, check: bool = False, verify: bool = True, begin: Callable[[], None] | None = None
) -> Result:
    """Bring the node from its actual state to the desired state of ``steps``.

    :param steps: (subsystem, desired objects by name), in the order in which objects are created.
    :param check: only find the differences; touch nothing.
    :param verify: after applying, read again what was changed; a remaining difference is an error (invariant I3).
    :param begin: called once, after all differences are known and before anything is applied; not in check mode.
    :raises ConvergeError: a subsystem failed or has a conflict, or a difference remained.
    """
    result = Result()
    stages = [_Stage(subsystem, desired) for subsystem, desired in steps]
    try:
        for stage in stages:
            _find(stage, result)
        _drop_needed(stages)
        _add_undone(stages)
    finally:  # a failed reading still tells what the subsystems before it found
        for stage in stages:
            result.changes += [_describe(stage.subsystem, change) for change in stage.changes]
    if check:
        return result
    if begin is not None:
        begin()
    if result.changes:
        _remove(stages, result)
        _make(stages, result)
        if verify:
            for stage in stages:
                _verify(stage, result)
    return result


def _find(stage: _Stage, result: Result) -> None:
    """Read and compare one subsystem."""
    subsystem, desired = stage.subsystem, stage.desired
    stage.reading = _guard(subsystem, "reading", result, lambda: _read(subsystem, desired))
    result.tell(stage.reading.notes)
    stage.changes = _guard(subsystem, "comparing", result, lambda: subsystem.diff(desired, stage.reading))


def _read(subsystem: Subsystem[Any], desired: Mapping[str, Any], *scope: Any) -> Reading[Any]:
    reading = subsystem.read(desired, *scope)
    if reading.conflicts:
        raise ValueError("; ".join(conflict.text for conflict in reading.conflicts))
    return reading


def _drop_needed(stages: Sequence[_Stage]) -> None:
    """Keep objects that nothing desires any more but that another subsystem's remaining objects use."""
    needed: dict[str, set[str]] = {}
    for stage in stages:
        for kind, names in stage.reading.needs.items():
            needed.setdefault(kind, set()).update(names)
    for stage in stages:
        kept = needed.get(stage.subsystem.kind, set())
        stage.changes = [change for change in stage.changes if change.after is not None or change.name not in kept]


def _add_undone(stages: Sequence[_Stage]) -> None:
    """Add the objects that are as desired now, but that changes of earlier subsystems are going to undo."""
    earlier: list[Change[Any]] = []
    for stage in stages:
        undone = stage.subsystem.undone_by(earlier, stage.desired, stage.reading)
        stage.read_again = undone.read_again
        known = {change.name for change in stage.changes}
        stage.changes += [
            Change(stage.subsystem.kind, name, stage.reading.objects.get(name), stage.desired[name], cause)
            for name, cause in sorted(undone.causes.items())
            if name not in known and name in stage.desired
        ]
        earlier += stage.changes


def _remove(stages: Sequence[_Stage], result: Result) -> None:
    """Removals, backwards through the stages; an atomic subsystem removes in its own turn instead."""
    for stage in reversed(stages):
        removals = [] if stage.subsystem.atomic else [change for change in stage.changes if change.after is None]
        _apply(stage, removals, result)


def _make(stages: Sequence[_Stage], result: Result) -> None:
    """Additions and changes, forwards through the stages."""
    for stage in stages:
        if stage.read_again:
            _find_more(stage, result)
        atomic = stage.subsystem.atomic
        _apply(stage, [change for change in stage.changes if atomic or change.after is not None], result)


def _find_more(stage: _Stage, result: Result) -> None:
    """Read the node again after the earlier changes; what differs now and was not known goes into the result, too."""
    known = {change.name for change in stage.changes}
    stage.changes, before = [], stage.changes
    _find(stage, result)
    more = [change for change in stage.changes if change.name not in known and change.after is not None]
    stage.changes = before + more
    result.changes += [_describe(stage.subsystem, change) for change in more]


def _apply(stage: _Stage, changes: Sequence[Change[Any]], result: Result) -> None:
    if not changes:
        return
    applied: Applied = _guard(stage.subsystem, "applying", result, lambda: stage.subsystem.apply(changes))
    result.tell(applied.notes, applied.confirmations)


def _verify(stage: _Stage, result: Result) -> None:
    scope = {change.name: change for change in stage.changes}
    if not scope:
        return
    subsystem = stage.subsystem
    desired = {name: stage.desired[name] for name in scope if name in stage.desired}
    reading = _guard(subsystem, "verifying", result, lambda: _read(subsystem, stage.desired, scope))
    result.tell(reading.notes)
    left = [change for change in subsystem.diff(desired, reading) if change.name in scope]
    if left:
        details = "; ".join(
            f"{change.label}: is {subsystem.describe(change.before)!r}, wanted {subsystem.describe(change.after)!r}"
            for change in left[:5]
        )
        raise ConvergeError(f"{subsystem.kind}: {len(left)} difference(s) remain after applying: {details}", result)


def _describe(subsystem: Subsystem[Any], change: Change[Any]) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "name": change.name,
        "verb": change.verb,
        "before": subsystem.describe(change.before),
        "after": subsystem.describe(change.after),
    }


def _guard(subsystem: Subsystem[Any], doing: str, result: Result, action: Callable[[], R]) -> R:
    """Run ``action``; put the subsystem's name and what it was doing before the message of any failure."""
    try:
        return action()
    except ConvergeError:
        raise
    except Exception as error:
        raise ConvergeError(f"{subsystem.kind}: {doing}: {error}", result) from error

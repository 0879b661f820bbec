"""The walk through the subsystems: read all, diff all, apply in order, read again. Same for every door of the engine.

What does not belong here: which subsystems there are and in what order (``order.py``), and anything one of them does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..node.subsystem import Change, Subsystem


class ConvergeError(RuntimeError):
    """Converging failed: the message names the subsystem; ``result`` says what had been found to do."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


@dataclass
class Result:
    """What a run found and did.

    ``changes``: every change in the order it is (or would be) made: ``{kind, name, verb, before, after}``.
    ``notes``: what a person must know, for example domains that need a restart.
    """

    changes: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return bool(self.changes)


@dataclass
class _Step:
    subsystem: Subsystem[Any]
    desired: Mapping[str, Any]
    changes: list[Change[Any]]


def converge(
    pipeline: Sequence[tuple[Subsystem[Any], Mapping[str, Any]]], *, check: bool = False, verify: bool = True
) -> Result:
    """Bring the node from what it is to what ``pipeline`` desires.

    :param pipeline: (subsystem, desired objects by name), in the order in which things are made.
    :param check: only find the differences; touch nothing.
    :param verify: after applying, read what was changed again; a remaining difference is an error (invariant I3).
    :raises ConvergeError: a subsystem failed, or a difference remained.
    """
    result = Result()
    steps = []
    for subsystem, desired in pipeline:
        changes = _guard(subsystem, "reading", result, lambda s=subsystem, d=desired: s.diff(d, s.read(d)))
        steps.append(_Step(subsystem, desired, changes))
        result.changes += [_describe(subsystem, change) for change in changes]
    if not check and result.changes:
        _remove(steps, result)
        _make(steps, result)
        if verify:
            for step in steps:
                _verify(step, result)
    notes = (note for step in steps for note in getattr(step.subsystem, "notes", ()))
    result.notes += dict.fromkeys(notes)
    return result


def _remove(steps: Sequence[_Step], result: Result) -> None:
    """What goes, backwards through the steps; not of an atomic subsystem, which does it together with the rest."""
    for step in reversed(steps):
        gone = [] if step.subsystem.atomic else [one for one in step.changes if one.after is None]
        if gone:
            _guard(step.subsystem, "applying", result, lambda s=step.subsystem, c=gone: s.apply(c))


def _make(steps: Sequence[_Step], result: Result) -> None:
    """What comes and what changes, forwards."""
    made: list[Change[Any]] = []
    for step in steps:
        subsystem, desired = step.subsystem, step.desired
        if subsystem.unsettled_by(made):
            step.changes = _guard(
                subsystem, "reading again", result, lambda s=subsystem, d=desired: s.diff(d, s.read(d))
            )
        rest = [one for one in step.changes if subsystem.atomic or one.after is not None]
        if rest:
            _guard(subsystem, "applying", result, lambda s=subsystem, c=rest: s.apply(c))
        made += rest


def _verify(step: _Step, result: Result) -> None:
    names = frozenset(change.name for change in step.changes)
    if not names:
        return
    subsystem = step.subsystem
    desired = {name: one for name, one in step.desired.items() if name in names}

    def remaining() -> list[Change[Any]]:
        left = subsystem.diff(desired, subsystem.read(desired, names))
        return [change for change in left if change.name in names]

    left = _guard(subsystem, "verifying", result, remaining)
    if left:
        details = "; ".join(
            f"{one.label}: is {subsystem.describe(one.before)!r}, wanted {subsystem.describe(one.after)!r}"
            for one in left[:5]
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


def _guard(subsystem: Subsystem[Any], doing: str, result: Result, action: Any) -> Any:
    """Run ``action``; any failure is told with the subsystem's name in front."""
    try:
        return action()
    except ConvergeError:
        raise
    except Exception as error:
        raise ConvergeError(f"{subsystem.kind}: {doing}: {error}", result) from error

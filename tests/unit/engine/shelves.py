"""A subsystem that keeps its objects in a dict and fails on request, for the tests of the walk."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pytest
from headworks.engine.converge import ConflictError, ConvergeError, Result, converge
from headworks.node.subsystem import Applied, Change, Confirmation, Conflict, Reading, Scope, Subsystem


@dataclass(frozen=True)
class Part:
    """A part of a node. ``on`` is the part of the kind below that it requires; ``group`` fails with it."""

    name: str
    value: int = 0
    on: str = ""
    group: str = ""


class Shelf(Subsystem[Part]):
    """A subsystem that keeps its parts in ``world`` and writes what it applies to ``log``.

    ``raises`` has the methods that raise an error (``verify``: a reading with a scope). ``breaks`` maps name → why the
    part cannot be changed.
    """

    record = Part

    def __init__(self, kind: str, log: list[str], *parts: Part, below: str = "", guarded: bool = False) -> None:
        super().__init__("cloud")
        self.kind = kind  # type: ignore[misc]
        self.guarded = guarded  # type: ignore[misc]
        self.log = log
        self.below = below
        self.world = {part.name: part for part in parts}
        self.raises: set[str] = set()
        self.breaks: dict[str, str] = {}
        self.broken: dict[str, str] = {}
        self.conflicts: tuple[Conflict, ...] = ()
        self.confirms: set[str] = set()
        self.verified: list[str] = []

    def read(self, desired: Mapping[str, Part], scope: Scope | None = None) -> Reading[Part]:
        if scope is not None:
            self.verified += scope
        if ("read" if scope is None else "verify") in self.raises:
            raise OSError(f"{self.kind} does not answer")
        return Reading(dict(self.world), frozenset(self.world), conflicts=self.conflicts, broken=self.broken)

    def diff(self, desired: Mapping[str, Part], actual: Reading[Part]) -> list[Change[Part]]:
        if "diff" in self.raises:
            raise OSError("cannot be compared")
        return super().diff(desired, actual)

    def parts(self, item: Part) -> Collection[str]:
        return {item.group} if item.group else ()

    def requires(self, item: Part) -> Mapping[str, Collection[str]]:
        return {self.below: {item.on}} if self.below else {}

    def apply(self, changes: Sequence[Change[Part]]) -> Applied:
        if "apply" in self.raises or ("remove" in self.raises and any(change.after is None for change in changes)):
            raise OSError("the disk is full")
        for change in changes:
            item = change.after or change.before
            assert item is not None
            if change.name in self.breaks or item.group in self.breaks:
                continue
            self.log.append(change.label)
            if change.after is None:
                del self.world[change.name]
            else:
                self.world[change.name] = change.after
        names = [change.name for change in changes if change.name in self.confirms]
        return Applied((), tuple(Confirmation(self.kind, name, "confirm") for name in names), self.breaks)


def parts(*names: str) -> dict[str, Part]:
    return {name: Part(name) for name in names}


def failed(*steps: tuple[Shelf, dict[str, Part]], **options: bool) -> tuple[str, Result]:
    """Return the message and the result of a walk that fails."""
    with pytest.raises(ConvergeError) as caught:
        converge(steps, **options)  # type: ignore[arg-type]
    assert not isinstance(caught.value, ConflictError)
    return str(caught.value), caught.value.result


def labels(result: Result) -> list[str]:
    return [f"{change['verb']} {change['kind']} {change['name']}" for change in result.changes]

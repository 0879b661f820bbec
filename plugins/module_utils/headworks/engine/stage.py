"""One subsystem on its way through the walk: what is desired, what was read, the changes that were found, what was
applied and what failed.

What does not belong here: the walk itself (``converge.py``), which removals it may make (``removals.py``), and which
objects wait for others that failed (``dependencies.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..node.subsystem import Change, Reading, Subsystem
from .result import Failure


@dataclass
class Stage:
    """A subsystem with its desired objects, its reading and its changes. ``compared`` is True when the changes are
    known. ``lenient``: a conflict concerns only its object, and the walk goes on.

    ``conflicts`` are reasons to apply nothing at all. ``troubles`` are failures of the whole subsystem. ``left`` maps
    the name of an object that is left alone → why; ``failures`` maps the name of an object that could not be changed →
    why. ``holds``: removals wait if they can. ``keep`` has the names of objects and parts that are not removed.
    ``failed`` has the names of all objects that are not as desired. ``applied`` has the changes to verify.
    """

    subsystem: Subsystem[Any]
    desired: Mapping[str, Any]
    reading: Reading[Any] = field(default_factory=Reading)
    changes: list[Change[Any]] = field(default_factory=list)
    read_again: bool = False
    compared: bool = False
    lenient: bool = False
    conflicts: tuple[str, ...] = ()
    troubles: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    holds: bool = False
    keep: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    applied: dict[str, Change[Any]] = field(default_factory=dict)

    def leave(self, reasons: Mapping[str, str]) -> None:
        """Leave the objects with these names as they are; ``reasons`` maps name → why."""
        self.left.update(reasons)
        self.failed.update(reasons)
        self.changes = [change for change in self.changes if change.name not in reasons]

    def allowed(self, changes: Sequence[Change[Any]]) -> list[Change[Any]]:
        """Return ``changes`` without the removals that wait, and without those of what is to be kept."""
        removals = [change for change in changes if change.after is None]
        waiting = {change.name for change in self.subsystem.can_wait(removals, self.desired)} if self.holds else set()
        return [
            change
            for change in changes
            if change.after is not None or not (change.name in waiting or self.keep & self.parts(change))
        ]

    def fail_all(self, doing: str, error: Exception, changes: Iterable[Change[Any]] = ()) -> None:
        """Note that the subsystem raised an error while it was ``doing`` something with ``changes``."""
        self.troubles.append(f"{doing}: {error}")
        for change in changes:
            self.failed.update(self.parts(change))

    def fail(self, failures: Mapping[str, str]) -> None:
        """Note the objects that could not be changed, name → why."""
        self.failures.update(failures)
        self.failed.update(failures)

    def parts(self, change: Change[Any]) -> set[str]:
        """Return the names under which a failure of the change is reported."""
        item = change.before if change.after is None else change.after
        return {change.name, *self.subsystem.parts(item)}

    def has_failed(self, change: Change[Any]) -> bool:
        """Return whether the change was not made."""
        return bool(self.failed) and not self.failed.isdisjoint(self.parts(change))

    def report(self) -> list[Failure]:
        """Return the failures, one for each reason."""
        kind = self.subsystem.kind
        whole = [Failure(kind, "", text) for text in dict.fromkeys([*self.conflicts, *self.troubles])]
        by_text: dict[str, str] = {}
        for name, text in [*self.left.items(), *self.failures.items()]:
            by_text.setdefault(text, name)
        return whole + [Failure(kind, name, text) for text, name in by_text.items()]

    def problems(self) -> list[str]:
        """Return the failures as texts for people, each with the subsystem's kind."""
        texts = list(self.troubles)
        texts += ["; ".join(dict.fromkeys(self.left.values()))] if self.left else []
        texts += [f"applying: {'; '.join(dict.fromkeys(self.failures.values()))}"] if self.failures else []
        return [f"{self.subsystem.kind}: {text}" for text in dict.fromkeys(texts)]

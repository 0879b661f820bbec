"""What a walk hands to its caller: the result, the failures of single objects and subsystems, and the error.

What does not belong here: the walk itself (``converge.py``), and how modules report a result (``modules/items.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..node.subsystem import Confirmation, Note


@dataclass(frozen=True)
class Failure:
    """Why the object ``name`` of subsystem ``kind`` is not as desired. ``name`` is "" for a failure of the whole
    subsystem. Objects that failed for the same reason are one failure, with the name of the first."""

    kind: str
    name: str
    text: str


@dataclass
class Result:
    """The changes, notes and confirmations of a run.

    ``changes`` has every change as plain data ``{kind, name, verb, before, after}``, in the order of the subsystems; in
    check mode, the changes that a run would make. ``notes`` tell a person about things that the run does not act on,
    for example a guest that needs a restart. ``confirmations`` are changes that undo themselves unless the control node
    confirms them. ``failures`` are the parts of the node that are not as desired. ``paused`` says that the run ended
    early, so that its confirmations can be given before it goes on. ``kept`` says that the node already kept exactly
    this document, undamaged, before the run, and had applied it. ``complete`` is False if the node does not have all of
    its desired state: the run has failures, is paused, or leaves guests as they are because their disk is missing.
    """

    changes: list[dict[str, Any]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    confirmations: list[Confirmation] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    paused: bool = False
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


class ConvergeError(RuntimeError):
    """Converging failed. The message names every failure, a line for each subsystem; ``result`` has the changes and the
    failures as data."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


class ConflictError(ConvergeError):
    """A foreign object has a desired name, an object that must exist is missing, or a removal is not allowed. Nothing
    was applied."""

"""Which removals a walk may make of objects that hold data: the disks and domains of guests (``Subsystem.guarded``).

Such an object is only removed when the call lists its name, and never when its mark says that it is protected. What
does not belong here: how an object is removed (``node/``), and who decides which removals are listed (the plan).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from ..node.subsystem import Note
from .stage import Stage

SHOWN = 10  # a message names at most so many guests


@dataclass
class _Guest:
    """A guest with an object that would be removed, and the kinds of these objects."""

    name: str
    title: str = ""
    kinds: list[str] = field(default_factory=list)
    protected: bool = False

    @property
    def text(self) -> str:
        """One guest for people: ``web03 (0cb1dc1d-…: disk and domain)``."""
        return f"{self.title or 'a guest without a name'} ({self.name}: {' and '.join(self.kinds)})"


def refusal(stages: Sequence[Stage], removable: Collection[str] | None) -> str:
    """Return why the removals of ``stages`` are refused: a message that names the guests, what would be removed and
    what to do. "" if all are allowed.

    :param removable: the names that may be removed; None: every name that is not protected.
    """
    guests = _guests(stages)
    protected = [guest for guest in guests if guest.protected]
    unlisted = [guest for guest in guests if not guest.protected and removable is not None]
    unlisted = [guest for guest in unlisted if guest.name not in (removable or ())]
    texts = []
    if protected:
        texts.append(
            f"{_counted(protected, 'protected guest')} would be removed: {_listed(protected)}. Set "
            "instance_protected: false (module instance: protected: false) for each of them in a run of its own, then "
            "remove it"
        )
    if unlisted:
        texts.append(
            f"{_counted(unlisted, 'guest')} would be removed that this call does not allow to remove: "
            f"{_listed(unlisted)}. If the inventory lacks them by mistake, correct it. If they are to go, run "
            "site.yml, which lists them in the node state; a node state that is written by hand lists their uuids in "
            "its key 'removals'"
        )
    return "; ".join(texts) + ("; nothing was changed on this node" if texts else "")


def keep_refused(stages: Sequence[Stage], removable: Collection[str] | None) -> list[Note]:
    """Drop the removals that ``refusal`` refuses. Return a note for each guest that is kept."""
    kept = {
        guest.name: guest
        for guest in _guests(stages)
        if guest.protected or (removable is not None and guest.name not in removable)
    }
    leave(stages, kept, removals=True)
    return [
        Note(
            guest.kinds[0],
            guest.name,
            f"instance {guest.text}: the node state has no such guest, but does not allow to remove it; it is kept as "
            "it is. If it is to go, run site.yml",
        )
        for guest in kept.values()
    ]


def leave_unsafe(stages: Sequence[Stage]) -> list[Note]:
    """Leave as they are: objects that a restore must not change (``Subsystem.unsafe_to_restore``), with the other
    guarded objects of the same guest, and guests that have a conflict. Return a note for each."""
    notes: dict[str, Note] = {}
    others: list[Note] = []
    conflicts: dict[str, Note] = {}
    changed = {change.name for stage in stages if stage.subsystem.guarded for change in stage.changes}
    for stage in stages:
        unsafe = {note.name: note for note in stage.subsystem.unsafe_to_restore(stage.changes)}
        if not stage.subsystem.guarded:
            stage.changes = [change for change in stage.changes if change.after is None or change.name not in unsafe]
            others += unsafe.values()
            continue
        notes = {**unsafe, **notes}
        for conflict in stage.reading.conflicts:
            if conflict.name in changed:
                conflicts.setdefault(conflict.name, stage.subsystem.note(conflict.name, conflict.text))
    leave(stages, notes)
    leave(stages, conflicts, removals=True)
    return [*others, *notes.values(), *conflicts.values()]


def leave_withheld(stages: Sequence[Stage]) -> None:
    """Leave the guests as they are that a reading withholds (``Reading.withheld``). They can still be removed."""
    leave(stages, {name for stage in stages for name in stage.reading.withheld})


def withheld(stages: Iterable[Stage]) -> list[str]:
    """Return the desired guests that a reading withholds, as texts for people."""
    titles = {
        name: str(getattr(stage.desired[name], "title", "") or name)
        for stage in stages
        for name in stage.reading.withheld
        if name in stage.desired
    }
    return [f"instance {title}" for title in sorted(titles.values())]


def leave_unread(stages: Sequence[Stage]) -> list[Note]:
    """Hold the removals of a run in which a subsystem could not be read: what its objects need is unknown. If it is a
    guarded one, leave all guests as they are. Return a note on what waits."""
    unread = [stage for stage in stages if not stage.compared]
    waiting = hold_removals(stages)
    if any(stage.subsystem.guarded for stage in unread):
        for stage in stages:
            stage.changes = [] if stage.subsystem.guarded else stage.changes
    if not waiting:
        return []
    kinds = ", ".join(stage.subsystem.kind for stage in unread)
    text = f"not removed in this run, because {kinds} could not be read: {', '.join(waiting)}"
    return [Note(unread[0].subsystem.kind, "", text)]


def hold_removals(stages: Sequence[Stage]) -> list[str]:
    """Drop all removals that can wait (``Subsystem.can_wait``). Return how many of each kind."""
    waiting = []
    for stage in stages:
        stage.holds = True
        found, stage.changes = len(stage.changes), stage.allowed(stage.changes)
        if number := found - len(stage.changes):
            waiting.append(f"{number} {stage.subsystem.kind}")
    return waiting


def leave(stages: Sequence[Stage], names: Collection[str], removals: bool = False) -> None:
    """Drop the changes of guarded objects with these names, the removals only with ``removals``."""
    for stage in stages:
        if stage.subsystem.guarded:
            stage.changes = [
                change
                for change in stage.changes
                if change.name not in names or (change.after is None and not removals)
            ]


def _guests(stages: Iterable[Stage]) -> list[_Guest]:
    """Return the guests with guarded objects that would be removed, sorted by title."""
    guests: dict[str, _Guest] = {}
    for stage in stages:
        if not stage.subsystem.guarded:
            continue
        for change in stage.changes:
            if change.after is None:
                guest = guests.setdefault(change.name, _Guest(change.name))
                guest.title = guest.title or str(getattr(change.before, "title", ""))
                guest.kinds.append(stage.subsystem.kind)
                guest.protected = guest.protected or change.name in stage.reading.protected
    return sorted(guests.values(), key=lambda guest: (guest.title, guest.name))


def _counted(guests: Sequence[_Guest], noun: str) -> str:
    return f"{len(guests)} {noun}" + ("" if len(guests) == 1 else "s")


def _listed(guests: Sequence[_Guest]) -> str:
    more = f" and {len(guests) - SHOWN} more" if len(guests) > SHOWN else ""
    return ", ".join(guest.text for guest in guests[:SHOWN]) + more

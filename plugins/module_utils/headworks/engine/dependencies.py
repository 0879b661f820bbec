"""What must wait because something else failed. A subsystem says which objects of other subsystems each of its objects
requires (``Subsystem.requires``); here is what the walk makes of it.

- An object is not created or changed if something that it requires failed: a router's namespace gets no addresses
  without its filter, a guest is not started without its port.
- What an object requires is not removed if the object itself could not be removed: a bridge stays as long as the NIC
  with the node's addresses is in it.

What does not belong here: the order of the subsystems (``order.py``), and which removals are allowed at all
(``removals.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..node.subsystem import Change
from .stage import Stage

SHOWN = 10  # a message names at most so many objects that wait for the same


def leave_blocked(stage: Stage, stages: Sequence[Stage]) -> None:
    """Leave the objects of ``stage`` as they are that require something which failed."""
    failed = {other.subsystem.kind: other for other in stages if other.failed or not other.compared}
    if not failed:
        return
    blocked: dict[str, dict[str, str]] = {}  # cause → name → how people call the object
    for change in stage.changes:
        if change.after is not None and (cause := _cause(stage.subsystem.requires(change.after), failed)):
            title = getattr(change.after, "title", "")
            blocked.setdefault(cause, {})[change.name] = f"instance {title}" if title else change.name
    for cause, titles in blocked.items():
        stage.leave(dict.fromkeys(titles, f"{_listed(list(titles.values()))}, because {cause} failed"))


def _listed(titles: Sequence[str]) -> str:
    more = f" and {len(titles) - SHOWN} more" if len(titles) > SHOWN else ""
    return f"{', '.join(titles[:SHOWN])}{more}: left as {'it is' if len(titles) == 1 else 'they are'}"


def _cause(required: Mapping[str, Collection[str]], failed: Mapping[str, Stage]) -> str:
    """Return the first required object that failed, for people; "" without one."""
    for kind, names in required.items():
        other = failed.get(kind)
        if other is None:
            continue
        if not other.compared:
            return kind
        for name in sorted(names):
            if name in other.failed:
                return f"{kind} {name}".rstrip()
    return ""


def keep_required(stage: Stage, removals: Sequence[Change[Any]], stages: Sequence[Stage]) -> None:
    """Drop the removals of what those objects require that ``stage`` could not remove; ``removals`` are those that it
    tried."""
    required: dict[str, set[str]] = {}
    for change in removals:
        if stage.has_failed(change):
            for kind, names in stage.subsystem.requires(change.before).items():
                required.setdefault(kind, set()).update(names)
    for other in stages:
        if other.subsystem.kind in required:
            other.keep |= required[other.subsystem.kind]
            other.changes = other.allowed(other.changes)

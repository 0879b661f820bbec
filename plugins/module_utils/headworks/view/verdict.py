"""The verdict of a run: what came of every node, in a few lines. Pure; the callback plugin collects and prints.

Nodes that are as declared share one line, so that it stays short at a hundred nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

OK, CHANGED, FAILED, UNREACHABLE = "ok", "changed", "failed", "unreachable"


@dataclass
class NodeOutcome:
    """What came of a node. ``kinds`` counts changes by kind; ``reason`` says why it failed or could not be reached."""

    state: str = OK
    kinds: Counter[str] = field(default_factory=Counter)
    reason: str = ""
    notes: list[str] = field(default_factory=list)

    def changed(self, changes: Iterable[Mapping[str, str]]) -> None:
        """Count changes (``{"kind", …}``) that a module reports."""
        self.kinds.update(change["kind"] for change in changes)
        if self.kinds and self.state == OK:
            self.state = CHANGED

    def failed(self, state: str, reason: str) -> None:
        """The node is out of this run. The first reason counts."""
        if self.state in (OK, CHANGED):
            self.state, self.reason = state, reason


def lines(nodes: Mapping[str, NodeOutcome], *, check: bool = False) -> list[tuple[str, str]]:
    """(state, text) of each line, best first.

    :param check: it was a check run: say what would be changed.
    """
    width = max(map(len, nodes), default=0)
    calm = [name for name, one in nodes.items() if one.state == OK]
    shown = []
    if calm:
        names = ", ".join(calm) if len(calm) <= 8 else f"{len(calm)} nodes"
        shown.append((OK, f"as declared: {names}"))
    for name, one in nodes.items():
        if one.state == CHANGED:
            shown.append((CHANGED, f"{name:{width}}  {'would change' if check else 'changed'}: {counts(one.kinds)}"))
    for name, one in nodes.items():
        shown += [(OK, f"{name:{width}}  note: {note}") for note in one.notes]
    for name, one in nodes.items():
        if one.state == FAILED:
            shown.append((FAILED, f"{name:{width}}  FAILED: {one.reason}"))
        if one.state == UNREACHABLE:
            shown.append((UNREACHABLE, f"{name:{width}}  UNREACHABLE: {one.reason}"))
    return shown


def counts(kinds: Counter[str]) -> str:
    """``3 link, 12 flow``, in the order in which they were made."""
    return ", ".join(f"{number} {kind}" for kind, number in kinds.items()) or "nothing"

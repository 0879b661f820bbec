"""The verdict of a run: the outcome of every node, in a few lines. Pure.

Nodes without changes share a line, so that the verdict stays short with a hundred nodes. What does not belong here:
collecting the outcomes and printing the lines, which ``plugins/callback`` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

OK, CHANGED, FAILED, UNREACHABLE = "ok", "changed", "failed", "unreachable"


@dataclass
class NodeOutcome:
    """The outcome of a node. ``kinds`` counts changes by kind; ``reason`` is why it failed or could not be reached, in
    a line for each part of the node that failed."""

    state: str = OK
    kinds: Counter[str] = field(default_factory=Counter)
    reason: str = ""
    notes: list[str] = field(default_factory=list)

    def changed(self, changes: Iterable[Mapping[str, str]]) -> None:
        """Count the changes (``{"kind", …}``) that a module reports."""
        self.kinds.update(change["kind"] for change in changes)
        if self.kinds and self.state == OK:
            self.state = CHANGED

    def failed(self, state: str, reason: str) -> None:
        """Record that the node failed or is unreachable (``state``). Only the first reason is kept."""
        if self.state in (OK, CHANGED):
            self.state, self.reason = state, reason


def lines(nodes: Mapping[str, NodeOutcome], *, check: bool = False) -> list[tuple[str, str]]:
    """(state, text) of each line: nodes as declared, changed nodes, notes, then failed and unreachable nodes.

    :param check: the run was in check mode, so the lines say what a run would change.
    """
    width = max(map(len, nodes), default=0)
    unchanged = [name for name, outcome in nodes.items() if outcome.state == OK]
    result = []
    if unchanged:
        names = ", ".join(unchanged) if len(unchanged) <= 8 else f"{len(unchanged)} nodes"
        result.append((OK, f"as declared: {names}"))
    verb = "would change" if check else "changed"
    for name, outcome in nodes.items():
        if outcome.state == CHANGED:
            result.append((CHANGED, f"{name:{width}}  {verb}: {counts(outcome.kinds)}"))
    for name, outcome in nodes.items():
        result += [(OK, f"{name:{width}}  note: {note}") for note in outcome.notes]
    for name, outcome in nodes.items():
        if outcome.state == FAILED:
            first, *more = outcome.reason.splitlines() or [""]
            result.append((FAILED, f"{name:{width}}  FAILED: {first}"))
            result += [(FAILED, f"{'':{width}}          {text}") for text in more]
        if outcome.state == UNREACHABLE:
            result.append((UNREACHABLE, f"{name:{width}}  UNREACHABLE: {outcome.reason}"))
    return result


def counts(kinds: Counter[str]) -> str:
    """The number of changes of each kind, as ``3 link, 12 flow``, in the order in which the kinds were changed."""
    return ", ".join(f"{number} {kind}" for kind, number in kinds.items()) or "nothing"


def plan_exit_code(answer: Mapping[str, Any], nodes: Mapping[str, NodeOutcome]) -> tuple[int, str]:
    """The exit code and the last line of a run that only plans: 0 nothing to change, 2 changes, 1 a node cannot tell
    all of its changes or the run would be refused, 4 a node does not answer.

    :param answer: the result of cloud_begin.
    """
    plan = answer["planned"]
    if plan.get("refusal"):
        return 1, "Only planned: a run would be refused (exit code 1)."
    states = {node["state"] for node in plan["nodes"].values()}
    if any(outcome.state == FAILED for outcome in nodes.values()) or "failed" in states:
        return 1, "Only planned: some nodes cannot tell all of their changes (exit code 1)."
    if any(outcome.state == UNREACHABLE for outcome in nodes.values()) or "silent" in states:
        return 4, "Only planned: some nodes do not answer (exit code 4)."
    if answer["changes_planned"]:
        return 2, "Only planned: nothing was changed; a run would change this (exit code 2)."
    return 0, "Only planned: there is nothing to change (exit code 0)."

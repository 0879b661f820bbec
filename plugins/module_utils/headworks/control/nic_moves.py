"""Converge a node whose NICs move: each move is confirmed over a new connection, directly after it.

The node ends its run early after a move (``paused``). Then the move is confirmed, and the run is continued by a second
call. If the node does not answer any more, it takes the move back by itself, and answers again. What does not belong
here: the move itself (``node/underlay``), and Ansible's connections (``plugins/action/cloud_converge.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

CALLS = 6  # more calls than a run can need: NICs leave their bridges, then NICs enter bridges
GRACE_SECONDS = 90.0  # for a rollback and its network, after it was due
PAUSE_SECONDS = 2.0

Answer = dict[str, Any]
_NOTHING: Answer = {"nics": [], "left": [], "undone": [], "notes": [], "failures": {}}


class Unanswered(Exception):
    """The node does not answer. The text is the reason."""


@dataclass
class NodeOnTheMove:
    """A node and how to call it: ``converge`` and ``confirm`` call its modules, ``reconnect`` closes the connection, so
    that the next call opens a new one. Both calls raise ``Unanswered``. ``rollback_seconds``: when the node takes an
    unconfirmed move back."""

    converge: Callable[[], Answer]
    confirm: Callable[[], Answer]
    reconnect: Callable[[], None]
    rollback_seconds: float
    clock: Callable[[], float] = monotonic
    sleep: Callable[[float], None] = sleep

    def run(self, moves: bool) -> Answer:
        """Converge the node, and confirm the moves of its NICs.

        :param moves: NICs are going to move. So it may be their move if the node does not answer.
        :raises Unanswered: the node does not answer, and did not take its move back in time.
        """
        problems: list[str] = []
        result: Answer | None = None
        for _ in range(CALLS):
            answer = self._converge_once(moves)
            if answer is not None:
                result = merged(result, answer)
                if not answer.get("confirmations"):
                    break
            confirmed = self._confirm_all()
            if confirmed["undone"]:
                return self._taken_back(result, confirmed["undone"])
            problems += confirmed["failures"].values()
            result = _with_notes(result, confirmed)
            if answer is not None and not answer.get("paused"):
                break
        else:
            problems.append(_unfinished(result or {}))
        return _with_problems(result or {}, problems)

    def _converge_once(self, moves: bool) -> Answer | None:
        """Return the answer of a call; None if the connection was lost while a NIC moved."""
        try:
            return self.converge()
        except Unanswered:
            if not moves:
                raise
            return None

    def _confirm_all(self) -> Answer:
        """Confirm the moves over new connections, until none is left to confirm."""
        total: Answer = {key: type(value)(value) for key, value in _NOTHING.items()}
        for _ in range(CALLS):
            answer = self._confirm_once()
            for key in ("nics", "notes"):
                total[key] += answer.get(key) or []
            total["failures"] |= answer.get("failures") or {}
            total["undone"] = answer.get("undone") or []
            if total["undone"] or not answer.get("left"):
                break
        return total

    def _confirm_once(self) -> Answer:
        """Confirm over a new connection. If the node does not answer, wait until it has taken the move back."""
        end = self.clock() + self.rollback_seconds + GRACE_SECONDS
        while True:
            self.reconnect()
            try:
                return self.confirm()
            except Unanswered as error:
                if self.clock() >= end:
                    raise Unanswered(
                        f"{error}; the node does not answer since one of its NICs moved, although it takes an "
                        f"unconfirmed move back after {self.rollback_seconds:.0f} s. See docs/real-machines.md: "
                        "a node that does not come back"
                    ) from error
            self.sleep(PAUSE_SECONDS)

    def _taken_back(self, result: Answer | None, nics: list[str]) -> Answer:
        names = ", ".join(nics)
        text = (
            f"nic {names}: the node could not be reached after the move, so it took the move back "
            f"(node_rollback_seconds: {self.rollback_seconds:.0f}). It has its addresses as before. Nothing was "
            "changed after the move. Check interface and bridge in node_bridge_mappings, and the network that the NIC "
            "is on; then run site.yml again"
        )
        return {**(result or {}), "failed": True, "msg": text, "confirmations": []}


def _with_notes(result: Answer | None, confirmed: Answer) -> Answer | None:
    """Return the result with the notes of a confirmation instead of the texts that asked for it."""
    if result is None:
        return None
    armed = [confirmation["text"] for confirmation in result.get("confirmations") or ()]
    notes = [note for note in result.get("notes") or () if note not in armed]
    notes += [f"nic {nic}: its move is confirmed; the node can be reached" for nic in confirmed["nics"]]
    return {**result, "confirmations": [], "notes": notes + confirmed["notes"]}


def _unfinished(result: Answer) -> str:
    """Return why a run is given up whose last call still ended early."""
    failed = [failure["text"] for failure in result.get("failures") or ()]
    text = f"NICs still move after {CALLS} calls, so this run ends before all is done"
    return ": ".join([text, "; ".join(failed)] if failed else [text])


def _with_problems(result: Answer, problems: list[str]) -> Answer:
    if not problems:
        return result
    own = [result["msg"]] if result.get("failed") and result.get("msg") else []
    return {**result, "failed": True, "msg": "; ".join(dict.fromkeys([*own, *problems]))}


def merged(first: Answer | None, second: Mapping[str, Any]) -> Answer:
    """Return the answers of two calls that make one run. The first call listed all changes, and the second call those
    that were left. What failed in the first call, the second call tried again."""
    if first is None:
        return dict(second)
    result = {**{key: value for key, value in first.items() if key not in ("failed", "msg", "paused")}, **second}
    known = {_key(change) for change in first.get("changes") or ()}
    new = [index for index, change in enumerate(second.get("changes") or ()) if _key(change) not in known]
    for name in ("changes", "diff"):
        if name in first or name in second:
            more = second.get(name) or []
            result[name] = [*(first.get(name) or ()), *(more[index] for index in new if index < len(more))]
    for name in ("notes", "effects"):
        if name in first or name in second:
            before = first.get(name) or []
            result[name] = [*before, *(item for item in second.get(name) or () if item not in before)]
    result["changed"] = bool(first.get("changed") or second.get("changed"))
    return result


def _key(change: Mapping[str, Any]) -> tuple[Any, ...]:
    """The object of a change. What the first call has begun to add, the second call only changes."""
    return change.get("kind"), change.get("name")

"""The engine's own commands on a node: ``restore`` (at boot) and ``drift`` (what differs from the kept state)."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from ..node.underlay.rollback import confirm
from .converge import ConvergeError, Result
from .doors import converge_document, kept

USAGE = "usage: engine.zip restore | drift | apply FILE | check FILE"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code: 0 done (drift: none), 1 failed, 2 wrong usage, 3 drift found."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words not in (["restore"], ["drift"]) and not (len(words) == 2 and words[0] in {"apply", "check"}):
        print(USAGE, file=sys.stderr)
        return 2
    if len(words) == 2:
        with open(words[1], encoding="utf-8") as source:
            state = json.load(source)
    else:
        state = kept()
    if state is None:
        print("headworks: this node has no kept state: nothing to do")
        return 0
    check = words[0] in {"drift", "check"}
    try:
        result = converge_document(state, check=check)
    except (ConvergeError, ValueError) as error:
        print(f"headworks: {error}", file=sys.stderr)
        return 1
    if words == ["restore"]:
        confirm()  # this state was confirmed when it came; at boot nobody is there to do it again
    _show(result)
    return 3 if check and result.changed else 0


def _show(result: Result) -> None:
    signs = {"add": "+", "remove": "-", "change": "~"}
    for change in result.changes:
        print(f"{signs[change['verb']]} {change['kind']} {change['name']}")
    for text in [note.text for note in result.notes] + [one.text for one in result.confirmations]:
        print(f"note: {text}")
    print(f"headworks: {len(result.changes)} change(s)")

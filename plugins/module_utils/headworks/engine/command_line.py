"""The engine's command line on a node.

``restore`` converges the node to its kept document (at boot), ``drift`` prints the differences from it; ``apply`` and
``check`` do the same with the document of a file.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from ..node.subsystem import SIGNS
from ..node.underlay.rollback import confirm
from ..system.kept_json import Kept
from .doors import converge_document, kept_document
from .result import ConvergeError, Result

RESTORE_ATTEMPTS = 3
RESTORE_PAUSE_S = 2.0
USAGE = "usage: engine.zip restore | drift | apply FILE | check FILE"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code: 0 success, 1 failure, 2 wrong usage, 3 ``drift`` or ``check`` found
    differences."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words not in (["restore"], ["drift"]) and not (len(words) == 2 and words[0] in {"apply", "check"}):
        print(USAGE, file=sys.stderr)
        return 2
    if len(words) == 2:
        with open(words[1], encoding="utf-8") as source:
            state = json.load(source)
    else:
        kept = kept_document()
        if kept.damage:
            print(f"headworks: {kept.damage}", file=sys.stderr)
        if kept.data is None:
            return _without_document(kept)
        state = kept.data
    check = words[0] in {"drift", "check"}
    try:
        result = _restore(state) if words == ["restore"] else converge_document(state, check=check)
    except (ConvergeError, ValueError) as error:
        print(f"headworks: {error}", file=sys.stderr)
        if isinstance(error, ConvergeError):
            _show_notes(error.result, sys.stderr)
        return 1
    if words == ["restore"]:
        confirm()  # the control node confirmed this state in its run; at boot no control node can confirm it
    _show(result)
    return 3 if check and result.changed else 0


def _without_document(kept: Kept) -> int:
    """Say that there is nothing to restore. It is a failure if the node had a document."""
    if kept.damage:
        print("headworks: no intact node state: nothing is restored; run site.yml", file=sys.stderr)
        return 1
    print("headworks: this node has no kept node state: nothing to do")
    return 0


def _restore(state: Mapping[str, Any]) -> Result:
    """Converge to ``state``, again after a failure: at boot other daemons still change what a run reads and writes, and
    no operator is there to repeat the run.

    :raises ConvergeError: the last attempt failed, too.
    """
    for _ in range(RESTORE_ATTEMPTS - 1):
        try:
            return converge_document(state, restore=True)
        except ConvergeError as error:
            print(f"headworks: {error}; restoring again in {RESTORE_PAUSE_S:.0f} s", file=sys.stderr)
            time.sleep(RESTORE_PAUSE_S)
    return converge_document(state, restore=True)


def _show(result: Result) -> None:
    for change in result.changes:
        print(f"{SIGNS[change['verb']]} {change['kind']} {change['name']}")
    _show_notes(result, sys.stdout)
    print(f"headworks: {len(result.changes)} change(s)")


def _show_notes(result: Result, stream: TextIO) -> None:
    for text in [note.text for note in result.notes] + [confirmation.text for confirmation in result.confirmations]:
        print(f"note: {text}", file=stream)

"""The engine's command line on a node.

``restore`` converges the node to its kept document (at boot), ``drift`` prints the differences from it; ``apply`` and
``check`` do the same with the document of a file. ``repair`` restores only some sections of the kept document
(``repair.py``). ``confirm`` confirms the moves of NICs. ``stop-guests`` stops the guests of a node that shuts down.
``compile`` makes the engine start faster (``bytecode.py``).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from ..node.subsystem import SIGNS
from ..system.kept_json import Kept
from .doors import LockError, converge_document, converge_lock, kept_document
from .repair import NETWORK, PARTS, repair
from .result import ConvergeError, Result

RESTORE_ATTEMPTS = 3
RESTORE_PAUSE_S = 2.0
USAGE = "usage: engine.zip restore | repair switch | repair filters | drift | confirm | apply FILE | check FILE"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code: 0 success, 1 failure, 2 wrong usage, 3 ``drift`` or ``check`` found
    differences."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words == ["restore"]:
            return _restore()
        if len(words) == 2 and words[0] == "repair" and words[1] in PARTS:
            return _repair(words[1])
        if words == ["stop-guests"]:
            return _stop_guests()
        if words == ["compile"]:
            return _compile()
        if words == ["drift"]:
            return _drift()
        if words == ["confirm"]:
            return _confirm()
        if len(words) == 2 and words[0] in {"apply", "check"}:
            with open(words[1], encoding="utf-8") as source:
                return _converge(json.load(source), check=words[0] == "check")
    except (ConvergeError, LockError, ValueError) as error:
        print(f"headworks: {error}", file=sys.stderr)
        if isinstance(error, ConvergeError):
            _show_changes(error.result)
            _show_notes(error.result, sys.stderr)
        return 1
    print(USAGE, file=sys.stderr)
    return 2


def _converge(state: Mapping[str, Any], check: bool) -> int:
    result = converge_document(state, check=check)
    _show(result)
    return 3 if check and result.changed else 0


def _drift() -> int:
    kept = kept_document()
    _tell_damage(kept)
    return _without_document(kept) if kept.data is None else _converge(kept.data, check=True)


def _confirm() -> int:
    """Confirm the moves of NICs, for an operator who applied a document by hand."""
    from ..node.underlay.rollback import confirm  # a repair does not need it

    with converge_lock():
        confirmed = confirm()
    lines = [f"nic {nic}: its move is confirmed" for nic in confirmed.nics]
    lines += [f"nic {nic}: not confirmed yet: connect again and repeat this command" for nic in confirmed.left]
    lines += [f"nic {nic}: its move was taken back" for nic in confirmed.undone]
    print("\n".join([*confirmed.notes, *lines] or ["headworks: no move of a NIC waits for a confirmation"]))
    for text in confirmed.failures.values():
        print(f"headworks: {text}", file=sys.stderr)
    return 1 if confirmed.failures or confirmed.undone else 0


def _repair(part: str) -> int:
    kept, result = repair(PARTS[part])
    _tell_damage(kept)
    if kept.data is None:
        return _without_document(kept)
    _show(result)
    return 0


def _restore() -> int:
    """Restore the networks, and then the whole node: a libvirt that does not answer delays no network, and does not
    keep the lock of the node from a repair."""
    from ..node.compute.libvirt_socket import await_answer
    from .bytecode import prepare

    kept = kept_document()
    _tell_damage(kept)
    if kept.data is None:
        return _without_document(kept)
    try:
        _show(repair(NETWORK)[1])
    except ConvergeError as error:
        print(f"headworks: networks: {error}", file=sys.stderr)
    if kept.data.get("sections", {}).get("domains"):
        await_answer()
    _show(_restore_all())
    prepare()  # the node may have another Python since the last run
    return 0


def _stop_guests() -> int:
    """Stop the guests if the node shuts down. At another time, stopping the unit must not stop them."""
    from ..node.compute.shutdown import is_shutting_down, stop_all_guests

    if not is_shutting_down():
        print("headworks: this node does not shut down: its guests go on")
        return 0
    for text in stop_all_guests():
        print(f"headworks: {text}")
    return 0


def _compile() -> int:
    from .bytecode import compile_engine

    compile_engine()
    return 0


def _tell_damage(kept: Kept) -> None:
    if kept.damage:
        print(f"headworks: {kept.damage}", file=sys.stderr)


def _without_document(kept: Kept) -> int:
    """Say that there is nothing to restore. It is a failure if the node had a document."""
    if kept.damage:
        print("headworks: no intact node state: nothing is restored; run site.yml", file=sys.stderr)
        return 1
    print("headworks: this node has no kept node state: nothing to do")
    return 0


def _restore_all() -> Result:
    """Converge to the kept document, again after a failure: at boot other daemons still change what a run reads and
    writes. Later attempts are made by a timer (``units.py``).

    :raises ConvergeError: the last attempt failed, too.
    """
    for _ in range(RESTORE_ATTEMPTS - 1):
        try:
            return converge_document(kept_document().data or {}, restore=True)
        except ConvergeError as error:
            print(f"headworks: {error}; restoring again in {RESTORE_PAUSE_S:.0f} s", file=sys.stderr)
            time.sleep(RESTORE_PAUSE_S)
    return converge_document(kept_document().data or {}, restore=True)


def _show_changes(result: Result) -> None:
    """Print the changes that were found. Those of what failed may not have been made."""
    for change in result.changes:
        print(f"{SIGNS[change['verb']]} {change['kind']} {change['name']}")


def _show(result: Result) -> None:
    _show_changes(result)
    _show_notes(result, sys.stdout)
    print(f"headworks: {len(result.changes)} change(s)")


def _show_notes(result: Result, stream: TextIO) -> None:
    for text in [note.text for note in result.notes] + [confirmation.text for confirmation in result.confirmations]:
        print(f"note: {text}", file=stream)

"""The doors of the engine: each door takes the node's lock and then calls ``converge``.

``site.yml`` uses ``converge_document`` (through the module node_state), the boot unit and the drift check use it with
the kept document, and the single-purpose modules use ``converge_steps``. What does not belong here: the walk
(``converge.py``), the command line (``command_line.py``), and how modules report the result (``modules/items.py``).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..node.subsystem import Note
from ..state.document import older_than_kept, upgrade
from ..state.places import HEADWORKS_DIR, NODE_STATE
from ..system.kept_json import Kept, kept_text, read_kept, write_kept_text
from . import boot
from .applied import is_applied, note_applied
from .converge import ConflictError, ConvergeError, Result, Step, converge
from .order import distribution_of, pipeline

STATE_DIR = Path(HEADWORKS_DIR)
KEPT_DOCUMENT = Path(NODE_STATE)
LOCK_FILE = Path("/run/headworks/converge.lock")


def converge_document(
    document: Mapping[str, Any],
    *,
    check: bool = False,
    accept_older: bool = False,
    restore: bool = False,
    pause: bool = False,
) -> Result:
    """Converge this node to a node state document, and keep the document for the next boot.

    The engine and the document are written before any other change, so that the boot unit completes a run that was
    killed. The engine is written first: a newer engine understands the document of an older engine, but an older engine
    does not understand the document of a newer one.

    :param accept_older: also take a document of another cloud, another lineage or an older plan than the kept document.
    :param restore: the run is a restore without an operator: see ``converge``.
    :param pause: end early when a change waits for a confirmation: see ``converge``. The caller confirms it and calls
        this function again.
    :raises ValueError: the document is malformed; the node is not changed.
    :raises ConflictError: the document is older than the kept document, or it would remove a guest that it does not
        list; the node is not changed.
    :raises ConvergeError: a subsystem failed.
    """
    archive = boot.running_archive()
    document = upgrade(document)
    boot_section = boot.section(archive, distribution_of(document))
    complete = {**document, "sections": {"boot": boot_section, **document.get("sections", {})}}

    def begin() -> None:
        boot.replace_engine(archive)
        keep_document(document)

    with converge_lock(check=check):
        kept = read_kept(KEPT_DOCUMENT)
        earlier = {"allocations": _all_allocations(document, kept), "earlier_disks": _disks_of(kept)}
        steps = pipeline({**complete, **earlier, "restore": restore})
        notes = [Note("document", KEPT_DOCUMENT.name, kept.damage)] if kept.damage else []
        if not accept_older:
            _refuse_older(document, kept)
        removable = frozenset(document.get("removals", ()))
        try:
            result = converge(
                steps, check=check, begin=begin, removable=removable, restore=restore, pause=pause
            )
        except ConvergeError as error:
            error.result.add(notes)
            raise
        ended = not check and not result.paused
        if removable and ended:
            keep_document({**document, "removals": []})  # they are made: a later restore must not make them again
        was_applied = is_applied(document, STATE_DIR)
        if ended:
            note_applied(document, STATE_DIR)
    result.add(notes)
    result.kept = not kept.damage and kept.data == document and was_applied and result.complete
    return result


def _all_allocations(document: Mapping[str, Any], kept: Kept) -> dict[str, Any]:
    """Return the allocations of the document, with those of the guests that only the kept document has: they are kept
    with the disks of removed guests."""
    instances: dict[str, Any] = {}
    for allocations in ((kept.data or {}).get("allocations"), document.get("allocations")):
        if isinstance(allocations, dict) and isinstance(allocations.get("instances"), dict):
            instances |= allocations["instances"]
    return {**document.get("allocations", {}), "instances": instances}


def _disks_of(kept: Kept) -> list[dict[str, Any]]:
    """Return the disks of the kept document: whose they are is known from it if their marks are lost."""
    document = kept.data or {}
    return [{**disk, "cloud": document.get("cloud")} for disk in document.get("sections", {}).get("disks", ())]


def _refuse_older(document: Mapping[str, Any], kept: Kept) -> None:
    text = older_than_kept(document, kept.data) if kept.data is not None else ""
    if text:
        raise ConflictError(f"{text}; if it is meant, add -e cloud_accept_older=true; nothing was changed", Result())


def converge_steps(steps: Sequence[Step], *, check: bool = False) -> Result:
    """Converge some subsystems of this node, for a single-purpose module.

    :param steps: (subsystem, desired objects by name), in the order in which objects are created.
    :raises ConvergeError: a subsystem failed.
    """
    with converge_lock(check=check):
        return converge(steps, check=check)


def keep_document(document: Mapping[str, Any]) -> None:
    """Write the document for the next boot, with mode 0600 because it holds user data. The document of the run before
    becomes the previous version."""
    STATE_DIR.mkdir(parents=True, exist_ok=True)
    write_kept_text(KEPT_DOCUMENT, kept_text(dict(document)), mode=0o600)


def kept_document() -> Kept:
    """Return the document of the last run, or of the run before if that file is damaged. The removals of the run before
    are not in it: a guest that was removed by it may be back."""
    kept = read_kept(KEPT_DOCUMENT)
    if kept.data is None or not kept.previous:
        return kept
    return replace(kept, data={**kept.data, "removals": []})


class LockError(RuntimeError):
    """The lock of the node cannot be taken. The message names the file and the reason."""


@contextmanager
def _locked() -> Iterator[None]:
    try:
        LOCK_FILE.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LockError(f"{LOCK_FILE}: {error.strerror}: a run needs the lock of the node, and so root") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def converge_lock(*, check: bool = False) -> Any:
    """Return a context that holds the node's lock: a second run waits until the first has ended. The kernel releases
    the lock when the process ends. A check changes nothing, so it takes no lock."""
    return nullcontext() if check else _locked()

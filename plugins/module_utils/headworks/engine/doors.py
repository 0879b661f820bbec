"""The doors of the engine: each takes the lock of the node and then walks. Nothing else calls ``converge`` on a node.

``site.yml`` and the module node_state enter by ``converge_document``, the boot unit and the drift check by the kept
document, the single-purpose modules by ``converge_steps``. What does not belong here: the walk (``converge.py``), the
command line (``command_line.py``), what modules do with the result (``modules/items.py``).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from ..system.files import write_file
from . import boot
from .converge import Result, Step, converge
from .order import pipeline

STATE_DIR = Path("/var/lib/headworks")
KEPT_DOCUMENT = STATE_DIR / "node-state.json"
LOCK_FILE = Path("/run/headworks/converge.lock")


def converge_document(document: Mapping[str, Any], *, check: bool = False) -> Result:
    """Converge this node to a node state document, and keep the document for the next boot.

    The engine and the document are written before anything else is applied, so that the boot unit completes a run that
    was killed. The engine comes first: it understands the kept document of an older engine, but not the other way
    round.

    :raises ValueError: the document is malformed (nothing has been touched then).
    :raises ConvergeError: a subsystem failed.
    """
    archive = boot.running_archive()
    steps = pipeline({**document, "sections": {"boot": boot.section(archive), **document.get("sections", {})}})

    def begin() -> None:
        boot.replace_engine(archive)
        keep(document)

    with one_at_a_time(check=check):
        return converge(steps, check=check, begin=begin)


def converge_steps(steps: Sequence[Step], *, check: bool = False) -> Result:
    """Converge some subsystems of this node, for a single-purpose module.

    :param steps: (subsystem, desired objects by name), in the order in which objects are created.
    :raises ConvergeError: a subsystem failed.
    """
    with one_at_a_time(check=check):
        return converge(steps, check=check)


def keep(document: Mapping[str, Any]) -> None:
    """Write the document for the next boot; 0600, since it holds user data."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    STATE_DIR.mkdir(parents=True, exist_ok=True)
    write_file(KEPT_DOCUMENT, text, mode=0o600)


def kept() -> dict[str, Any] | None:
    """The document of the last run, or None when there was none."""
    try:
        document: dict[str, Any] = json.loads(KEPT_DOCUMENT.read_text())
    except FileNotFoundError:
        return None
    return document


@contextmanager
def _locked() -> Iterator[None]:
    LOCK_FILE.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def one_at_a_time(*, check: bool = False) -> Any:
    """Two runs on one node wait for each other; the kernel drops the lock when the process ends. A check changes
    nothing, so it needs no lock."""
    return nullcontext() if check else _locked()

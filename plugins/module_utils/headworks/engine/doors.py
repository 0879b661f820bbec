"""A whole node: converge it to its state document, keep the document for the next boot, restore from it.

The doors are ``library/node_state.py`` (a play) and ``command.py`` (the boot unit and the drift check).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..system.files import write_file
from .boot import BootSubsystem
from .converge import Result, converge
from .order import pipeline

STATE_DIR = Path("/var/lib/headworks")
STATE_FILE = STATE_DIR / "node-state.json"
LOCK_FILE = Path("/run/headworks/converge.lock")


def converge_node(state: Mapping[str, Any], *, check: bool = False) -> Result:
    """Converge this node to ``state``; keep the document first, so that a killed run is completed at boot as well.

    :raises ValueError: the document is malformed (nothing has been touched then).
    :raises ConvergeError: a subsystem failed.
    """
    boot = BootSubsystem(owner=str(state.get("cloud")))
    steps = [(boot, boot.desired()), *pipeline(state)]
    if check:
        return converge(steps, check=True)
    with one_at_a_time():
        keep(state)
        return converge(steps)


def keep(state: Mapping[str, Any]) -> None:
    """Write the document for the next boot; 0600, for it holds user data."""
    text = json.dumps(state, sort_keys=True, separators=(",", ":"))
    STATE_DIR.mkdir(parents=True, exist_ok=True)
    write_file(STATE_FILE, text, mode=0o600)


def kept() -> dict[str, Any] | None:
    """The document of the last run, or None when there was none."""
    try:
        document: dict[str, Any] = json.loads(STATE_FILE.read_text())
    except FileNotFoundError:
        return None
    return document


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two runs on one node wait for each other; the lock goes with the process, however it ends."""
    LOCK_FILE.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

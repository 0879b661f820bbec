"""Node states between the plan and the nodes: files that only their owner may read, removed when Ansible ends.

A node state contains user data. A registered variable would show it with ``-v``, with ``debug`` and in logs. A file in
Ansible's own temporary directory (mode 0700, removed at the end of the run) does not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DIRECTORY = "headworks-plan"


def put(run_directory: Path, states: Mapping[str, Any]) -> None:
    """Write the state of every node for ``take``, and remove the states that an earlier plan of the same run wrote.

    :param run_directory: Ansible's temporary directory of this run.
    """
    home = run_directory / DIRECTORY
    home.mkdir(mode=0o700, exist_ok=True)
    for leftover in home.iterdir():
        leftover.unlink()
    for node, state in states.items():
        descriptor = os.open(home / f"{node}.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(json.dumps(state, separators=(",", ":")))  # dump() has no fast encoder


def take(run_directory: Path, node: str) -> dict[str, Any] | None:
    """The state of ``node`` that the last plan of this run wrote, or None without such a plan."""
    try:
        state: dict[str, Any] = json.loads((run_directory / DIRECTORY / f"{node}.json").read_text())
    except FileNotFoundError:
        return None
    return state

"""Node states on their way from the plan to the nodes: files only their owner may read, gone when Ansible ends.

A node state holds user data. As a registered variable it would be shown by ``-v``, by ``debug`` and in logs; as a file
in Ansible's own temporary directory (mode 0700, removed at the end of the run) it is not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DIRECTORY = "headworks-plan"


def put(run_directory: Path, states: Mapping[str, Any]) -> None:
    """Leave the state of every node for ``take``, in place of what an earlier plan of the same run left.

    :param run_directory: Ansible's temporary directory of this run.
    """
    home = run_directory / DIRECTORY
    home.mkdir(mode=0o700, exist_ok=True)
    for old in home.iterdir():
        old.unlink()
    for node, state in states.items():
        descriptor = os.open(home / f"{node}.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(json.dumps(state, separators=(",", ":")))  # dump() has no fast encoder


def take(run_directory: Path, node: str) -> dict[str, Any] | None:
    """The planned state of ``node``, or None when nothing was planned for it in this run."""
    try:
        state: dict[str, Any] = json.loads((run_directory / DIRECTORY / f"{node}.json").read_text())
    except FileNotFoundError:
        return None
    return state

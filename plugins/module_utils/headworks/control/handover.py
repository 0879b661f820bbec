"""What the steps of a run hand to each other: node states, the plan, and previews of the nodes. The files are readable
by their owner only, and are removed when Ansible ends. What does not belong here: the content of a plan
(``plan_data.py``).

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
_PLAN = "plan"
_STATE = "state-"
_PREVIEW = "preview-"
_BEGUN = "begun"


def put(run_directory: Path, states: Mapping[str, Any], plan: Mapping[str, Any]) -> None:
    """Write the plan and the state of every node, and remove what an earlier plan of the same run wrote.

    :param run_directory: Ansible's temporary directory of this run.
    """
    home = run_directory / DIRECTORY
    home.mkdir(mode=0o700, exist_ok=True)
    for leftover in home.iterdir():
        leftover.unlink()
    for node, state in states.items():
        _write(run_directory, f"{_STATE}{node}", state)
    _write(run_directory, _PLAN, plan)


def plan(run_directory: Path) -> dict[str, Any] | None:
    """The last plan of this run, or None without a plan."""
    content: dict[str, Any] | None = _read(run_directory, _PLAN)
    return content


def take(run_directory: Path, node: str) -> dict[str, Any] | None:
    """The state of ``node`` that the last plan of this run wrote, or None without such a plan."""
    state: dict[str, Any] | None = _read(run_directory, f"{_STATE}{node}")
    return state


def put_preview(run_directory: Path, node: str, result: Mapping[str, Any]) -> None:
    """Write what ``node`` answered that this run would change."""
    _write(run_directory, f"{_PREVIEW}{node}", result)


def preview(run_directory: Path, node: str) -> dict[str, Any] | None:
    """What ``node`` answered that this run would change, or None if it was not asked."""
    result: dict[str, Any] | None = _read(run_directory, f"{_PREVIEW}{node}")
    return result


def begin(run_directory: Path) -> None:
    """Note that the run goes ahead."""
    _write(run_directory, _BEGUN, True)


def begun(run_directory: Path) -> bool:
    """Whether the run goes ahead. Before that, no node may be changed."""
    return (run_directory / DIRECTORY / f"{_BEGUN}.json").exists()


def _write(run_directory: Path, name: str, content: Any) -> None:
    path = run_directory / DIRECTORY / f"{name}.json"
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(json.dumps(content, separators=(",", ":")))  # dump() has no fast encoder


def _read(run_directory: Path, name: str) -> Any:
    try:
        return json.loads((run_directory / DIRECTORY / f"{name}.json").read_text())
    except FileNotFoundError:
        return None

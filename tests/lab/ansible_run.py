"""Runs of ansible-playbook as a person makes them, and their results.

What does not belong here: the inventories (``cloud_lab.py``) and the state of the nodes (``snapshots.py``).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[2]
CALLBACKS = Path(__file__).parent / "callback"
TIMEOUT_S = 900.0

# (node, kind, name, verb)
ChangeLine = tuple[str, str, str, str]


@dataclass(frozen=True)
class Run:
    """A finished run. ``results`` has a dictionary for each task on each host (see ``callback/record.py``)."""

    rc: int
    output: str = field(repr=False)
    seconds: float
    results: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    recap: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def changes(self) -> list[ChangeLine]:
        """The changes that the engine made, or would have made in check mode, sorted."""
        return sorted(
            (result["host"], change["kind"], change["name"], change["verb"])
            for result in self.results
            for change in result.get("changes") or ()
        )

    def planned_changes(self) -> list[ChangeLine]:
        """The changes that the plan named before the run made them, sorted."""
        (planned,) = [result["planned"] for result in self.results if "planned" in result]
        return sorted(
            (node, change["kind"], change["name"], change["verb"])
            for node, entry in planned["nodes"].items()
            for change in entry["changes"]
        )

    def changed_tasks(self) -> list[tuple[str, str]]:
        """(node, task) of every task that reported a change, sorted."""
        return sorted((result["host"], result["task"]) for result in self.results if result.get("changed"))

    def changed_counts(self) -> dict[str, int]:
        """The numbers of changed tasks in the recap, by node."""
        return {host: counts["changed"] for host, counts in self.recap.items()}

    def plan(self) -> list[str]:
        """The lines of the plan."""
        return [line for result in self.results for line in result.get("plan") or ()]

    def failures(self) -> dict[str, str]:
        """Node → ``failed`` or ``unreachable``, for the nodes that were."""
        bad = ("failed", "unreachable")
        return {result["host"]: result["outcome"] for result in self.results if result["outcome"] in bad}

    def must_succeed(self) -> Run:
        """Return this run; fail if it failed, or if it made other changes than it planned."""
        assert self.rc == 0, f"exit code {self.rc}:\n{self.output[-6000:]}"
        if any("planned" in result for result in self.results):
            assert self.planned_changes() == self.changes()
        return self


def start_playbook(playbook: str, inventories: Sequence[Path], *options: str) -> Running:
    """Start ``playbook`` (path from the checkout) in the background."""
    record = tempfile.NamedTemporaryFile(prefix="cloud-record-", suffix=".jsonl", delete=False)  # noqa: SIM115
    record.close()
    command = [str(Path(sys.executable).parent / "ansible-playbook")]
    for inventory in inventories:
        command += ["-i", str(inventory)]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(TOP / "ansible.cfg"),
        "ANSIBLE_CALLBACK_PLUGINS": f"{TOP / 'plugins/callback'}:{CALLBACKS}",
        "ANSIBLE_CALLBACKS_ENABLED": "headworks,record",
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_NOCOLOR": "1",
        "CLOUD_RECORD": record.name,
    }
    process = subprocess.Popen(
        [*command, *options, playbook], cwd=TOP, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    return Running(process, Path(record.name), time.monotonic())


@dataclass(frozen=True)
class Running:
    """A run in the background."""

    process: subprocess.Popen[str]
    record: Path
    started: float

    def wait(self) -> Run:
        """Wait until the run has ended, and return its results."""
        try:
            output, _ = self.process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)  # also its workers, which would go on with the next lab's nodes
            output, _ = self.process.communicate()
            raise AssertionError(f"not done after {TIMEOUT_S:.0f} s:\n{output[-6000:]}") from None
        seconds = time.monotonic() - self.started
        lines = [json.loads(line) for line in self.record.read_text().splitlines()]
        self.record.unlink()
        recap: dict[str, dict[str, int]] = next((line["recap"] for line in lines if "recap" in line), {})
        results = [line for line in lines if "recap" not in line]
        return Run(self.process.returncode, output, seconds, results, recap)


def run_playbook(playbook: str, inventories: Sequence[Path], *options: str) -> Run:
    """Run ``playbook`` (path from the checkout) to its end."""
    return start_playbook(playbook, inventories, *options).wait()

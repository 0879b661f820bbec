"""Callback plugin of the cloud tests: writes the result of every task as a JSON line to the file $CLOUD_RECORD.

Standard output stays as people see it. What does not belong here: reading the lines (``ansible_run.py``).
"""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase
from headworks.view.task_changes import task_changes

DOCUMENTATION = r"""
name: record
type: aggregate
short_description: Results of tasks as JSON lines in the file that CLOUD_RECORD names
description: For tests.
"""

KEPT = ("changed", "changes", "notes", "msg", "plan", "planned", "summary", "diff", "answers")


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """The callback ``record``."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "record"
    CALLBACK_NEEDS_ENABLED = True

    def _write(self, line: dict[str, Any]) -> None:
        with open(os.environ["CLOUD_RECORD"], "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, default=str) + "\n")

    def _result(self, outcome: str, result: Any) -> None:
        kept = {key: result.result[key] for key in KEPT if key in result.result}
        if outcome == "ok":
            # What the verdict counts: packages and services too, for which the builtin modules list no changes.
            kept["changes"] = task_changes(result.task.action, result.result)
        task = result.task.get_name()
        self._write({"outcome": outcome, "host": result.host.get_name(), "task": task, **kept})

    def v2_runner_on_ok(self, result: Any) -> None:
        """Write the result of a task that succeeded."""
        self._result("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Write the result of a task that failed."""
        self._result("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Write that a host did not answer."""
        self._result("unreachable", result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Write the counts of the recap."""
        self._write({"recap": {host: stats.summarize(host) for host in stats.processed}})

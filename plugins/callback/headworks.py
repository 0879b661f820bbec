"""Callback plugin: what Ansible lets only a callback do. It collects the outcome of every node and prints the verdict
at the end of a run, sets a damaged allocations file aside before Ansible reads it, and sets exit codes.

What does not belong here: the text of the verdict (``headworks/view/verdict.py``), and why a run has no node
(``headworks/control/no_nodes.py``).
"""

from __future__ import annotations

from typing import Any

from ansible import constants as C
from ansible import context
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: headworks
type: aggregate
short_description: The verdict of a run of headworks
description:
  - At the end of a run that converged nodes, or whose inventory was refused, prints the outcome of every node.
  - Ends a run as failed if a play on the nodes has no hosts, for example because the limit names a guest.
  - Ends a run with C(cloud_plan_only) with an exit code that says whether there is something to change.
  - Renames a damaged allocations file before Ansible reads the inventory, because Ansible could not read it.
  - Counts the changes by kind, and names the nodes that failed or were not reachable, with the reason.
requirements:
  - enabled in ansible.cfg (callbacks_enabled)
"""

COLORS = {
    "ok": C.COLOR_OK,
    "changed": C.COLOR_CHANGED,
    "failed": C.COLOR_ERROR,
    "unreachable": C.COLOR_UNREACHABLE,
}

# Modules whose nodes are in the verdict even without a change, and whose notes the verdict shows.
MODULES = ("cloud_plan", "node_facts", "cloud_converge", "node_state", "libvirt_network", "image_store")


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """The callback ``headworks``."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "headworks"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._nodes: dict[str, Any] = {}
        self._relevant = False
        self._check = False
        self._refused = False
        self._only_planned: dict[str, Any] = {}
        self._play: Any = None

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Remember the play, for the case that it has no hosts."""
        self._play = play

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """End the run as failed, with the reason, if a play on the nodes has no hosts.

        :raises SystemExit: Ansible itself goes on and ends with the exit code of success.
        """
        from headworks.control.ansible_sources import why_no_node

        if why := why_no_node(self._play):
            self._display.error(why)
            raise SystemExit(1)

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Set a damaged allocations file aside: Ansible could not read the inventory with it."""
        from headworks.control.allocations_file import set_damaged_aside

        for message in set_damaged_aside(context.CLIARGS.get("inventory") or ()):
            self._display.warning(message)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Note that the run converges nodes: a run without cloud_converge gets no verdict unless it is refused."""
        if task.action == "cloud_converge":
            self._relevant = True
            self._check = self._check or bool(task.check_mode)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Count the changes that a task made."""
        from headworks.view.task_changes import task_changes

        if result.task.action == "cloud_begin":
            if result.result.get("plan_only"):
                self._only_planned = result.result
            return
        changes = task_changes(result.task.action, result.result)
        if changes or result.task.action in MODULES:
            outcome = self._outcome(result)
            outcome.changed(changes)
            outcome.notes += result.result.get("notes") or ()

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Record the reason of the first failure of a node."""
        if ignore_errors:
            return
        if result.task.action in ("cloud_plan", "cloud_begin") and result.result.get("refused"):
            self._refused = self._relevant = True
        outcome = self._outcome(result)
        outcome.failed("failed", f"{result.task.get_name()}: {_lines(result.result.get('msg'))}")
        if result.task.action in MODULES:  # the reason may refer to them
            outcome.notes += result.result.get("notes") or ()

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Record why a node is unreachable."""
        self._outcome(result).failed("unreachable", _text(result.result.get("msg")))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print the verdict at the end of the run."""
        if self._only_planned:
            self._end_after_plan()
        if not self._relevant:
            return
        from headworks.view.verdict import lines

        self._display.banner("VERDICT")
        if self._refused:
            self._display.display("The inventory is refused (see above); no node was touched.", color=C.COLOR_ERROR)
            return
        for state, text in lines(self._nodes, check=self._check):
            self._display.display(text, color=COLORS[state])

    def _end_after_plan(self) -> None:
        """End a run that only plans with an exit code that says whether there is something to change.

        :raises SystemExit: always. Ansible has no other way to a code that is not that of a failed host.
        """
        from headworks.view.verdict import plan_exit_code

        code, text = plan_exit_code(self._only_planned, self._nodes)
        self._display.display(text)
        raise SystemExit(code)

    def _outcome(self, result: Any) -> Any:
        from headworks.view.verdict import NodeOutcome

        return self._nodes.setdefault(result.host.get_name(), NodeOutcome())


def _lines(message: Any) -> str:
    """The message without superfluous blanks. A node that failed in several parts has a line for each."""
    return "\n".join(_text(line) for line in str(message or "").splitlines() if line.strip()) or _text("")


def _text(message: Any) -> str:
    return " ".join(str(message or "no reason given").split())

"""Action plugin: shows what this run is going to change, and begins the run. Documentation: library/cloud_begin.py.

What does not belong here: making the plan (``cloud_plan.py``), asking the nodes (``cloud_converge.py``), and the text
(``headworks/view/plan_text.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

try:
    from headworks.control import allocations_file, handover, plan_data
    from headworks.model.errors import PlanError
    from headworks.plan.allocation.allocations import digest
    from headworks.view import plan_text
except ImportError as error:
    raise AnsibleError(
        f"cloud_begin: {error}: headworks is not installed for the Python that runs Ansible; "
        "run pip install -e . in the checkout"
    ) from error

DIRECTORY = Path(C.DEFAULT_LOCAL_TMP)
COLORS = {"+": C.COLOR_OK, "~": C.COLOR_CHANGED, "-": C.COLOR_ERROR, "!": C.COLOR_WARN, "": None}
OPTIONS = {
    "more_variables": {"type": "list", "elements": "str", "default": []},
    "masked_units": {"type": "dict", "default": {}},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The action ``cloud_begin``."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False
    _VALID_ARGS = frozenset(OPTIONS)

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Show the plan; write the allocations unless the run only plans; called by Ansible."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(argument_spec=OPTIONS)
        handed = handover.plan(DIRECTORY)
        if handed is None:
            result.update(failed=True, msg="There is no plan: run cloud_plan before, in the same run.")
            return result
        plan = {**handed["plan"], "nodes": _nodes(handed, task_vars or {}, options)}
        self._show(plan, notes=handed["run"]["plan_only"])
        try:
            result.update(self._begin(plan, handed))
        except PlanError as error:
            result.update(failed=True, refused=True, msg="\n".join(["The run is refused:", *error.messages]))
        return result

    def _begin(self, plan: Mapping[str, Any], handed: Mapping[str, Any]) -> dict[str, Any]:
        run = handed["run"]
        answer = {"changed": False, "planned": plan, "changes_planned": plan_data.has_changes(plan)}
        if run["plan_saved"]:
            found = plan_data.differences(plan_data.load(run["plan_saved"]), plan)
            if found:
                raise PlanError([f"cloud_plan_saved: {run['plan_saved']!r}: the world has moved since:", *found])
        if run["plan_file"]:
            plan_data.save(run["plan_file"], plan)
        if run["plan_only"]:
            return {**answer, "plan_only": True}
        path = Path(handed["path"])
        if self._task.check_mode:
            return {**answer, "changed": not path.exists() or path.read_text() != handed["text"]}
        with allocations_file.locked(path):
            if digest(allocations_file.read(path).content) != plan["from"]["digest"]:
                raise PlanError([f"cloud_allocations_file: '{path}': another run has planned meanwhile; run again"])
            answer["changed"] = allocations_file.write(path, handed["text"])
        handover.begin(DIRECTORY)
        return answer

    def _show(self, plan: Mapping[str, Any], *, notes: bool) -> None:
        """Print the warnings and the plan."""
        for warning in plan["warnings"]:
            self._display.warning(warning)
        for sign, text in plan_text.lines(plan, verbose=self._display.verbosity > 0, notes=notes):
            self._display.display(text, color=COLORS[sign])
        if plan.get("refusal"):
            self._display.warning(f"A run of this plan would be refused: {plan['refusal']}")


def _nodes(
    handed: Mapping[str, Any], task_vars: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """node → what the run changes on it."""
    in_run = set(task_vars.get("ansible_play_hosts_all") or ())
    nodes = {}
    for node in handed["nodes"]:
        variables = task_vars["hostvars"].raw_get(node)
        results = [variables.get(name) or {} for name in options["more_variables"]]
        others = [change for result in results for change in result.get("changes") or ()]
        preview = handover.preview(DIRECTORY, node)
        nodes[node] = plan_data.of_node(
            preview, handed["facts"].get(node), in_run=node in in_run, more=others, masked_units=options["masked_units"]
        )
    return nodes

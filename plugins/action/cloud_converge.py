"""Action plugin: sends the state that cloud_plan made for a node to the node. Documentation: library/cloud_converge.py.

What does not belong here: converging, which the module node_state does on the node (``library/node_state.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

try:
    from headworks.control import handover
    from headworks.control.built import has_disks, note_built
    from headworks.control.nic_moves import NodeOnTheMove, Unanswered
    from headworks.control.secrets import Secrets
    from headworks.model.errors import PlanError
    from headworks.state.distribution import Distribution
except ImportError as error:
    raise AnsibleError(
        f"cloud_converge: {error}: headworks is not installed for the Python that runs Ansible; "
        "run pip install -e . in the checkout"
    ) from error

DIRECTORY = Path(C.DEFAULT_LOCAL_TMP)
_NAMES = {field.name: {"type": "str", "required": True} for field in fields(Distribution)}
# What of the answer of node_state a preview keeps. The rest is Ansible's own and cannot be written as JSON.
ANSWER = ("failed", "msg", "failures", "refused", "changes", "notes", "effects", "diff", "kept")
OPTIONS = {
    "distribution": {"type": "dict", "required": True, "options": _NAMES},
    "preview": {"type": "bool", "default": False},
    "prepared": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The action ``cloud_converge``."""

    _supports_check_mode = True
    _supports_async = False
    _VALID_ARGS = frozenset(OPTIONS)

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Run the module node_state with the planned state; called by Ansible."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(argument_spec=OPTIONS)
        variables = task_vars or {}
        node = variables["inventory_hostname"]
        plan, state = handover.plan(DIRECTORY), handover.take(DIRECTORY, node)
        if plan is None or state is None:
            result.update(failed=True, msg="There is no plan for this node: run cloud_plan before, in the same run.")
            return result
        state["distribution"] = options["distribution"]
        arguments = {"state": state, "accept_older": plan["run"]["accept_older"]}
        if options["preview"]:
            return {**result, **self._preview(node, arguments, variables, Secrets(plan["secrets"]))}
        preview = handover.preview(DIRECTORY, node) or {}
        if self._is_answer(preview, options):
            result.update({**preview, "changed": bool(preview.get("changes"))})
            return self._noted(result, node, state, plan)
        if not handover.begun(DIRECTORY):
            result.update(failed=True, msg="The run has not begun: run cloud_begin before, in the same run.")
            return result
        result.update(self._converge(arguments, preview, variables, plan["rollback_seconds"][node]))
        # The arguments hold user data, which -vvv would show.
        result.pop("invocation", None)
        result.update(Secrets(plan["secrets"]).hide_in({key: result[key] for key in ANSWER if key in result}))
        return self._noted(result, node, state, plan)

    def _noted(
        self, result: dict[str, Any], node: str, state: Mapping[str, Any], plan: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The result, after the guests that the node has now are noted in the allocations."""
        if self._task.check_mode or result.get("unreachable") or not has_disks(result):
            return result
        mine = (state.get("allocations") or {}).get("instances") or {}
        try:
            note_built(Path(plan["path"]), node, set(mine).intersection(plan["unbuilt"]))
        except PlanError as error:
            result["notes"] = [*(result.get("notes") or ()), *error.messages]
        return result

    def _preview(
        self, node: str, arguments: Mapping[str, Any], variables: Mapping[str, Any], secrets: Secrets
    ) -> dict[str, Any]:
        """Ask the node what this run would change, and keep the answer. A node that cannot tell does not fail: a later
        step of the run may start the service that it lacks."""
        answer = self._execute_module(
            module_name="node_state", module_args={**arguments, "preview": True}, task_vars=variables
        )
        if answer.get("unreachable"):
            return dict(answer)
        kept = secrets.hide_in({key: answer[key] for key in ANSWER if key in answer})
        handover.put_preview(DIRECTORY, node, kept)
        return {"changed": False, "would_change": len(answer.get("changes") or ())}

    def _is_answer(self, preview: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
        """Whether the preview already is what a run would answer: in check mode, and on a node with nothing to do."""
        if not preview or self._task.check_mode:
            return bool(preview)
        settled = not preview.get("failed") and not preview.get("changes") and bool(preview.get("kept"))
        return settled and not options["prepared"]

    def _converge(
        self, arguments: Mapping[str, Any], preview: Mapping[str, Any], variables: Mapping[str, Any], seconds: float
    ) -> dict[str, Any]:
        """Converge the node, and confirm the moves of its NICs over new connections: only these show that the node can
        be reached."""

        def call(module: str, options: Mapping[str, Any]) -> dict[str, Any]:
            try:
                answer: dict[str, Any] = self._execute_module(
                    module_name=module, module_args=dict(options), task_vars=variables
                )
            except AnsibleConnectionFailure as error:
                raise Unanswered(str(error)) from error
            if answer.get("unreachable"):
                raise Unanswered(str(answer.get("msg", "")))
            if module == "underlay_confirm" and answer.get("failed"):
                raise Unanswered(str(answer.get("msg", "")))
            return answer

        node = NodeOnTheMove(
            converge=lambda: call("node_state", {**arguments, "pause": True}),
            confirm=lambda: call("underlay_confirm", {}),
            reconnect=self._connection.reset,
            rollback_seconds=seconds,
        )
        moves = any(change["kind"] == "nic" for change in preview.get("changes") or ())
        try:
            return node.run(moves)
        except Unanswered as error:
            raise AnsibleConnectionFailure(str(error)) from error

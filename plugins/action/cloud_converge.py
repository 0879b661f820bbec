"""Action plugin: hands a node the state that cloud_plan made for it. Documentation: library/cloud_converge.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

try:
    from headworks.control import handover
except ImportError as error:
    raise AnsibleError(
        f"cloud_converge: {error}: the Python that runs Ansible lacks this project; in the checkout: pip install -e ."
    ) from error


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """``cloud_converge``."""

    _supports_check_mode = True
    _supports_async = False
    _VALID_ARGS: frozenset[str] = frozenset()

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ansible's entry."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        state = handover.take(Path(C.DEFAULT_LOCAL_TMP), variables["inventory_hostname"])
        if state is None:
            result.update(
                failed=True, msg="There is no plan for this node: cloud_plan must come before, in the same run."
            )
            return result
        result.update(self._execute_module(module_name="node_state", module_args={"state": state}, task_vars=variables))
        # The arguments hold user data; -vvv would show them.
        result.pop("invocation", None)
        if result.get("confirmations"):
            self._confirm(result, variables)
        return result

    def _confirm(self, result: dict[str, Any], variables: Mapping[str, Any]) -> None:
        """The NIC that carries our connection has moved: only a new connection shows that the node can be reached."""
        self._connection.reset()
        confirmed = self._execute_module(module_name="underlay_confirm", module_args={}, task_vars=variables)
        if confirmed.get("failed"):
            result.update(failed=True, msg=f"the move of a NIC into its bridge was not confirmed: {confirmed['msg']}")
            return
        said = [f"nic {nic}: moved into its bridge; the node still answers" for nic in confirmed["nics"]]
        armed = [one["text"] for one in result.pop("confirmations")]
        result["notes"] = [note for note in result["notes"] if note not in armed] + said

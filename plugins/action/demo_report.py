"""Action plugin of playbooks/demo.yml: shows the cloud and the proofs, and fails unless every proof holds.

What does not belong here: what a proof is and how it is worded (``headworks_lab/demo.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible import constants as C
from ansible.plugins.action import ActionBase
from headworks.control.variables import plain
from headworks_lab.demo import cloud_lines, lease_proofs, proof_lines, proofs_of, state_proofs

OPTIONS = {
    "summary": {"type": "dict", "required": True},
    "answers": {"type": "list", "elements": "dict", "required": True},
    "instances": {"type": "list", "elements": "dict", "required": True},
    "leases": {"type": "str", "required": True},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """The action ``demo_report``."""

    _requires_connection = False
    _VALID_ARGS = frozenset(OPTIONS)

    def run(self, tmp: str | None = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Print the report and return the failed proofs; called by Ansible."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, checked = self.validate_argument_spec(argument_spec=OPTIONS)
        args = plain(checked)
        states = {instance["title"]: instance["state"] for instance in args["instances"]}
        proofs = [
            *state_proofs(args["summary"], states),
            *lease_proofs(args["summary"], args["leases"]),
            *proofs_of(args["answers"]),
        ]
        self._display.banner(f"CLOUD {args['summary']['name']}")
        for line in cloud_lines(args["summary"], states):
            self._display.display(line)
        self._display.banner("PROOFS")
        for holds, line in proof_lines(proofs):
            self._display.display(line, color=C.COLOR_OK if holds else C.COLOR_ERROR)
        failed = [proof.name for proof in proofs if not proof.ok]
        if failed or not args["answers"]:
            result.update(failed=True, msg=f"Not proved: {'; '.join(failed) or 'no question had an answer'}")
        return result

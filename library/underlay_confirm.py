#!/usr/bin/python
"""Ansible module: confirm the moves of NICs. The work is done in headworks/node/underlay/rollback.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: underlay_confirm
short_description: Confirm that a node is reachable after a NIC was moved into a bridge or out of it
version_added: "0.1.0"
description:
  - When headworks moves a NIC into a bridge or out of it, the node takes the move back after C(node_rollback_seconds),
    and also when it boots. This module confirms the move, so that it stays. Run it over a new connection, which proves
    that the node is reachable.
  - The first call also changes the system's own network configuration (systemd-networkd, ifupdown), so that the bridge
    gets the addresses at each boot. A second call, over another new connection, then confirms the move. RV(left) says
    whether a second call is needed.
options: {}
attributes:
  check_mode: {support: full, details: "In check mode, the module only tells what waits for a confirmation."}
author: headworks
seealso:
  - module: node_state
"""

EXAMPLES = r"""
- name: Connect again
  ansible.builtin.meta: reset_connection

- name: Confirm the move
  underlay_confirm:
  register: confirmed

- name: Connect again
  ansible.builtin.meta: reset_connection

- name: Confirm that the system's network configuration keeps the node reachable
  underlay_confirm:
  when: confirmed.left | length > 0
"""

RETURN = r"""
nics:
  description: The NICs whose move is confirmed.
  returned: success
  type: list
  elements: str
  sample: [eth0]
left:
  description: The NICs whose move needs a further call, over a new connection.
  returned: success
  type: list
  elements: str
  sample: []
undone:
  description: The NICs that the node has taken out of their bridge, because their move was not confirmed in time.
  returned: success
  type: list
  elements: str
  sample: []
notes:
  description: What was changed in the system's network configuration.
  returned: success
  type: list
  elements: str
failures:
  description: What could not be changed in the system's network configuration, by NIC. The move is confirmed.
  returned: success
  type: dict
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.engine.doors import LockError, converge_lock
from ansible.module_utils.headworks.node.underlay.moves import pending_nics, undone_nics
from ansible.module_utils.headworks.node.underlay.rollback import Confirmed, confirm


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        with converge_lock(check=module.check_mode):
            confirmed = Confirmed(left=pending_nics(), undone=undone_nics()) if module.check_mode else confirm()
    except (LockError, OSError, RuntimeError) as error:
        module.fail_json(msg=f"underlay_confirm: {error}")
    module.exit_json(changed=bool(confirmed.nics or confirmed.notes), **asdict(confirmed))


if __name__ == "__main__":
    main()

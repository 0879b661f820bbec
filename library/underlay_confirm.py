#!/usr/bin/python
"""Ansible module: confirm the move of a NIC into a bridge. The work is done in headworks/node/underlay/rollback.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: underlay_confirm
short_description: Confirm that a node is reachable after its NIC was moved into a bridge
version_added: "0.1.0"
description:
  - When headworks moves the NIC that carries the connection to the node into a bridge, it starts a timer on the node.
    If the timer expires after three minutes, it undoes the move.
  - This module stops the timer. Run it over a new connection, which proves that the node is reachable.
options: {}
attributes:
  check_mode: {support: full, details: In check mode the timer is not stopped.}
author: headworks
"""

EXAMPLES = r"""
- name: Connect again
  ansible.builtin.meta: reset_connection

- name: Confirm the move
  underlay_confirm:
"""

RETURN = r"""
nics:
  description: The NICs whose move was confirmed; in check mode, those whose move waits for confirmation.
  returned: success
  type: list
  elements: str
  sample: [eth0]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.node.underlay.rollback import confirm, unconfirmed_nics


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        nics = unconfirmed_nics() if module.check_mode else confirm()
    except RuntimeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(nics), nics=nics)


if __name__ == "__main__":
    main()

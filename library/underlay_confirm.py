#!/usr/bin/python
"""Ansible module: confirm that a node is still reached after its NIC moved into a bridge."""

from __future__ import annotations

DOCUMENTATION = r"""
module: underlay_confirm
short_description: Let the move of a NIC into a bridge stand
description:
  - When a NIC that carries the node's own connection moves into a bridge, a timer on the node puts everything back
    after three minutes. This module, run over a new connection, stops the timer.
options: {}
attributes:
  check_mode: {support: full, details: In check mode the timer goes on.}
author: headworks
"""

EXAMPLES = r"""
- name: Reconnect
  ansible.builtin.meta: reset_connection

- name: The move stands
  underlay_confirm:
"""

RETURN = r"""
nics:
  description: The NICs whose move was waiting.
  returned: success
  type: list
  elements: str
  sample: [eth0]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.node.underlay.rollback import confirm, waiting


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        nics = waiting() if module.check_mode else confirm()
    except RuntimeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(nics), nics=nics)


if __name__ == "__main__":
    main()

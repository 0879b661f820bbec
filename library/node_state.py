#!/usr/bin/python
# Converges a whole node in one call. The work is done in module_utils/headworks/node/node_state.py.
"""Ansible module: converge a node to its state document."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_state
short_description: Converge a whole node to its headworks state
description:
  - Reads what is on the node, computes the difference to O(state) and applies it in one batch per subsystem (links,
    OVSDB, OpenFlow, nftables, DHCP, metadata, images, disks, domains); then reads again what it changed.
  - What headworks made and O(state) no longer has is removed. What headworks did not make is never touched.
  - The document is kept on the node (mode 0600) and restored at boot by C(headworks-restore.service).
options:
  state:
    description: The node state, as the C(cloud_plan) action makes it. It may hold user data, so it is never logged.
    type: dict
    required: true
attributes:
  check_mode: {support: full, description: Lists exactly the changes that a real run makes.}
  diff_mode: {support: full, description: Shows every object before and after; never user data.}
author: headworks
"""

EXAMPLES = r"""
- name: Converge the node
  node_state:
    state: "{{ plan.node_states[inventory_hostname] }}"
"""

RETURN = r"""
changes:
  description: Every change in the order it is, or in check mode would be, made.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "link", "name": "tap0d1c2b3a-44", "verb": "add"}]
notes:
  description: What a person should know, for example a guest whose new memory size waits for its next start.
  returned: always
  type: list
  elements: str
confirmations:
  description:
    - Changes that undo themselves unless they are confirmed in time, for example a NIC that carries the connection of
      Ansible and moved into a bridge. Module M(underlay_confirm) confirms them over a new connection.
  returned: success
  type: list
  elements: dict
  sample: [{"kind": "nic", "name": "eth0", "text": "nic eth0: the way back is armed; ..."}]
"""

from dataclasses import asdict

from ansible.module_utils.headworks.engine import command_line  # noqa: F401  (the boot unit runs it)
from ansible.module_utils.headworks.engine.converge import ConvergeError
from ansible.module_utils.headworks.engine.doors import converge_document
from ansible.module_utils.headworks.modules.items import DiscreetModule, fail, succeed


def main() -> None:
    """Entry point."""
    module = DiscreetModule(argument_spec={"state": {"type": "dict", "required": True}}, supports_check_mode=True)
    try:
        result = converge_document(module.params["state"], check=module.check_mode)
    except ConvergeError as error:
        fail(module, error, invocation={})
    except (OSError, ValueError) as error:
        module.fail_json(msg=f"node_state: {error}", invocation={})
    confirmations = [asdict(confirmation) for confirmation in result.confirmations]
    succeed(module, result, confirmations=confirmations, invocation={})


if __name__ == "__main__":
    main()

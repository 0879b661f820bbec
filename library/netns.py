#!/usr/bin/python
"""Ansible module: named network namespaces. The work is done in headworks/node/links/namespaces.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: netns
short_description: Named network namespaces
version_added: "0.1.0"
description:
  - Creates and removes named network namespaces (those of C(ip netns)), one or several, in one batch.
  - A file in C(/run/netns) that is no longer a namespace is repaired.
options:
  name:
    description: Name of the namespace. Required, unless O(netns) is given.
    type: str
  state: &state
    description: V(present) creates the namespace, V(absent) removes it. If omitted, V(present).
    type: str
    choices: [present, absent]
  netns:
    description: Several namespaces in one call. An option at the top applies to every namespace that does not set it.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the namespace.
        type: str
        required: true
      state: *state
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: Create a namespace
  netns:
    name: blue

- name: Create several in one call
  netns:
    netns: [{name: blue}, {name: green}, {name: red}]

- name: Remove two
  netns:
    state: absent
    netns:
      - name: blue
      - name: green
"""

RETURN = r"""
changes:
  description: The changes made, in order; in check mode, the changes that a run would make.
  returned: always
  type: list
  elements: dict
  sample: [{kind: netns, name: blue, verb: add}]
notes:
  description: Messages for the operator.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.headworks.modules.items import finish, item_module, items, split
from ansible.module_utils.headworks.node.links.namespaces import NetnsSubsystem


def main() -> None:
    """Run the module."""
    module = item_module("netns", {"name": {"type": "str"}})
    try:
        present, absent = split(NetnsSubsystem, items(module, "netns"))
    except ValueError as error:
        module.fail_json(msg=str(error))
    finish(module, [(NetnsSubsystem(), present, absent)])


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: named network namespaces."""

from __future__ import annotations

DOCUMENTATION = r"""
module: netns
short_description: Named network namespaces
description:
  - Makes and removes named network namespaces (those of C(ip netns)), one or a whole list in one batch.
  - A leftover file in C(/run/netns) that is no namespace any more is repaired.
options:
  name:
    description: Name of the namespace. Give this or O(netns).
    type: str
  netns:
    description: A list of namespaces. Options given at the top hold for every one of them.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the namespace.
        type: str
        required: true
      state:
        description: Whether it exists.
        type: str
        choices: [present, absent]
  state:
    description: Whether the namespace exists (V(present), the default) or not.
    type: str
    choices: [present, absent]
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: A namespace
  netns:
    name: blue

- name: Several in one call
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
  description: What was (in check mode, would be) done, in order.
  returned: always
  type: list
  elements: dict
  sample: [{kind: netns, name: blue, verb: add}]
notes:
  description: What a person should know besides.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.headworks.modules.items import finish, item_module, items, split
from ansible.module_utils.headworks.node.links.namespaces import NetnsSubsystem


def main() -> None:
    """Ansible's entry."""
    module = item_module("netns", {"name": {"type": "str"}})
    try:
        present, absent = split(NetnsSubsystem, items(module, "netns"))
    except ValueError as error:
        module.fail_json(msg=str(error))
    finish(module, [(NetnsSubsystem(), present, absent)])


if __name__ == "__main__":
    main()

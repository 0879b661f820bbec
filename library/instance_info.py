#!/usr/bin/python
# Reading the guests of a node. What is read: module_utils/headworks/node/domains.py.
"""Ansible module: the guests of a node, as they are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_info
short_description: The guests of a node, as they are
description: Reads all libvirt guests of a node, or those of one cloud, through one connection.
options:
  cloud:
    description: Only the guests of this headworks cloud.
    type: str
attributes:
  check_mode: {support: full, description: The module only reads.}
author: headworks
"""

EXAMPLES = r"""
- name: List the guests
  instance_info:
  register: guests
"""

RETURN = r"""
instances:
  description: The guests, sorted by title.
  returned: always
  type: list
  elements: dict
  sample:
    - {name: 6f1f5a3e-58f1-5d42-a2a1-55f4f4f1a001, domain: instance-00000001, title: vm1, state: running, vcpus: 1,
       memory_mb: 64, cloud: lab}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.node.compute.domains import list_domains
from ansible.module_utils.headworks.state.codec import encode


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec={"cloud": {"type": "str"}}, supports_check_mode=True)
    wanted = module.params["cloud"]
    found = [one for one in list_domains() if wanted is None or one.cloud == wanted]
    module.exit_json(changed=False, instances=[{"state": one.state, **encode(one)} for one in found])


if __name__ == "__main__":
    main()

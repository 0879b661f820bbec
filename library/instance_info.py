#!/usr/bin/python
"""Ansible module: read the guests of a node. The work is done in headworks/node/compute/domains.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_info
short_description: Read the guests of a node
version_added: "0.1.0"
description: Reads all libvirt guests of a node, or those of one cloud, through one connection.
options:
  cloud:
    description: Name of a headworks cloud. If given, only the guests of this cloud are returned.
    type: str
attributes:
  check_mode: {support: full, description: The module only reads.}
author: headworks
"""

EXAMPLES = r"""
- name: Read the guests
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
    """Run the module."""
    module = AnsibleModule(argument_spec={"cloud": {"type": "str"}}, supports_check_mode=True)
    wanted = module.params["cloud"]
    found = [domain for domain in list_domains() if wanted is None or domain.cloud == wanted]
    module.exit_json(changed=False, instances=[{"state": domain.state, **encode(domain)} for domain in found])


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Only their removal. The work is done in module_utils/headworks/node/host/libvirt_networks.py.
"""Ansible module: removes networks of libvirt."""

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_network
short_description: Removes networks of libvirt
description:
  - Destroys and undefines networks of libvirt, such as the network V(default) that distributions define. Its bridge,
    its dnsmasq and its NAT rules disturb the networks of a cloud.
  - It does not define networks.
options:
  name:
    description: Names of the networks.
    type: list
    elements: str
    required: true
  state:
    description: There is only V(absent).
    type: str
    choices: [absent]
    required: true
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: No stock network
  libvirt_network:
    name: default
    state: absent
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) done.
  returned: always
  type: list
  elements: dict
  sample: [{kind: libvirt_network, name: default, verb: remove}]
notes:
  description: What a person should know besides.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.modules.items import finish
from ansible.module_utils.headworks.node.host.libvirt_networks import LibvirtNetwork, LibvirtNetworkSubsystem


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["absent"], "required": True},
        },
        supports_check_mode=True,
    )
    absent = {name: LibvirtNetwork(name) for name in module.params["name"]}
    finish(module, [(LibvirtNetworkSubsystem(), {}, absent)])


if __name__ == "__main__":
    main()

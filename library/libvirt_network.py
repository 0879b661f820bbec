#!/usr/bin/python
"""Ansible module: remove networks of libvirt. The work is done in headworks/node/host/libvirt_networks.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_network
short_description: Remove networks of libvirt
version_added: "0.1.0"
description:
  - Destroys and undefines networks of libvirt, for example the network V(default) that distributions define. The
    bridge, dnsmasq and NAT rules of such a network interfere with the networks of a cloud.
  - The module cannot define networks.
options:
  name:
    description: Names of the networks.
    type: list
    elements: str
    required: true
  state:
    description: V(absent) removes the networks.
    type: str
    choices: [absent]
    required: true
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: Remove the network that the distribution defined
  libvirt_network:
    name: default
    state: absent
"""

RETURN = r"""
changes:
  description: The changes made, in order; in check mode, the changes that a run would make.
  returned: always
  type: list
  elements: dict
  sample: [{kind: libvirt_network, name: default, verb: remove}]
notes:
  description: Messages for the operator.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.modules.items import finish
from ansible.module_utils.headworks.node.host.libvirt_networks import LibvirtNetwork, LibvirtNetworkSubsystem


def main() -> None:
    """Run the module."""
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

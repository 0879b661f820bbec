#!/usr/bin/python
"""Ansible module: read the routers of a node. The work is done in headworks/modules/routers.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: router_info
short_description: Read the routers of a node
version_added: "0.1.0"
description:
  - Reads the routers (namespaces C(qrouter-...)) of a node with their addresses, routes and floating IPs.
options:
  name:
    description: Name (or id) of a router. If omitted, all routers are returned.
    type: str
attributes:
  check_mode: {support: full, description: The module only reads.}
author: headworks
"""

EXAMPLES = r"""
- name: Read all routers
  router_info:
  register: found

- name: Print the floating IPs of r1
  ansible.builtin.debug:
    msg: "{{ found.routers | selectattr('name', 'equalto', 'r1') | map(attribute='floating_ips') | first }}"
"""

RETURN = r"""
routers:
  description: The routers, sorted by name.
  returned: success
  type: list
  elements: dict
  sample:
    - name: r1
      namespace: qrouter-r1
      devices: [{name: qr-0f3c2b1a-77, mac: "fa:16:3e:aa:bb:cc", mtu: 1500, addresses: [10.18.0.1/24]}]
      routes: [{destination: default, via: 172.16.0.1, device: qg-5d1e0c2b-11}]
      floating_ips: [{floating_ip_address: 172.16.19.232, fixed_ip_address: 10.18.0.3}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.modules.routers import all_routers, describe_router


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={"name": {"type": "str"}}, supports_check_mode=True)
    wanted = module.params["name"]
    names = [name for name in all_routers() if wanted in (None, name)]
    module.exit_json(changed=False, routers=[describe_router(name) for name in names])


if __name__ == "__main__":
    main()

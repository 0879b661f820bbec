#!/usr/bin/python
"""Ansible module: what the routers on a node are like."""

from __future__ import annotations

DOCUMENTATION = r"""
module: router_info
short_description: Routers on a node, with addresses, routes and floating IPs
description:
  - Reads the routers (namespaces C(qrouter-…)) of a node, without changing anything.
options:
  name:
    description: Name (or id) of one router; all of them if omitted.
    type: str
attributes:
  check_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: All routers
  router_info:
  register: found

- name: Floating IPs of r1
  ansible.builtin.debug:
    msg: "{{ found.routers | selectattr('name', 'equalto', 'r1') | map(attribute='floating_ips') | first }}"
"""

RETURN = r"""
routers:
  description: The routers, by name.
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
    """Ansible's entry."""
    module = AnsibleModule(argument_spec={"name": {"type": "str"}}, supports_check_mode=True)
    wanted = module.params["name"]
    names = [name for name in all_routers() if wanted in (None, name)]
    module.exit_json(changed=False, routers=[describe_router(name) for name in names])


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: routers in network namespaces. The work is done in headworks/modules/routers.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: router
short_description: Routers in network namespaces, with NAT and floating IPs
version_added: "0.1.0"
description:
  - Creates, changes and removes routers like those of a Neutron network node, in namespaces C(qrouter-NAME).
  - A router has devices C(qr-...) on its networks and C(qg-...) on the external network. The other end of each,
    C(tap...), is added to an Open vSwitch or Linux bridge, or left for the playbook to use.
  - Source NAT, floating IPs and filters are one nftables table. A change replaces only what differs and loses no packet
    of other connections. New addresses are announced by gratuitous ARP.
  - The namespace belongs to the router. Devices and routes of the router that are no longer listed are removed.
options:
  name:
    description: Name of the router. The namespace is C(qrouter-NAME). Required, unless O(routers) is given.
    type: str
  interfaces: &interfaces
    description: The router's ports on internal networks. If omitted, it has none.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the port, unique within the router. The device's name is derived from it.
        type: str
        required: true
      address: &address
        description: The router's address with its prefix length, for example V(10.0.0.1/24), or a list of addresses.
        type: raw
        required: true
      mac: &mac
        description: MAC address. If omitted, it is derived from the names of router and port.
        type: str
      mtu: &mtu
        description: MTU of the network. If omitted, 1500.
        type: int
      bridge: &bridge
        description:
          - The bridge to which the port is added. It must exist and may be a bridge of Open vSwitch or of the kernel.
            If omitted, the port is added to no bridge.
        type: str
      vlan: &vlan
        description: Access VLAN on the bridge, for a bridge of Open vSwitch only.
        type: int
  external: &external
    description: The router's port on the external network (Neutron's C(external_gateway_info)).
    type: dict
    suboptions:
      address: *address
      gateway:
        description: Next hop of the default route, or a list with one address for each IP version.
        type: raw
      mac: *mac
      mtu: *mtu
      bridge: *bridge
      vlan: *vlan
  enable_snat: &enable_snat
    description:
      - Whether connections from addresses without floating IP leave with the router's external address. Then only
        replies and connections to floating IPs come in from outside. If omitted, V(true).
    type: bool
  routes: &routes
    description: Further routes.
    type: list
    elements: dict
    suboptions:
      destination:
        description: The destination's CIDR.
        type: str
        required: true
      nexthop:
        description: An address on one of the router's networks.
        type: str
        required: true
  floating_ips: &floating_ips
    description:
      - All floating IPs of the router. If omitted, the router keeps its floating IPs, for example those that
        M(floating_ip) added.
    type: list
    elements: dict
    suboptions:
      floating_ip_address:
        description: The external address.
        type: str
        required: true
      fixed_ip_address:
        description: The internal address.
        type: str
        required: true
  state: &state
    description: V(present) creates or changes the router, V(absent) removes it. If omitted, V(present).
    type: str
    choices: [present, absent]
  routers:
    description: Several routers in one call. An option at the top applies to every router that does not set it.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the router.
        type: str
        required: true
      interfaces: *interfaces
      external: *external
      enable_snat: *enable_snat
      routes: *routes
      floating_ips: *floating_ips
      state: *state
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: Create a router with two networks and an external network
  router:
    name: r1
    interfaces:
      - {name: web, address: 10.18.0.1/24, bridge: br-int, vlan: 1}
      - {name: db, address: 10.22.22.1/24, bridge: br-int, vlan: 2}
    external: {address: 172.16.19.1/16, gateway: 172.16.0.1, bridge: br-ex}
    floating_ips:
      - {floating_ip_address: 172.16.19.232, fixed_ip_address: 10.18.0.3}
  register: r1

- name: Print its device on the network web
  ansible.builtin.debug:
    msg: "{{ (r1.routers[0].ports | selectattr('name', 'equalto', 'web') | first).device }}"

- name: Remove two routers
  router:
    state: absent
    routers:
      - name: r1
      - name: r2
"""

RETURN = r"""
routers:
  description: The routers that were to be present, with their ports.
  returned: success
  type: list
  elements: dict
  sample:
    - name: r1
      namespace: qrouter-r1
      ports:
        - {name: web, device: qr-0f3c2b1a-77, port: tap0f3c2b1a-77, mac: "fa:16:3e:aa:bb:cc", addresses: [10.18.0.1/24]}
changes:
  description:
    - The changes made, one for each kind of object; in check mode, the changes that a run would make.
  returned: always
  type: list
  elements: dict
  sample: [{kind: netns, name: qrouter-r1, verb: add}]
notes:
  description: Messages for the operator.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.headworks.modules.items import finish, item_module, items
from ansible.module_utils.headworks.modules.routers import router_steps

PORT = {
    "address": {"type": "raw", "required": True},
    "mac": {"type": "str"},
    "mtu": {"type": "int"},
    "bridge": {"type": "str"},
    "vlan": {"type": "int"},
}
OPTIONS = {
    "name": {"type": "str"},
    "interfaces": {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str", "required": True}, **PORT},
    },
    "external": {"type": "dict", "options": {**PORT, "gateway": {"type": "raw"}}},
    "enable_snat": {"type": "bool"},
    "routes": {
        "type": "list",
        "elements": "dict",
        "options": {
            "destination": {"type": "str", "required": True},
            "nexthop": {"type": "str", "required": True},
        },
    },
    "floating_ips": {
        "type": "list",
        "elements": "dict",
        "options": {
            "floating_ip_address": {"type": "str", "required": True},
            "fixed_ip_address": {"type": "str", "required": True},
        },
    },
}


def main() -> None:
    """Run the module."""
    module = item_module("routers", OPTIONS)
    try:
        steps, routers = router_steps(items(module, "routers"))
    except (ValueError, RuntimeError) as error:
        module.fail_json(msg=str(error))
    described = [
        {
            "name": router.namespace.name.removeprefix("qrouter-"),
            "namespace": router.namespace.name,
            "ports": list(router.ports),
        }
        for router in routers
    ]
    finish(module, steps, routers=described)


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: routers in network namespaces, with NAT and floating IPs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: router
short_description: Routers in network namespaces, with NAT and floating IPs
description:
  - Makes and removes routers of the kind a Neutron network node has, C(qrouter-<name>), one or a list.
  - A router has devices C(qr-…) on its networks and C(qg-…) on the external one. The other end of each, C(tap…), is
    plugged into an Open vSwitch or Linux bridge, or left for the playbook to use.
  - Source NAT, floating IPs and the guards around them are one nftables table; a change swaps only what differs, and no
    packet of other connections is lost. New addresses are announced by gratuitous ARP.
  - The namespace belongs to the router. Its devices that are no longer listed go, and so do their routes.
options: &top
  name:
    description: Name of the router; the namespace is C(qrouter-<name>). Give this or O(routers).
    type: str
  interfaces: &interfaces
    description: The router's ports on internal networks. Omitted, it has none.
    type: list
    elements: dict
    suboptions:
      name:
        description: What the port is called; unique within the router. The device's name follows from it.
        type: str
        required: true
      address: &address
        description: The router's address there with its prefix, for example V(10.0.0.1/24); or a list of such.
        type: raw
        required: true
      mac: &mac
        description: MAC address. By default one that follows from the names of router and port.
        type: str
      mtu: &mtu
        description: MTU of the network, 1500 by default.
        type: int
      bridge: &bridge
        description:
          - The bridge that the port is plugged into. It must exist; whether it is one of Open vSwitch or of the kernel
            is found out.
        type: str
      vlan: &vlan
        description: Access VLAN on that bridge; on an Open vSwitch bridge only.
        type: int
  external: &external
    description: The router's port on the external network (Neutron's C(external_gateway_info)).
    type: dict
    suboptions:
      address: *address
      gateway:
        description: Where the default route leads; or a list, one for each IP version.
        type: raw
      mac: *mac
      mtu: *mtu
      bridge: *bridge
      vlan: *vlan
  enable_snat: &enable_snat
    description:
      - Whether what has no floating IP goes out by the router's own external address (V(true), the default). If so,
        nothing that was not asked for, or sent to a floating IP, comes in from outside.
    type: bool
  routes: &routes
    description: Further routes.
    type: list
    elements: dict
    suboptions:
      destination:
        description: A CIDR.
        type: str
        required: true
      nexthop:
        description: An address on one of the router's networks.
        type: str
        required: true
  floating_ips: &floating_ips
    description:
      - All floating IPs of the router. Omitted, those it has stay, for example those made by module M(floating_ip).
    type: list
    elements: dict
    suboptions:
      floating_ip_address:
        description: The address outside.
        type: str
        required: true
      fixed_ip_address:
        description: The address inside.
        type: str
        required: true
  state: &state
    description: Whether the router exists (V(present), the default) or not.
    type: str
    choices: [present, absent]
  routers:
    description: A list of routers. Options given at the top hold for every one of them.
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
- name: Two networks and the way out
  router:
    name: r1
    interfaces:
      - {name: web, address: 10.18.0.1/24, bridge: br-int, vlan: 1}
      - {name: db, address: 10.22.22.1/24, bridge: br-int, vlan: 2}
    external: {address: 172.16.19.1/16, gateway: 172.16.0.1, bridge: br-ex}
    floating_ips:
      - {floating_ip_address: 172.16.19.232, fixed_ip_address: 10.18.0.3}
  register: r1

- name: Its device on the network web
  ansible.builtin.debug:
    msg: "{{ (r1.routers[0].ports | selectattr('name', 'equalto', 'web') | first).device }}"

- name: Remove two
  router:
    state: absent
    routers:
      - name: r1
      - name: r2
"""

RETURN = r"""
routers:
  description: The routers that shall be there.
  returned: success
  type: list
  elements: dict
  sample:
    - name: r1
      namespace: qrouter-r1
      ports:
        - {name: web, device: qr-0f3c2b1a-77, port: tap0f3c2b1a-77, mac: "fa:16:3e:aa:bb:cc", addresses: [10.18.0.1/24]}
changes:
  description: What was (in check mode, would be) done, by kind of object.
  returned: always
  type: list
  elements: dict
  sample: [{kind: netns, name: qrouter-r1, verb: add}]
notes:
  description: What a person should know besides.
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
    """Ansible's entry."""
    module = item_module("routers", OPTIONS)
    try:
        steps, routers = router_steps(items(module, "routers"))
    except (ValueError, RuntimeError) as error:
        module.fail_json(msg=str(error))
    told = [
        {"name": one.namespace.name.removeprefix("qrouter-"), "namespace": one.namespace.name, "ports": list(one.ports)}
        for one in routers
    ]
    finish(module, steps, routers=told)


if __name__ == "__main__":
    main()

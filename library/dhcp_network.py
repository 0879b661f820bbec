#!/usr/bin/python
"""Ansible module: DHCP and DNS of networks. The work is done in headworks/node/services/dhcp/."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dhcp_network
short_description: DHCP and DNS of networks, with one dnsmasq each
version_added: "0.1.0"
description:
  - Runs one dnsmasq per network as an instance of a systemd template unit, in a network namespace or in the root
    namespace. It serves only the hosts that are listed and does not answer others.
  - If only hosts, routes, DNS servers or gateways change, dnsmasq is reloaded. If the interface, a subnet's range, the
    MTU, the lease time or the domain changes, dnsmasq is restarted; leases are kept. The lease of a host that was
    removed is released, so that its address is free.
  - All units that must start are started by one call to systemd.
options:
  name:
    description:
      - Name or id of the network. It becomes part of the name of a unit, C(headworks-dhcp@NAME.service), and of a
        directory, C(/run/headworks/dhcp/NAME). Required, unless O(networks) is given.
    type: str
  netns: &netns
    description: The network namespace in which dnsmasq runs. If omitted, the root namespace.
    type: str
  interface: &interface
    description: The interface in that namespace. Required, unless O(state=absent).
    type: str
  mtu: &mtu
    description: The MTU that guests get (option 26), also if they do not ask for it. If omitted, 1500.
    type: int
  domain: &domain
    description: The DNS domain (option 15, and the domain of the hosts' names). If omitted, V(novalocal).
    type: str
  lease_seconds: &lease_seconds
    description: Lease time in seconds; a negative number means unlimited. If omitted, 86400.
    type: int
  subnets: &subnets
    description: The subnets that are served.
    type: list
    elements: dict
    suboptions:
      tag:
        description:
          - dnsmasq's tag for the subnet, unique within the network. If omitted, C(subnetN), where N is the position in
            the list, starting at 0.
        type: str
      cidr:
        description: The subnet's address range.
        type: str
        required: true
      server:
        description: The address of O(interface) in this subnet, from which dnsmasq answers.
        type: str
        required: true
      gateway:
        description: The default route that guests get (option 3, and option 121 if there are routes). Empty for none.
        type: str
        default: ""
      dns:
        description: The DNS servers that guests get (option 6). Empty for dnsmasq itself, which knows the hosts' names.
        type: list
        elements: str
        default: []
      routes:
        description:
          - The static routes that guests get (options 121 and 249). The default route and the routes to the network's
            other subnets are added.
        type: list
        elements: dict
        default: []
        suboptions:
          destination:
            description: The destination's address range.
            type: str
            required: true
          nexthop:
            description: Address of the next hop; V(0.0.0.0) for a destination on the link.
            type: str
            required: true
  hosts: &hosts
    description: The hosts that are served.
    type: list
    elements: dict
    suboptions:
      mac:
        description: MAC address of the host, in lower case with colons.
        type: str
        required: true
      address:
        description: The address that the host gets, IPv4 or IPv6.
        type: str
        required: true
      hostname:
        description:
          - Name of the host without the domain (option 12, and DNS). Empty for a name made from the address, for
            example C(host-10-0-0-3).
          - Of a name with dots, DHCP gives the guest the first word, and DNS knows the whole name as well.
        type: str
        default: ""
  state: &state
    description:
      - V(present) serves the network, V(absent) stops its dnsmasq and removes its files. If omitted, V(present).
    type: str
    choices: [present, absent]
  networks:
    description: Several networks in one call. An option at the top applies to every network that does not set it.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name or id of the network.
        type: str
        required: true
      netns: *netns
      interface: *interface
      mtu: *mtu
      domain: *domain
      lease_seconds: *lease_seconds
      subnets: *subnets
      hosts: *hosts
      state: *state
  dnsmasq_user:
    description: The user that dnsmasq runs as; the distribution's package creates it.
    type: str
    default: dnsmasq
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
requirements: [dnsmasq-base, systemd]
author: headworks
"""

EXAMPLES = r"""
- name: Serve a network with two hosts
  dhcp_network:
    name: internal
    netns: qdhcp-internal
    interface: ns-internal
    mtu: 1458
    subnets:
      - cidr: 10.18.0.0/24
        server: 10.18.0.2
        gateway: 10.18.0.1
        dns: [9.9.9.9]
        routes:
          - {destination: 169.254.169.254/32, nexthop: 10.18.0.2}
    hosts:
      - {mac: "fa:16:3e:00:00:0a", address: 10.18.0.3, hostname: vm1}
      - {mac: "fa:16:3e:00:00:0b", address: 10.18.0.4, hostname: vm2}

- name: Serve a network on a bridge of the host itself
  dhcp_network:
    name: flat
    interface: br100
    lease_seconds: 120
    subnets:
      - {cidr: 10.0.0.0/24, server: 10.0.0.1, gateway: 10.0.0.1}
    hosts:
      - {mac: "fa:16:3e:2c:e8:ec", address: 10.0.0.2, hostname: cirros}

- name: Stop serving both networks
  dhcp_network:
    state: absent
    networks:
      - name: internal
      - name: flat
"""

RETURN = r"""
changes:
  description: The changes made, in order; in check mode, the changes that a run would make.
  returned: always
  type: list
  elements: dict
  sample: [{kind: dhcp, name: internal, verb: change}]
notes:
  description: Messages for the operator.
  returned: always
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.headworks.modules.items import finish, item_module, items, split
from ansible.module_utils.headworks.node.services.dhcp.dnsmasq import DhcpSubsystem

ROUTE = {"destination": {"type": "str", "required": True}, "nexthop": {"type": "str", "required": True}}
SUBNET = {
    "tag": {"type": "str"},
    "cidr": {"type": "str", "required": True},
    "server": {"type": "str", "required": True},
    "gateway": {"type": "str", "default": ""},
    "dns": {"type": "list", "elements": "str", "default": []},
    "routes": {"type": "list", "elements": "dict", "default": [], "options": ROUTE},
}
HOST = {
    "mac": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "hostname": {"type": "str", "default": ""},
}
OPTIONS = {
    "name": {"type": "str"},
    "netns": {"type": "str"},
    "interface": {"type": "str"},
    "mtu": {"type": "int"},
    "domain": {"type": "str"},
    "lease_seconds": {"type": "int"},
    "subnets": {"type": "list", "elements": "dict", "options": SUBNET},
    "hosts": {"type": "list", "elements": "dict", "options": HOST},
}
COMMON = {"dnsmasq_user": {"type": "str", "default": "dnsmasq"}}


def tagged(item: dict[str, Any]) -> dict[str, Any]:
    """The item with a tag in each of its subnets."""
    subnets = [
        {**subnet, "tag": subnet["tag"] or f"subnet{position}"}
        for position, subnet in enumerate(item.get("subnets", []))
    ]
    return {**item, "subnets": subnets}


def main() -> None:
    """Run the module."""
    module = item_module("networks", OPTIONS, common=COMMON)
    given = items(module, "networks", COMMON)
    for item in given:
        if item["state"] == "present" and not item.get("interface"):
            module.fail_json(msg=f"dhcp_network: interface: is required for network {item['name']}")
    present, absent = split(DhcpSubsystem, [tagged(item) for item in given])
    finish(module, [(DhcpSubsystem(user=module.params["dnsmasq_user"]), present, absent)])


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: DHCP and DNS of networks, one dnsmasq each."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dhcp_network
short_description: DHCP and DNS of networks, one dnsmasq each
description:
  - Runs a dnsmasq per network as an instance of a systemd template unit, in a network namespace or in the root one.
    It knows its hosts and nobody else, a stranger gets no answer at all.
  - A changed host or option is written and reloaded. Only another interface, subnet range, MTU or domain is a restart,
    which takes milliseconds and forgets no lease. The lease of a host that left is ended, so that its address is free.
  - One network or a whole list in one call. All that must start are started by one call to systemd.
options:
  name:
    description:
      - Name or id of the network. It becomes part of a unit's name, C(headworks-dhcp@NAME.service), and of a directory,
        C(/run/headworks/dhcp/NAME). Give this or O(networks).
    type: str
  networks:
    description: A list of networks. Options given at the top hold for every one of them.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name or id of the network.
        type: str
        required: true
      netns:
        description: See O(netns).
        type: str
      interface:
        description: See O(interface).
        type: str
      mtu:
        description: See O(mtu).
        type: int
      domain:
        description: See O(domain).
        type: str
      lease_seconds:
        description: See O(lease_seconds).
        type: int
      subnets: &subnets
        description: See O(subnets).
        type: list
        elements: dict
        suboptions:
          tag:
            description: dnsmasq's tag of the subnet, unique within the network. Default C(subnetN), N counted from 0.
            type: str
          cidr:
            description: The subnet's range.
            type: str
            required: true
          server:
            description: The address of O(interface) in this subnet, from which dnsmasq answers.
            type: str
            required: true
          gateway:
            description: The default route that guests get (options 3 and, where there are routes, 121). Empty = none.
            type: str
            default: ""
          dns:
            description: DNS servers that guests get (option 6). Empty = dnsmasq itself, which knows the hosts' names.
            type: list
            elements: str
            default: []
          routes:
            description:
              - Static routes that guests get (options 121 and 249). The default route and those to the network's other
                subnets are added.
            type: list
            elements: dict
            default: []
            suboptions:
              destination:
                description: Range.
                type: str
                required: true
              nexthop:
                description: Address of the next hop, V(0.0.0.0) = on the link.
                type: str
                required: true
      hosts: &hosts
        description: See O(hosts).
        type: list
        elements: dict
        suboptions:
          mac:
            description: MAC address, in lower case with colons.
            type: str
            required: true
          address:
            description: Its address, IPv4 or IPv6.
            type: str
            required: true
          hostname:
            description: Its name without domain (option 12 and DNS). Empty = made from the address, C(host-10-0-0-3).
            type: str
            default: ""
      state:
        description: Whether the network is served.
        type: str
        choices: [present, absent]
  netns:
    description: The network namespace that dnsmasq runs in. Without it, the root namespace.
    type: str
  interface:
    description: The interface in that namespace. Needed unless O(state=absent).
    type: str
  mtu:
    description: MTU that guests are told (option 26), whether they ask or not. Default 1500.
    type: int
  domain:
    description: DNS domain (option 15, and of the hosts' names). Default V(novalocal).
    type: str
  lease_seconds:
    description: Lease time in seconds, negative = for ever. Default 86400.
    type: int
  subnets: *subnets
  hosts: *hosts
  state:
    description:
      - V(present) (the default) serves the network, V(absent) stops its dnsmasq and removes its files.
    type: str
    choices: [present, absent]
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
requirements: [dnsmasq-base, systemd]
author: headworks
"""

EXAMPLES = r"""
- name: A network with two hosts
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

- name: On a bridge of the host itself, as FlatDHCP did it
  dhcp_network:
    name: flat
    interface: br100
    lease_seconds: 120
    subnets:
      - {cidr: 10.0.0.0/24, server: 10.0.0.1, gateway: 10.0.0.1}
    hosts:
      - {mac: "fa:16:3e:2c:e8:ec", address: 10.0.0.2, hostname: cirros}

- name: Serve these no more
  dhcp_network:
    state: absent
    networks:
      - name: internal
      - name: flat
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) done, in order.
  returned: always
  type: list
  elements: dict
  sample: [{kind: dhcp, name: internal, verb: change}]
notes:
  description: What a person should know besides.
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


def tagged(item: dict[str, Any]) -> dict[str, Any]:
    """The item with a tag in each subnet."""
    subnets = item.get("subnets", [])
    return {**item, "subnets": [{**one, "tag": one["tag"] or f"subnet{at}"} for at, one in enumerate(subnets)]}


def main() -> None:
    """Ansible's entry."""
    module = item_module("networks", OPTIONS)
    given = items(module, "networks")
    for item in given:
        if item["state"] == "present" and not item.get("interface"):
            module.fail_json(msg=f"dhcp_network: interface: network {item['name']} is to be served, so it needs one")
    present, absent = split(DhcpSubsystem, [tagged(item) for item in given])
    finish(module, [(DhcpSubsystem(), present, absent)])


if __name__ == "__main__":
    main()

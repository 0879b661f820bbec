#!/usr/bin/python
"""Ansible module: metadata proxies, haproxy inside network namespaces."""

from __future__ import annotations

DOCUMENTATION = r"""
module: metadata_proxy
short_description: Metadata proxies inside network namespaces
description:
  - Runs a haproxy on C(169.254.169.254:80) inside a network namespace, as an instance of a systemd template unit.
    It hands a guest's request to the node's metadata store, saying in a header of its own which network and which
    source address it came from. Whatever the guest itself says about who it is, is removed.
  - A changed list of networks is a reload, which lets requests under way come to their end.
  - The trees that guests read are made by M(metadata_tree). The address C(169.254.169.254) in the namespace is not made
    by this module.
options:
  name:
    description:
      - The network namespace. V(host) is the root namespace. Give this or O(proxies).
    type: str
  proxies:
    description: A list of proxies. Options given at the top hold for every one of them.
    type: list
    elements: dict
    suboptions:
      name:
        description: The network namespace.
        type: str
        required: true
      networks: &networks
        description: See O(networks).
        type: list
        elements: dict
        suboptions:
          network_id:
            description: The network's id in the store.
            type: str
            required: true
          cidr:
            description: The range that its guests' requests come from.
            type: str
            required: true
      state:
        description: Whether the proxy runs.
        type: str
        choices: [present, absent]
  networks: *networks
  state:
    description: Whether the proxy runs (V(present), the default) or not.
    type: str
    choices: [present, absent]
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
requirements: [haproxy, systemd]
seealso:
  - module: metadata_tree
author: headworks
"""

EXAMPLES = r"""
- name: In a router's namespace, for its two networks
  metadata_proxy:
    name: qrouter-r1
    networks:
      - {network_id: internal, cidr: 10.18.0.0/24}
      - {network_id: internal2, cidr: 10.22.22.0/24}

- name: No proxies there any more
  metadata_proxy:
    state: absent
    proxies:
      - name: qrouter-r1
      - name: qdhcp-internal
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) done, in order.
  returned: always
  type: list
  elements: dict
  sample: [{kind: metadata proxy, name: qrouter-r1, verb: add}]
notes:
  description: What a person should know besides.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.headworks.modules.items import finish, item_module, items, split
from ansible.module_utils.headworks.node.services.metadata.proxy import MetadataProxySubsystem

NETWORK = {"network_id": {"type": "str", "required": True}, "cidr": {"type": "str", "required": True}}
OPTIONS = {"name": {"type": "str"}, "networks": {"type": "list", "elements": "dict", "options": NETWORK}}


def main() -> None:
    """Ansible's entry."""
    module = item_module("proxies", OPTIONS)
    present, absent = split(MetadataProxySubsystem, items(module, "proxies"))
    finish(module, [(MetadataProxySubsystem(), present, absent)])


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: metadata proxies in network namespaces. The work is done in headworks/node/services/metadata/."""

from __future__ import annotations

DOCUMENTATION = r"""
module: metadata_proxy
short_description: Metadata proxies inside network namespaces
version_added: "0.1.0"
description:
  - Runs an haproxy on C(169.254.169.254:80) inside a network namespace, as an instance of a systemd template unit. It
    forwards a guest's request to the node's metadata server. A header names the guest's network and source address;
    headers of that name that come from the guest are removed.
  - If the list of networks changes, haproxy is reloaded, so that requests in progress are completed.
  - M(metadata_tree) makes the trees that guests read. This module does not add the address C(169.254.169.254) to the
    namespace.
options:
  name:
    description:
      - The network namespace; V(host) for the root namespace. Required, unless O(proxies) is given.
    type: str
  networks: &networks
    description: The networks whose guests this proxy serves.
    type: list
    elements: dict
    suboptions:
      network_id:
        description: The network's id in the store.
        type: str
        required: true
      cidr:
        description: The address range from which its guests send requests.
        type: str
        required: true
  state: &state
    description: V(present) runs the proxy, V(absent) stops it and removes its files. If omitted, V(present).
    type: str
    choices: [present, absent]
  proxies:
    description: Several proxies in one call. An option at the top applies to every proxy that does not set it.
    type: list
    elements: dict
    suboptions:
      name:
        description: The network namespace; V(host) for the root namespace.
        type: str
        required: true
      networks: *networks
      state: *state
  haproxy_user:
    description: The user that haproxy runs as; the distribution's package creates it.
    type: str
    default: haproxy
  haproxy_group:
    description: The group that haproxy runs as.
    type: str
    default: haproxy
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
requirements: [haproxy, systemd]
seealso:
  - module: metadata_tree
author: headworks
"""

EXAMPLES = r"""
- name: Run a proxy in a router's namespace, for its two networks
  metadata_proxy:
    name: qrouter-r1
    networks:
      - {network_id: internal, cidr: 10.18.0.0/24}
      - {network_id: internal2, cidr: 10.22.22.0/24}

- name: Stop two proxies
  metadata_proxy:
    state: absent
    proxies:
      - name: qrouter-r1
      - name: qdhcp-internal
"""

RETURN = r"""
changes:
  description: The changes made, in order; in check mode, the changes that a run would make.
  returned: always
  type: list
  elements: dict
  sample: [{kind: metadata proxy, name: qrouter-r1, verb: add}]
notes:
  description: Messages for the operator.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.headworks.modules.items import finish, item_module, items, split
from ansible.module_utils.headworks.node.services.metadata.proxy import MetadataProxySubsystem

NETWORK = {"network_id": {"type": "str", "required": True}, "cidr": {"type": "str", "required": True}}
OPTIONS = {"name": {"type": "str"}, "networks": {"type": "list", "elements": "dict", "options": NETWORK}}
COMMON = {name: {"type": "str", "default": "haproxy"} for name in ("haproxy_user", "haproxy_group")}


def main() -> None:
    """Run the module."""
    module = item_module("proxies", OPTIONS, common=COMMON)
    present, absent = split(MetadataProxySubsystem, items(module, "proxies", COMMON))
    subsystem = MetadataProxySubsystem(user=module.params["haproxy_user"], group=module.params["haproxy_group"])
    finish(module, [(subsystem, present, absent)])


if __name__ == "__main__":
    main()

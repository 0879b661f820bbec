#!/usr/bin/python
"""Ansible module: floating IPs of an existing router. The work is done in headworks/modules/routers.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: floating_ip
short_description: Floating IPs of a router
version_added: "0.1.0"
description:
  - Adds, changes and removes floating IPs of a router that M(router) or a cloud made. Any number of floating IPs of a
    router is one nftables transaction and one batch of addresses.
  - A new floating IP is announced by gratuitous ARP. When a floating IP is removed or gets another fixed IP, the
    connections through it end; other connections are not affected.
  - In a router of a cloud, the next run of C(site.yml) restores the declared floating IPs. Declare such floating IPs in
    the inventory instead.
options:
  floating_ip_address:
    description: The external address. Required, unless O(floating_ips) is given.
    type: str
  fixed_ip_address: &fixed
    description: The internal address. Required, unless O(state=absent).
    type: str
  router: &router
    description: Name of the router, as given to M(router). Required, unless O(namespace) is given.
    type: str
  namespace: &namespace
    description: The router's network namespace. If omitted, C(qrouter-NAME), where NAME is O(router).
    type: str
  device: &device
    description: The router's external device. If omitted, the device whose name begins with C(qg-).
    type: str
  state: &state
    description: V(present) adds or changes the floating IP, V(absent) removes it. If omitted, V(present).
    type: str
    choices: [present, absent]
  floating_ips:
    description: Several floating IPs in one call. An option at the top applies to every one that does not set it.
    type: list
    elements: dict
    suboptions:
      floating_ip_address:
        description: The external address.
        type: str
        required: true
      fixed_ip_address: *fixed
      router: *router
      namespace: *namespace
      device: *device
      state: *state
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: Add a floating IP
  floating_ip:
    router: r1
    floating_ip_address: 172.16.19.232
    fixed_ip_address: 10.18.0.3

- name: Add a list of floating IPs and remove another one, in one call
  floating_ip:
    router: r1
    floating_ips: "{{ addresses + [{'floating_ip_address': '172.16.19.7', 'state': 'absent'}] }}"
"""

RETURN = r"""
changes:
  description:
    - The changes made, one for each kind of object; in check mode, the changes that a run would make. A router is named
      by its namespace.
  returned: always
  type: list
  elements: dict
  sample: [{kind: nft, name: qrouter-r1, verb: change}]
notes:
  description: Messages for the operator.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.headworks.modules.items import finish, item_module, items
from ansible.module_utils.headworks.modules.router_records import namespace_name
from ansible.module_utils.headworks.modules.routers import floating_steps

OPTIONS = {
    "floating_ip_address": {"type": "str"},
    "fixed_ip_address": {"type": "str"},
    "router": {"type": "str"},
    "namespace": {"type": "str"},
    "device": {"type": "str"},
}


def by_router(wanted: list[dict[str, str]]) -> dict[tuple[str, str], dict[str, str | None]]:
    """(namespace, device) → floating → fixed address, or None for a floating IP that is to be removed."""
    found: dict[tuple[str, str], dict[str, str | None]] = {}
    for item in wanted:
        floating, fixed = item["floating_ip_address"], item.get("fixed_ip_address")
        if item["state"] == "present" and not fixed:
            raise ValueError(f"floating_ip_address {floating}: fixed_ip_address: is required")
        if not (item.get("namespace") or item.get("router")):
            raise ValueError(f"floating_ip_address {floating}: router: is required, or namespace")
        netns = item.get("namespace") or namespace_name(item["router"])
        changes = found.setdefault((netns, item.get("device", "")), {})
        changes[floating] = fixed if item["state"] == "present" else None
    return found


def main() -> None:
    """Run the module."""
    module = item_module("floating_ips", OPTIONS, key="floating_ip_address")
    try:
        routers = by_router(items(module, "floating_ips"))
        steps = [
            step for (netns, device), changes in routers.items() for step in floating_steps(netns, device, changes)
        ]
    except (ValueError, RuntimeError) as error:
        module.fail_json(msg=str(error))
    finish(module, steps)


if __name__ == "__main__":
    main()

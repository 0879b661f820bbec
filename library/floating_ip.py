#!/usr/bin/python
"""Ansible module: floating IPs of a router that is there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: floating_ip
short_description: Floating IPs of a router
description:
  - Adds, re-points and removes floating IPs of a router made by module M(router) or by a cloud; any number in one
    nftables transaction and one batch of addresses a router.
  - A floating IP that is new is announced by gratuitous ARP. When one is removed or re-pointed, the connections that
    went through it end; no others are touched.
  - In a router of a cloud, C(site.yml) has the last word; declare such floating IPs in the inventory instead.
options:
  floating_ip_address:
    description: The address outside. Give this or O(floating_ips).
    type: str
  fixed_ip_address: &fixed
    description: The address inside. Needed unless the floating IP shall be absent.
    type: str
  router: &router
    description: Name of the router (as given to module M(router)). Give this or the namespace.
    type: str
  namespace: &namespace
    description: The router's network namespace, C(qrouter-<name>) by default.
    type: str
  device: &device
    description: The router's external device; by default the one called C(qg-…).
    type: str
  state: &state
    description: Whether the floating IP exists (V(present), the default) or not.
    type: str
    choices: [present, absent]
  floating_ips:
    description: A list of floating IPs. Options given at the top hold for every one of them.
    type: list
    elements: dict
    suboptions:
      floating_ip_address:
        description: The address outside.
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
- name: One
  floating_ip:
    router: r1
    floating_ip_address: 172.16.19.232
    fixed_ip_address: 10.18.0.3

- name: A hundred in one call, one of them removed
  floating_ip:
    router: r1
    floating_ips: "{{ addresses + [{'floating_ip_address': '172.16.19.7', 'state': 'absent'}] }}"
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) done, by kind of object; a router is named by its namespace.
  returned: always
  type: list
  elements: dict
  sample: [{kind: nft, name: qrouter-r1, verb: change}]
notes:
  description: What a person should know besides.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.headworks.modules.items import finish, item_module, items
from ansible.module_utils.headworks.modules.lone_router import namespace_name
from ansible.module_utils.headworks.modules.routers import floating_steps

OPTIONS = {
    "floating_ip_address": {"type": "str"},
    "fixed_ip_address": {"type": "str"},
    "router": {"type": "str"},
    "namespace": {"type": "str"},
    "device": {"type": "str"},
}


def by_router(wanted: list[dict[str, str]]) -> dict[tuple[str, str], dict[str, str | None]]:
    """(namespace, device) → floating → fixed, None where it shall be absent."""
    found: dict[tuple[str, str], dict[str, str | None]] = {}
    for item in wanted:
        floating, fixed = item["floating_ip_address"], item.get("fixed_ip_address")
        if item["state"] == "present" and not fixed:
            raise ValueError(f"floating_ip_address {floating}: fixed_ip_address: must be given")
        if not (item.get("namespace") or item.get("router")):
            raise ValueError(f"floating_ip_address {floating}: router: must be given (or namespace)")
        netns = item.get("namespace") or namespace_name(item["router"])
        changes = found.setdefault((netns, item.get("device", "")), {})
        changes[floating] = fixed if item["state"] == "present" else None
    return found


def main() -> None:
    """Ansible's entry."""
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

#!/usr/bin/python
"""Ansible module: Linux bridges and their ports."""

from __future__ import annotations

DOCUMENTATION = r"""
module: linux_bridge
short_description: Linux bridges and their ports
description:
  - Makes, changes and removes bridges of the kernel, one or a list, in one batch. They are up.
  - What differs is changed in place; a bridge is never made anew. Ports that are not named stay in it.
options:
  name:
    description: Name of the bridge, at most 15 characters. Give this or O(bridges).
    type: str
  interfaces: &interfaces
    description: Interfaces that are ports of the bridge. They must exist, and are set up.
    type: list
    elements: str
  absent_interfaces: &absent_interfaces
    description: Interfaces that are not ports of the bridge. They are left in any other bridge they are in.
    type: list
    elements: str
  mtu: &mtu
    description: MTU; omitted, it stays as it is.
    type: int
  mac: &mac
    description: MAC address; omitted, it stays as it is.
    type: str
  state: &state
    description: Whether the bridge exists (V(present), the default) or not. Its ports stay when it goes.
    type: str
    choices: [present, absent]
  bridges:
    description: A list of bridges. Options given at the top hold for every one of them.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the bridge.
        type: str
        required: true
      interfaces: *interfaces
      absent_interfaces: *absent_interfaces
      mtu: *mtu
      mac: *mac
      state: *state
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: A bridge that holds a NIC
  linux_bridge:
    name: br100
    interfaces: [eth2]

- name: Two, one of them with another MTU
  linux_bridge:
    bridges:
      - name: br100
      - {name: br101, mtu: 1450}

- name: Take the NIC out again
  linux_bridge:
    name: br100
    absent_interfaces: [eth2]
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) done, in order; ports appear as links of their own.
  returned: always
  type: list
  elements: dict
  sample: [{kind: link, name: br100, verb: add}]
notes:
  description: What a person should know besides.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.headworks.modules.items import finish, item_module, items
from ansible.module_utils.headworks.node.links.links import LinkSubsystem
from ansible.module_utils.headworks.state.links import Link
from ansible.module_utils.headworks.system import rtnl

OPTIONS = {
    "name": {"type": "str"},
    "interfaces": {"type": "list", "elements": "str"},
    "absent_interfaces": {"type": "list", "elements": "str"},
    "mtu": {"type": "int"},
    "mac": {"type": "str"},
}


def ports(item: dict[str, list[str]], masters: dict[str, str]) -> dict[str, Link]:
    """The links that have to be, or not to be, in the item's bridge; ``masters`` says which bridge each is in now."""
    name = str(item["name"])
    found = {port: Link(port, "existing", 0, master=name) for port in item.get("interfaces", ())}
    for port in item.get("absent_interfaces", ()):
        if port in found:
            raise ValueError(f"bridge {name}: {port!r} is in both interfaces and absent_interfaces")
        if masters.get(port) == name:
            found[port] = Link(port, "existing", 0)
    return found


def main() -> None:
    """Ansible's entry."""
    module = item_module("bridges", OPTIONS)
    present: dict[str, Link] = {}
    absent: dict[str, Link] = {}
    links = rtnl.links()
    names = {one.index: one.name for one in links.values()}
    masters = {one.name: names.get(one.master_index, "") for one in links.values()}
    try:
        for item in items(module, "bridges"):
            bridge = Link(
                item["name"], "bridge", item.get("mtu", 0), item.get("mac", ""), master=masters.get(item["name"], "")
            )
            if bridge.name in links and links[bridge.name].kind != "bridge":
                raise ValueError(f"name: {bridge.name!r}: there is such an interface, and it is no Linux bridge")
            (present if item["state"] == "present" else absent)[bridge.name] = bridge
            if item["state"] == "present":
                present |= ports(item, masters)
    except ValueError as error:
        module.fail_json(msg=str(error))
    finish(module, [(LinkSubsystem(), present, absent)])


if __name__ == "__main__":
    main()

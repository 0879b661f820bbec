#!/usr/bin/python
"""Ansible module: Linux bridges and their ports. The work is done in headworks/node/links/."""

from __future__ import annotations

DOCUMENTATION = r"""
module: linux_bridge
short_description: Linux bridges and their ports
version_added: "0.1.0"
description:
  - Creates, changes and removes bridges of the kernel, one or several, in one batch. The bridges are set up.
  - An existing bridge is changed in place, never recreated. Ports that are not named stay in it.
options:
  name:
    description: Name of the bridge, at most 15 characters. Required, unless O(bridges) is given.
    type: str
  interfaces: &interfaces
    description: Interfaces that are ports of the bridge. They must exist, and are set up.
    type: list
    elements: str
  absent_interfaces: &absent_interfaces
    description: Interfaces that are not ports of the bridge. An interface that is in another bridge stays there.
    type: list
    elements: str
  mtu: &mtu
    description: MTU in bytes. If omitted, it is not changed.
    type: int
  mac: &mac
    description: MAC address. If omitted, it is not changed.
    type: str
  state: &state
    description:
      - V(present) creates or changes the bridge, V(absent) removes it and keeps the interfaces that were its ports. If
        omitted, V(present).
    type: str
    choices: [present, absent]
  bridges:
    description: Several bridges in one call. An option at the top applies to every bridge that does not set it.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the bridge, at most 15 characters.
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
- name: Create a bridge with a NIC
  linux_bridge:
    name: br100
    interfaces: [eth2]

- name: Create two bridges, one of them with another MTU
  linux_bridge:
    bridges:
      - name: br100
      - {name: br101, mtu: 1450}

- name: Take the NIC out of the bridge
  linux_bridge:
    name: br100
    absent_interfaces: [eth2]
"""

RETURN = r"""
changes:
  description:
    - The changes made, in order; in check mode, the changes that a run would make. Each port is a link of its own.
  returned: always
  type: list
  elements: dict
  sample: [{kind: link, name: br100, verb: add}]
notes:
  description: Messages for the operator.
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
    """The links that change with the item: its interfaces, and those of its absent interfaces that are in the bridge.

    :param masters: the bridge that each link is in now, by the link's name.
    """
    name = str(item["name"])
    found = {port: Link(port, "existing", 0, master=name) for port in item.get("interfaces", ())}
    for port in item.get("absent_interfaces", ()):
        if port in found:
            raise ValueError(f"bridge {name}: {port!r} is in both interfaces and absent_interfaces")
        if masters.get(port) == name:
            found[port] = Link(port, "existing", 0)
    return found


def main() -> None:
    """Run the module."""
    module = item_module("bridges", OPTIONS)
    present: dict[str, Link] = {}
    absent: dict[str, Link] = {}
    links = rtnl.links()
    names = {link.index: link.name for link in links.values()}
    masters = {link.name: names.get(link.master_index, "") for link in links.values()}
    try:
        for item in items(module, "bridges"):
            bridge = Link(
                item["name"], "bridge", item.get("mtu", 0), item.get("mac", ""), master=masters.get(item["name"], "")
            )
            if bridge.name in links and links[bridge.name].kind != "bridge":
                raise ValueError(f"name: {bridge.name!r}: is an interface that is not a Linux bridge")
            (present if item["state"] == "present" else absent)[bridge.name] = bridge
            if item["state"] == "present":
                present |= ports(item, masters)
    except ValueError as error:
        module.fail_json(msg=str(error))
    finish(module, [(LinkSubsystem(), present, absent)])


if __name__ == "__main__":
    main()

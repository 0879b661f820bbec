#!/usr/bin/python
"""Ansible module: Open vSwitch bridges, one or a list, in one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ovs_bridge
short_description: Open vSwitch bridges
description:
  - Makes, changes and removes Open vSwitch bridges, and fake bridges (those that stand for a VLAN of another bridge).
  - Takes every option of C(openvswitch.openvswitch.openvswitch_bridge) with the same meaning, so a playbook can
    switch by changing the module's name.
  - An option that is not given is left as it is on the node. What differs is changed in place, several bridges in one
    transaction, and ovs-vswitchd has acted on it when the module returns.
options:
  bridge:
    description: Name of the bridge or fake bridge. Give this or O(bridges).
    type: str
  bridges:
    description: A list of bridges. Options given at the top hold for every one of them.
    type: list
    elements: dict
    suboptions:
      bridge:
        description: Name of the bridge or fake bridge.
        type: str
        required: true
      parent:
        description: The bridge of which this is a fake bridge. Needs O(bridges[].vlan).
        type: str
      vlan:
        description: VLAN of the fake bridge, 0 to 4095.
        type: int
      datapath_type:
        description: V(system) for the kernel's datapath, V(netdev) for the one in userspace.
        type: str
      fail_mode:
        description: What a bridge without a controller does; V(secure) forwards only by the flows it is given.
        type: str
        choices: [secure, standalone]
      mac:
        description: The bridge's own MAC address (C(other_config:hwaddr)).
        type: str
      external_ids:
        description: Keys to set. A key with the value null is removed; an empty mapping removes all.
        type: dict
      other_config:
        description: Keys to set. A key with the value null is removed; an empty mapping removes all.
        type: dict
      set:
        description:
          - Columns to set, written as for C(ovs-vsctl set), C(TABLE RECORD COLUMN[:KEY]=VALUE). They are compared
            first, for an existing bridge too.
        type: str
      state:
        description: Whether the bridge exists. A removed bridge takes its ports with it.
        type: str
        choices: [present, absent]
  parent:
    description: The bridge of which this is a fake bridge. Needs O(vlan).
    type: str
  vlan:
    description: VLAN of the fake bridge, 0 to 4095.
    type: int
  datapath_type:
    description: V(system) for the kernel's datapath, V(netdev) for the one in userspace.
    type: str
  fail_mode:
    description: What a bridge without a controller does; V(secure) forwards only by the flows it is given.
    type: str
    choices: [secure, standalone]
  mac:
    description: The bridge's own MAC address (C(other_config:hwaddr)).
    type: str
  external_ids:
    description: Keys to set. A key with the value null is removed; an empty mapping removes all.
    type: dict
  other_config:
    description: Keys to set. A key with the value null is removed; an empty mapping removes all.
    type: dict
  set:
    description:
      - Columns to set, written as for C(ovs-vsctl set), C(TABLE RECORD COLUMN[:KEY]=VALUE). They are compared first,
        for an existing bridge too.
    type: str
  state:
    description: Whether the bridge exists (V(present), the default) or not. A removed bridge takes its ports with it.
    type: str
    choices: [present, absent]
  timeout:
    description:
      - How many seconds ovs-vswitchd may take to act on the change. Not given, it may take a minute and more if there
        is much to do.
    type: int
  database_socket:
    description: The database, C(unix:PATH) or C(tcp:ADDRESS:PORT); the default is this node's.
    type: str
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: An integration bridge
  ovs_bridge:
    bridge: br-int
    fail_mode: secure
    external_ids:
      bridge-id: br-int
      description: made by hand, on rack 4

- name: Two bridges in one transaction
  ovs_bridge:
    datapath_type: netdev
    bridges:
      - bridge: br-int
      - bridge: br-tun
        fail_mode: secure

- name: A fake bridge for VLAN 405 of br-parent
  ovs_bridge:
    bridge: br405
    parent: br-parent
    vlan: 405

- name: Anything that ovs-vsctl can set
  ovs_bridge:
    bridge: br0
    set: Bridge br0 stp_enable=true other_config:stp-priority=0x7800

- name: In another database
  ovs_bridge:
    bridge: br0
    database_socket: unix:/opt/second.sock

- name: No such bridge
  ovs_bridge:
    bridge: br0
    state: absent
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) done, in order.
  returned: always
  type: list
  elements: dict
  sample: [{kind: ovs_bridge, name: br-int, verb: add}]
notes:
  description: What a person should know besides.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.headworks.modules.items import finish, item_module, items
from ansible.module_utils.headworks.modules.ovs.options import SwitchRequest
from ansible.module_utils.headworks.system.ovsdb import ENDPOINT

OPTIONS = {
    "bridge": {"type": "str"},
    "parent": {"type": "str"},
    "vlan": {"type": "int"},
    "datapath_type": {"type": "str"},
    "fail_mode": {"type": "str", "choices": ["secure", "standalone"]},
    "mac": {"type": "str"},
    "external_ids": {"type": "dict"},
    "other_config": {"type": "dict"},
    "set": {"type": "str"},
}
COMMON = {"timeout": {"type": "int"}, "database_socket": {"type": "str"}}


def main() -> None:
    """Ansible's entry."""
    module = item_module("bridges", OPTIONS, key="bridge", common=COMMON)
    wanted = items(module, "bridges", COMMON)
    try:
        names = {name for item in wanted for name in (item["bridge"], item.get("parent")) if name}
        request = SwitchRequest(names, module.params["database_socket"] or ENDPOINT, module.params["timeout"])
        for item in wanted:
            request.add_bridge(item)
    except (RuntimeError, ValueError) as error:
        module.fail_json(msg=str(error))
    finish(module, request.steps())


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: Open vSwitch bridges. The work is done in headworks/modules/ovs/ and headworks/node/ovs/."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ovs_bridge
short_description: Open vSwitch bridges
version_added: "0.1.0"
description:
  - Creates, changes and removes Open vSwitch bridges and fake bridges. A fake bridge is a VLAN of another bridge.
  - Takes every option of C(openvswitch.openvswitch.openvswitch_bridge) with the same meaning, so that a playbook can
    switch by changing the module's name.
  - An omitted option is not changed on the node. Existing bridges are changed in place. A call is one transaction; if
    it fails, nothing is changed. When the module returns, ovs-vswitchd has applied it.
options:
  bridge:
    description: Name of the bridge or fake bridge. Required, unless O(bridges) is given.
    type: str
  parent: &parent
    description:
      - The bridge of which this is a fake bridge. A new fake bridge also needs C(vlan). The parent of a fake bridge
        cannot be changed.
    type: str
  vlan: &vlan
    description:
      - VLAN of the fake bridge, 0 to 4095. A parent has at most one fake bridge for a VLAN. Ports keep their VLAN when
        the VLAN of their fake bridge changes.
    type: int
  datapath_type: &datapath_type
    description: V(system) for the kernel's datapath, V(netdev) for the userspace datapath.
    type: str
  fail_mode: &fail_mode
    description:
      - What the bridge does without a controller. V(standalone) switches like an ordinary bridge, V(secure) forwards
        only by the flows it has. If it is null or empty, the bridge keeps its mode.
    type: str
  mac: &mac
    description: The bridge's own MAC address (C(other_config:hwaddr)).
    type: str
  external_ids: &external_ids
    description:
      - Keys to set. A key with the value null or C("") is removed; an empty dictionary removes all keys.
    type: dict
  other_config: &other_config
    description:
      - Keys to set. A key with the value null or C("") is removed; an empty dictionary removes all keys.
    type: dict
  set: &set
    description:
      - Columns to set, as for C(ovs-vsctl set), C(TABLE RECORD COLUMN[:KEY]=VALUE); one string or a list of them. The
        table is C(Bridge), C(Port) or C(Interface). Words are quoted as in a shell. Names of tables and columns can be
        abbreviated. C(COLUMN={KEY=VALUE, ...}) sets a whole map, C(COLUMN=[]) clears a column.
      - The columns are compared first, also those of an existing bridge. A value that its column does not allow is
        refused before anything is changed.
    type: raw
  state: &state
    description:
      - V(present) creates or changes the bridge, V(absent) removes it with its ports. If omitted, V(present).
    type: str
    choices: [present, absent]
  bridges:
    description: Several bridges in one call. An option at the top applies to every bridge that does not set it.
    type: list
    elements: dict
    suboptions:
      bridge:
        description: Name of the bridge or fake bridge.
        type: str
        required: true
      parent: *parent
      vlan: *vlan
      datapath_type: *datapath_type
      fail_mode: *fail_mode
      mac: *mac
      external_ids: *external_ids
      other_config: *other_config
      set: *set
      state: *state
  timeout:
    description:
      - How many seconds ovs-vswitchd may take to apply the change. If omitted, the limit depends on the number of
        changes and is at least two minutes.
    type: int
  database_socket:
    description: Address of the database, C(unix:PATH) or C(tcp:ADDRESS:PORT).
    type: str
    default: unix:/run/openvswitch/db.sock
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: Create an integration bridge
  ovs_bridge:
    bridge: br-int
    fail_mode: secure
    external_ids:
      bridge-id: br-int
      description: made by hand, on rack 4

- name: Create two bridges in one transaction
  ovs_bridge:
    datapath_type: netdev
    bridges:
      - bridge: br-int
      - bridge: br-tun
        fail_mode: secure

- name: Create a fake bridge for VLAN 405 of br-parent
  ovs_bridge:
    bridge: br405
    parent: br-parent
    vlan: 405

- name: Set other columns
  ovs_bridge:
    bridge: br0
    set: Bridge br0 stp_enable=true other_config:stp-priority=0x7800

- name: Create a bridge in another database
  ovs_bridge:
    bridge: br0
    database_socket: unix:/opt/second.sock

- name: Remove a bridge
  ovs_bridge:
    bridge: br0
    state: absent
"""

RETURN = r"""
changes:
  description: The changes made, in order; in check mode, the changes that a run would make.
  returned: always
  type: list
  elements: dict
  sample: [{kind: ovs_bridge, name: br-int, verb: add}]
notes:
  description: Messages for the operator.
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
    "fail_mode": {"type": "str"},
    "mac": {"type": "str"},
    "external_ids": {"type": "dict"},
    "other_config": {"type": "dict"},
    "set": {"type": "raw"},
}
COMMON = {"timeout": {"type": "int"}, "database_socket": {"type": "str", "default": ENDPOINT}}


def main() -> None:
    """Run the module."""
    module = item_module("bridges", OPTIONS, key="bridge", common=COMMON)
    wanted = items(module, "bridges", COMMON)
    try:
        names = {name for item in wanted for name in (item["bridge"], item.get("parent")) if name}
        request = SwitchRequest(
            "ovs_bridge", names, module.params["database_socket"] or ENDPOINT, module.params["timeout"]
        )
        for item in wanted:
            request.add_bridge(item)
    except (RuntimeError, ValueError) as error:
        module.fail_json(msg=str(error))
    finish(module, request.steps())


if __name__ == "__main__":
    main()

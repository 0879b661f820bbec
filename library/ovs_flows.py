#!/usr/bin/python
"""Ansible module: flows of Open vSwitch bridges. The work is done in headworks/node/openflow/."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ovs_flows
short_description: OpenFlow entries of Open vSwitch bridges
version_added: "0.1.0"
description:
  - Adds, changes and removes flows of a bridge. The flows on the switch are compared first. All changes of a bridge are
    one bundle, which takes effect completely or not at all.
  - In matches and actions, a port is written by its name in braces, C({eth2}). The module looks up its number.
  - A match without a field that another of its fields requires (C(tcp_dst=80) without C(tcp)) is refused, because the
    switch would silently match everything instead.
options:
  bridge:
    description: The bridge. A flow that is a dictionary may name another bridge.
    type: str
  flows:
    description:
      - The flows. Each is a line as for C(ovs-ofctl add-flow), or a dictionary with C(bridge) (if omitted, O(bridge)),
        C(table) (if omitted, 0), C(priority) (if omitted, 32768), C(match) and C(actions). With O(state=absent) the
        actions are ignored.
    type: list
    elements: raw
    required: true
  state:
    description: V(present) adds or changes the flows, V(absent) removes them, whoever made them.
    type: str
    choices: [present, absent]
    default: present
  purge:
    description: Remove all other flows of O(bridge) that have the cookie O(cookie).
    type: bool
    default: false
  cookie:
    description:
      - The cookie of the flows, a number. The default is a cookie that only this module uses, so that O(purge) removes
        no flows of others.
    type: raw
    default: "0x6865616477726b75"
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
- name: The bridge has exactly these flows of this module's cookie
  ovs_flows:
    bridge: br0
    purge: true
    flows:
      - priority=10,in_port={eth2},tcp,tcp_dst=80,actions=output:{eth3}
      - table=1,priority=0,actions=drop
      - {table: 0, priority: 0, actions: NORMAL}

- name: Remove a flow
  ovs_flows:
    bridge: br0
    state: absent
    flows:
      - priority=10,in_port={eth2},tcp,tcp_dst=80
"""

RETURN = r"""
changes:
  description: The changes made; in check mode, the changes that a run would make.
  returned: always
  type: list
  elements: dict
  sample: [{kind: flow, name: "br0 table=1,priority=0,any", verb: add}]
notes:
  description: Messages for the operator.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.modules.items import converge_and_exit, finish
from ansible.module_utils.headworks.modules.ovs.flow_options import read_cookie, read_flows
from ansible.module_utils.headworks.node.openflow.flows import FlowSubsystem
from ansible.module_utils.headworks.state.openflow import MODULE_COOKIE
from ansible.module_utils.headworks.system.ovsdb import ENDPOINT


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "bridge": {"type": "str"},
            "flows": {"type": "list", "elements": "raw", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "purge": {"type": "bool", "default": False},
            "cookie": {"type": "raw", "default": hex(MODULE_COOKIE)},
            "database_socket": {"type": "str", "default": ENDPOINT},
        },
        required_if=[("purge", True, ("bridge",))],
        supports_check_mode=True,
    )
    given = module.params
    if given["purge"] and given["state"] == "absent":
        module.fail_json(msg="purge: requires state present")
    try:
        flows = read_flows(given["flows"], given["bridge"])
        cookie = read_cookie(given["cookie"])
    except ValueError as error:
        module.fail_json(msg=str(error))
    purged = frozenset([given["bridge"]]) if given["purge"] else frozenset()
    subsystem = FlowSubsystem(endpoint=given["database_socket"] or ENDPOINT, cookie=cookie, prune=purged)
    if not given["purge"]:
        finish(module, [(subsystem, *((flows, {}) if given["state"] == "present" else ({}, flows)))])
    converge_and_exit(module, [(subsystem, flows)])


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: flows of Open vSwitch bridges, a list in one bundle."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ovs_flows
short_description: OpenFlow entries of Open vSwitch bridges
description:
  - Adds, changes and removes flows of a bridge. What is on the switch is compared first; all that differs goes in as
    one bundle, which takes effect at once or not at all.
  - A port is written by its name in braces, C({eth2}), in matches and actions; its number is looked up.
  - A match that lacks what a field of it depends on (C(tcp_dst=80) without C(tcp)) is refused; the switch would
    silently match everything instead.
options:
  bridge:
    description: The bridge. A flow that is a mapping may name another one.
    type: str
  flows:
    description:
      - The flows, each a line as for C(ovs-ofctl add-flow) or a mapping with O(bridge), C(table) (0), C(priority)
        (32768), C(match) and C(actions). For O(state=absent) actions do not matter.
    type: list
    elements: raw
    required: true
  state:
    description: Whether the flows exist. A removed flow goes whoever made it.
    type: str
    choices: [present, absent]
    default: present
  purge:
    description: Remove all other flows of O(bridge) that have O(cookie).
    type: bool
    default: false
  cookie:
    description:
      - The cookie of the flows, a number. The default is this module's own (0x6865616477726b75), so that O(purge)
        meets no flows of others.
    type: raw
  database_socket:
    description: The database, C(unix:PATH) or C(tcp:ADDRESS:PORT); the default is this node's.
    type: str
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: Exactly these flows of ours
  ovs_flows:
    bridge: br0
    purge: true
    flows:
      - priority=10,in_port={eth2},tcp,tcp_dst=80,actions=output:{eth3}
      - table=1,priority=0,actions=drop
      - {table: 0, priority: 0, actions: NORMAL}

- name: No such flow
  ovs_flows:
    bridge: br0
    state: absent
    flows:
      - priority=10,in_port={eth2},tcp,tcp_dst=80
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) done.
  returned: always
  type: list
  elements: dict
  sample: [{kind: flow, name: "br0 table=1,priority=0,any", verb: add}]
notes:
  description: What a person should know besides.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.modules.items import converge_and_exit, finish
from ansible.module_utils.headworks.modules.ovs.flow_options import read_cookie, read_flows
from ansible.module_utils.headworks.node.openflow.flows import FlowSubsystem
from ansible.module_utils.headworks.system.ovsdb import ENDPOINT


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(
        argument_spec={
            "bridge": {"type": "str"},
            "flows": {"type": "list", "elements": "raw", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "purge": {"type": "bool", "default": False},
            "cookie": {"type": "raw"},
            "database_socket": {"type": "str"},
        },
        required_if=[("purge", True, ("bridge",))],
        supports_check_mode=True,
    )
    given = module.params
    if given["purge"] and given["state"] == "absent":
        module.fail_json(msg="purge: removes what is not in flows, so state must be present")
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

#!/usr/bin/python
"""Ansible module: what Open vSwitch has, read only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ovs_info
short_description: Bridges, ports and flows of Open vSwitch
description:
  - Reads bridges and ports in one transaction, and flows if wanted. On a node without Open vSwitch all is empty.
options:
  bridges:
    description: Only these bridges and their ports; all, if not given.
    type: list
    elements: str
  flows:
    description: Return the flows, too.
    type: bool
    default: false
  database_socket:
    description: The database, C(unix:PATH) or C(tcp:ADDRESS:PORT); the default is this node's.
    type: str
attributes:
  check_mode: {support: full}
  diff_mode: {support: none}
author: headworks
"""

EXAMPLES = r"""
- name: What is there
  ovs_info:
  register: ovs

- name: Every port works
  ansible.builtin.assert:
    that: ovs.ports | map(attribute='error') | select | length == 0

- name: With flows
  ovs_info:
    bridges: [br-int]
    flows: true
"""

RETURN = r"""
bridges:
  description: The bridges, sorted by name.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: Name., type: str, returned: always}
    datapath_type: {description: V(system) or V(netdev)., type: str, returned: always}
    fail_mode: {description: "V(secure), V(standalone) or empty.", type: str, returned: always}
    mac: {description: The MAC address that was set, type: str, returned: always}
    external_ids: {description: Keys., type: dict, returned: always}
    other_config: {description: Keys., type: dict, returned: always}
    error: {description: What ovs-vswitchd complains about., type: str, returned: always}
ports:
  description: The ports, sorted by name; a bridge's own port has its name.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: Name., type: str, returned: always}
    bridge: {description: The bridge it is on., type: str, returned: always}
    type: {description: "Kind of interface; empty is a system device.", type: str, returned: always}
    tag: {description: VLAN of an access port., type: int, returned: always}
    vlan_mode: {description: How VLANs are handled., type: str, returned: always}
    trunks: {description: VLANs of a trunk., type: list, elements: int, returned: always}
    mac: {description: The MAC address that was set, type: str, returned: always}
    mtu: {description: The MTU that was asked for., type: int, returned: always}
    options: {description: Options of the interface., type: dict, returned: always}
    external_ids: {description: Keys of the interface's row., type: dict, returned: always}
    port_external_ids: {description: Keys of the port's row., type: dict, returned: always}
    fake_bridge: {description: Whether it is a fake bridge., type: bool, returned: always}
    error: {description: What ovs-vswitchd complains about., type: str, returned: always}
flows:
  description: Lines of C(ovs-ofctl dump-flows --no-stats), by bridge.
  returned: when O(flows) is true
  type: dict
  sample: {br-int: ["priority=0 actions=drop"]}
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.node.openflow.ofctl import dump
from ansible.module_utils.headworks.node.ovs.bridges import OvsBridgeSubsystem
from ansible.module_utils.headworks.node.ovs.ports import OvsPortSubsystem
from ansible.module_utils.headworks.system.ovsdb import ENDPOINT


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(
        argument_spec={
            "bridges": {"type": "list", "elements": "str"},
            "flows": {"type": "bool", "default": False},
            "database_socket": {"type": "str"},
        },
        supports_check_mode=True,
    )
    endpoint = module.params["database_socket"] or ENDPOINT
    chosen = module.params["bridges"]
    try:
        bridges = OvsBridgeSubsystem(endpoint=endpoint).read({}).objects
        ports = OvsPortSubsystem(endpoint=endpoint).read_named(None).objects
        wanted = sorted(name for name in bridges if chosen is None or name in chosen)
        found: dict[str, Any] = {
            "bridges": [asdict(bridges[name]) for name in wanted],
            "ports": [asdict(ports[name]) for name in sorted(ports) if ports[name].bridge in wanted],
        }
        if module.params["flows"]:
            found["flows"] = {name: dump(name) for name in wanted}
    except RuntimeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()

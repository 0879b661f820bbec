#!/usr/bin/python
"""Ansible module: read bridges, ports and flows of Open vSwitch."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ovs_info
short_description: Read bridges, ports and flows of Open vSwitch
version_added: "0.1.0"
description:
  - Reads bridges and ports in one transaction, and flows if asked. On a node without Open vSwitch, returns empty lists.
options:
  bridges:
    description: Only these bridges and their ports are returned. If omitted, all are returned.
    type: list
    elements: str
  flows:
    description: Whether flows are returned too.
    type: bool
    default: false
  database_socket:
    description: Address of the database, C(unix:PATH) or C(tcp:ADDRESS:PORT).
    type: str
    default: unix:/run/openvswitch/db.sock
attributes:
  check_mode: {support: full, description: The module only reads.}
  diff_mode: {support: none}
author: headworks
"""

EXAMPLES = r"""
- name: Read bridges and ports
  ovs_info:
  register: ovs

- name: Check that every port works
  ansible.builtin.assert:
    that: ovs.ports | map(attribute='error') | select | length == 0

- name: Read br-int with its flows
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
    name: {description: Name of the bridge., type: str, returned: always}
    datapath_type: {description: V(system) or V(netdev)., type: str, returned: always}
    fail_mode: {description: "V(secure), V(standalone) or empty.", type: str, returned: always}
    mac: {description: The MAC address that was set; empty if none was., type: str, returned: always}
    external_ids: {description: The keys of C(external_ids)., type: dict, returned: always}
    other_config: {description: The keys of C(other_config)., type: dict, returned: always}
    error: {description: The error that ovs-vswitchd reports; empty for none., type: str, returned: always}
ports:
  description: The ports, sorted by name. A bridge's local port has the name of the bridge.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: Name of the port., type: str, returned: always}
    bridge: {description: The bridge of the port., type: str, returned: always}
    type: {description: "Type of the interface; empty for a system device.", type: str, returned: always}
    tag: {description: VLAN of an access port., type: int, returned: always}
    vlan_mode: {description: How the port handles VLANs., type: str, returned: always}
    trunks: {description: VLANs of a trunk., type: list, elements: int, returned: always}
    mac: {description: The MAC address that was set; empty if none was., type: str, returned: always}
    mtu: {description: The MTU that was requested., type: int, returned: always}
    options: {description: Options of the interface., type: dict, returned: always}
    external_ids: {description: Keys of C(external_ids) in the interface's row., type: dict, returned: always}
    port_external_ids: {description: Keys of C(external_ids) in the port's row., type: dict, returned: always}
    fake_bridge: {description: Whether the port is a fake bridge., type: bool, returned: always}
    error: {description: The error that ovs-vswitchd reports; empty for none., type: str, returned: always}
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
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "bridges": {"type": "list", "elements": "str"},
            "flows": {"type": "bool", "default": False},
            "database_socket": {"type": "str", "default": ENDPOINT},
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

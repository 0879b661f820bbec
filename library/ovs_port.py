#!/usr/bin/python
"""Ansible module: ports of Open vSwitch bridges, one or a list, in one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ovs_port
short_description: Ports of Open vSwitch bridges
description:
  - Adds, changes, moves and removes ports; access ports, trunks, internal ports, patch ports and tunnels.
  - Takes every option of C(openvswitch.openvswitch.openvswitch_port) with the same meaning, so a playbook can switch by
    changing the module's name.
  - An option that is not given is left as it is on the node. What differs is changed in place, a thousand ports in one
    transaction. A port that ovs-vswitchd cannot serve (no such device, for example) is an error that names it.
options:
  bridge:
    description: The bridge or fake bridge the port is on. A port that is on another one is moved. Needed for a new
      port.
    type: str
  port:
    description: Name of the port. Give this or O(ports).
    type: str
  ports:
    description: A list of ports. Options given at the top hold for every one of them.
    type: list
    elements: dict
    suboptions:
      bridge:
        description: The bridge or fake bridge the port is on.
        type: str
      port:
        description: Name of the port.
        type: str
        required: true
      type:
        description: Kind of interface.
        type: str
        choices: [system, internal, patch, vxlan, gre, geneve]
      tag:
        description: VLAN of an access port, 0 to 4095.
        type: int
      vlan_mode:
        description: How VLANs are handled.
        type: str
        choices: [access, trunk, native-tagged, native-untagged, dot1q-tunnel]
      trunks:
        description: The VLANs of a trunk; empty means all.
        type: list
        elements: int
      peer:
        description: The other end of a patch port.
        type: str
      local_ip:
        description: This end of a tunnel.
        type: str
      remote_ip:
        description: The other end of a tunnel, or V(flow).
        type: str
      key:
        description: The tunnel's key in both directions, a number or V(flow).
        type: str
      in_key:
        description: The key of what comes in.
        type: str
      out_key:
        description: The key of what goes out.
        type: str
      options:
        description: Further options of the interface. A key with the value null is removed.
        type: dict
      mtu:
        description: MTU in bytes that the interface shall have.
        type: int
      mac:
        description: MAC address of an internal port.
        type: str
      external_ids:
        description: Keys of the port's row. A key with the value null is removed.
        type: dict
      interface_external_ids:
        description: Keys of the interface's row, where C(iface-id) and C(attached-mac) belong. A key with the value
          null is removed.
        type: dict
      other_config:
        description: Keys of the port's row.
        type: dict
      set:
        description: Columns to set, written as for C(ovs-vsctl set).
        type: raw
      state:
        description: Whether the port exists.
        type: str
        choices: [present, absent]
  type:
    description: Kind of interface; V(system) is a device that exists.
    type: str
    choices: [system, internal, patch, vxlan, gre, geneve]
  tag:
    description: VLAN of an access port, 0 to 4095.
    type: int
  vlan_mode:
    description: How VLANs are handled; not given, a port with a tag is an access port and one without is a trunk.
    type: str
    choices: [access, trunk, native-tagged, native-untagged, dot1q-tunnel]
  trunks:
    description: The VLANs of a trunk; empty means all.
    type: list
    elements: int
  peer:
    description: The other end of a patch port.
    type: str
  local_ip:
    description: This end of a tunnel.
    type: str
  remote_ip:
    description: The other end of a tunnel, or V(flow).
    type: str
  key:
    description: The tunnel's key in both directions, a number or V(flow).
    type: str
  in_key:
    description: The key of what comes in.
    type: str
  out_key:
    description: The key of what goes out.
    type: str
  options:
    description: Further options of the interface, for example C(df_default). A key with the value null is removed.
    type: dict
  mtu:
    description: MTU in bytes that the interface shall have.
    type: int
  mac:
    description: MAC address of an internal port.
    type: str
  external_ids:
    description: Keys of the port's row. A key with the value null is removed.
    type: dict
  interface_external_ids:
    description: Keys of the interface's row, where C(iface-id) and C(attached-mac) belong. A key with the value null is
      removed.
    type: dict
  other_config:
    description: Keys of the port's row.
    type: dict
  set:
    description:
      - Columns to set, each written as for C(ovs-vsctl set), C(TABLE RECORD COLUMN[:KEY]=VALUE). A list, or one
        string. They are compared first, for an existing port too.
    type: raw
  state:
    description: Whether the port exists (V(present), the default) or not. A port on another bridge than O(bridge) is
      not removed.
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
- name: A device on a bridge
  ovs_port:
    bridge: br-ex
    port: eth2

- name: An internal port in VLAN 10
  ovs_port:
    bridge: br-ex
    port: vlan10
    tag: 10
    type: internal

- name: A guest's port, as Neutron marks it
  ovs_port:
    bridge: br-int
    port: vifeth6
    interface_external_ids:
      iface-id: "{{ inventory_hostname }}-vifeth6"
      attached-mac: 00:00:5E:00:53:23
      iface-status: active

- name: A full mesh of tunnels in one transaction
  ovs_port:
    bridge: br-tun
    type: vxlan
    key: flow
    local_ip: 192.0.2.1
    ports:
      - {port: vxlan-c0000202, remote_ip: 192.0.2.2}
      - {port: vxlan-c0000203, remote_ip: 192.0.2.3}

- name: Two bridges joined
  ovs_port:
    type: patch
    ports:
      - {bridge: br-int, port: patch-tun, peer: patch-int}
      - {bridge: br-tun, port: patch-int, peer: patch-tun}

- name: A trunk
  ovs_port:
    bridge: br-ex
    port: eth3
    vlan_mode: trunk
    trunks: [100, 200]

- name: Anything that ovs-vsctl can set
  ovs_port:
    bridge: br0
    port: eth6
    set:
      - Interface eth6 ofport_request=6 ingress_policing_rate=1000
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) done, in order.
  returned: always
  type: list
  elements: dict
  sample: [{kind: ovs_port, name: eth2, verb: add}]
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
    "port": {"type": "str"},
    "type": {"type": "str", "choices": ["system", "internal", "patch", "vxlan", "gre", "geneve"]},
    "tag": {"type": "int"},
    "vlan_mode": {
        "type": "str",
        "choices": ["access", "trunk", "native-tagged", "native-untagged", "dot1q-tunnel"],
    },
    "trunks": {"type": "list", "elements": "int"},
    "peer": {"type": "str"},
    "local_ip": {"type": "str"},
    "remote_ip": {"type": "str"},
    "key": {"type": "str", "no_log": False},
    "in_key": {"type": "str", "no_log": False},
    "out_key": {"type": "str", "no_log": False},
    "options": {"type": "dict"},
    "mtu": {"type": "int"},
    "mac": {"type": "str"},
    "external_ids": {"type": "dict"},
    "interface_external_ids": {"type": "dict"},
    "other_config": {"type": "dict"},
    "set": {"type": "raw"},
}
COMMON = {"timeout": {"type": "int"}, "database_socket": {"type": "str"}}


def main() -> None:
    """Ansible's entry."""
    module = item_module("ports", OPTIONS, key="port", common=COMMON)
    wanted = items(module, "ports", COMMON)
    try:
        names = {name for item in wanted for name in (item["port"], item.get("bridge")) if name}
        request = SwitchRequest(names, module.params["database_socket"] or ENDPOINT, module.params["timeout"])
        for item in wanted:
            request.add_port(item)
    except (RuntimeError, ValueError) as error:
        module.fail_json(msg=str(error))
    finish(module, request.steps())


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: ports of Open vSwitch bridges. The work is done in headworks/modules/ovs/ and headworks/node/ovs/."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ovs_port
short_description: Ports of Open vSwitch bridges
version_added: "0.1.0"
description:
  - Adds, changes, moves and removes access ports, trunks, internal ports, patch ports and tunnels.
  - Takes every option of C(openvswitch.openvswitch.openvswitch_port) with the same meaning, so that a playbook can
    switch by changing the module's name.
  - An omitted option is not changed on the node. Existing ports are changed in place. A call is one transaction; if
    the database refuses it, nothing is changed. A port that ovs-vswitchd cannot serve is an error that names the port.
  - A bridge or fake bridge is never moved to another bridge or removed by this module, and a member of a bond is never
    taken out of it.
options:
  port:
    description: Name of the port. Required, unless O(ports) is given.
    type: str
  bridge: &bridge
    description:
      - The bridge or fake bridge of the port. A port of another bridge is moved to this one, and a note says so.
        Required for a new port.
    type: str
  type: &type
    description: Type of the interface; V(system) for an existing device. If omitted, a new port is of type V(system).
    type: str
    choices: [system, internal, patch, vxlan, gre, geneve]
  tag: &tag
    description: VLAN of an access port, 0 to 4095. C([]) removes the VLAN; null or an empty string changes nothing.
    type: raw
  vlan_mode: &vlan_mode
    description:
      - How the port handles VLANs. If it is set neither here nor on the node, a port with a tag is an access port and a
        port without a tag is a trunk.
    type: str
    choices: [access, trunk, native-tagged, native-untagged, dot1q-tunnel]
  trunks: &trunks
    description: The VLANs of a trunk; an empty list for all VLANs.
    type: list
    elements: int
  peer: &peer
    description: The port at the other end of a patch port.
    type: str
  local_ip: &local_ip
    description: Local address of a tunnel.
    type: str
  remote_ip: &remote_ip
    description: Remote address of a tunnel, or V(flow).
    type: str
  key: &key
    description: The tunnel's key in both directions, a number or V(flow).
    type: str
  in_key: &in_key
    description: The tunnel's key for received packets, a number or V(flow).
    type: str
  out_key: &out_key
    description: The tunnel's key for sent packets, a number or V(flow).
    type: str
  options: &options
    description:
      - Further options of the interface, for example C(df_default). A key with the value null or C("") is removed.
    type: dict
  mtu: &mtu
    description: MTU of the interface in bytes.
    type: int
  mac: &mac
    description: MAC address of an internal port.
    type: str
  external_ids: &external_ids
    description: Keys of C(external_ids) in the port's row. A key with the value null or C("") is removed.
    type: dict
  interface_external_ids: &interface_external_ids
    description:
      - Keys of C(external_ids) in the interface's row, where C(iface-id) and C(attached-mac) belong. A key with the
        value null or C("") is removed.
    type: dict
  other_config: &other_config
    description: Keys of C(other_config) in the port's row. A key with the value null or C("") is removed.
    type: dict
  set: &set
    description:
      - Columns to set, as for C(ovs-vsctl set), C(TABLE RECORD COLUMN[:KEY]=VALUE); one string or a list of them. The
        table is C(Bridge), C(Port) or C(Interface). Words are quoted as in a shell. Names of tables and columns can be
        abbreviated. C(COLUMN={KEY=VALUE, ...}) sets a whole map, C(COLUMN=[]) clears a column. In one string, a comma
        can separate two commands.
      - The columns are compared first, also those of an existing port. A value that its column does not allow is
        refused before anything is changed.
    type: raw
  allow_missing_device: &allow_missing_device
    description:
      - If true, a port whose device does not exist yet is added, with a note instead of an error. ovs-vswitchd serves
        the port as soon as the device exists. If omitted, such a port is an error.
    type: bool
  state: &state
    description:
      - V(present) adds or changes the port. V(absent) removes it if it is on the given bridge; a port of a fake bridge
        is not on that one's parent. If omitted, V(present).
    type: str
    choices: [present, absent]
  ports:
    description: Several ports in one call. An option at the top applies to every port that does not set it.
    type: list
    elements: dict
    suboptions:
      port:
        description: Name of the port.
        type: str
        required: true
      bridge: *bridge
      type: *type
      tag: *tag
      vlan_mode: *vlan_mode
      trunks: *trunks
      peer: *peer
      local_ip: *local_ip
      remote_ip: *remote_ip
      key: *key
      in_key: *in_key
      out_key: *out_key
      options: *options
      mtu: *mtu
      mac: *mac
      external_ids: *external_ids
      interface_external_ids: *interface_external_ids
      other_config: *other_config
      set: *set
      allow_missing_device: *allow_missing_device
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
- name: Add a device to a bridge
  ovs_port:
    bridge: br-ex
    port: eth2

- name: Add an internal port in VLAN 10
  ovs_port:
    bridge: br-ex
    port: vlan10
    tag: 10
    type: internal

- name: Add a guest's port, with the keys that Neutron sets
  ovs_port:
    bridge: br-int
    port: vifeth6
    interface_external_ids:
      iface-id: "{{ inventory_hostname }}-vifeth6"
      attached-mac: 00:00:5E:00:53:23
      iface-status: active

- name: Add tunnels to two nodes in one transaction
  ovs_port:
    bridge: br-tun
    type: vxlan
    key: flow
    local_ip: 192.0.2.1
    ports:
      - {port: vxlan-c0000202, remote_ip: 192.0.2.2}
      - {port: vxlan-c0000203, remote_ip: 192.0.2.3}

- name: Connect two bridges
  ovs_port:
    type: patch
    ports:
      - {bridge: br-int, port: patch-tun, peer: patch-int}
      - {bridge: br-tun, port: patch-int, peer: patch-tun}

- name: Add a trunk
  ovs_port:
    bridge: br-ex
    port: eth3
    vlan_mode: trunk
    trunks: [100, 200]

- name: Set other columns
  ovs_port:
    bridge: br0
    port: eth6
    set:
      - Interface eth6 ofport_request=6 ingress_policing_rate=1000

- name: Add a port for a device that appears later
  ovs_port:
    bridge: br0
    port: eth7
    allow_missing_device: true
"""

RETURN = r"""
changes:
  description: The changes made, in order; in check mode, the changes that a run would make.
  returned: always
  type: list
  elements: dict
  sample: [{kind: ovs_port, name: eth2, verb: add}]
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
    "port": {"type": "str"},
    "type": {"type": "str", "choices": ["system", "internal", "patch", "vxlan", "gre", "geneve"]},
    "tag": {"type": "raw"},
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
    "allow_missing_device": {"type": "bool"},
}
COMMON = {"timeout": {"type": "int"}, "database_socket": {"type": "str", "default": ENDPOINT}}


def main() -> None:
    """Run the module."""
    module = item_module("ports", OPTIONS, key="port", common=COMMON)
    wanted = items(module, "ports", COMMON)
    try:
        names = {name for item in wanted for name in (item["port"], item.get("bridge")) if name}
        request = SwitchRequest(
            "ovs_port", names, module.params["database_socket"] or ENDPOINT, module.params["timeout"]
        )
        for item in wanted:
            request.add_port(item)
    except (RuntimeError, ValueError) as error:
        module.fail_json(msg=str(error))
    finish(module, request.steps())


if __name__ == "__main__":
    main()

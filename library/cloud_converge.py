"""Documentation of the action plugin plugins/action/cloud_converge.py, which calls module node_state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_converge
short_description: Converge a node to the state that cloud_plan made for it
version_added: "0.1.0"
description:
  - Calls M(node_state) on the node with the state that M(cloud_plan) made for it earlier in the same run.
  - In check mode, and for a node whose preview had no change, returns the answer of the preview. Otherwise fails if
    M(cloud_begin) has not begun the run.
  - If a NIC that carries the connection to the node was moved into a bridge, calls M(underlay_confirm) over a new
    connection.
  - Notes in C(cloud_allocations_file) which instances the node has built, so that a later run knows if one is lost.
  - Returns what M(node_state) returns, without the module's arguments, because they contain user data.
options:
  distribution:
    description: Names that the node's distribution chose. They become part of the node state.
    type: dict
    required: true
    suboptions:
      nginx_user: {description: The user that nginx runs as., type: str, required: true}
      nginx_group: {description: The group of nginx., type: str, required: true}
      haproxy_user: {description: The user that haproxy runs as., type: str, required: true}
      haproxy_group: {description: The group of haproxy., type: str, required: true}
      dnsmasq_user: {description: The user that dnsmasq runs as., type: str, required: true}
      openvswitch_service: {description: The systemd unit of Open vSwitch., type: str, required: true}
      ovsdb_service: {description: The systemd unit of Open vSwitch's database., type: str, required: true}
      vswitchd_service: {description: The systemd unit of Open vSwitch's daemon., type: str, required: true}
      libvirt_service: {description: The systemd unit of libvirt., type: str, required: true}
      libvirt_guests_service:
        description: The systemd unit that stops libvirt's guests when the node shuts down.
        type: str
        required: true
      nftables_service: {description: The systemd unit that loads the node's own rules., type: str, required: true}
  preview:
    description:
      - Only ask the node what this run would change. M(cloud_begin) shows it. Nothing fails if the node cannot
        tell all of it.
    type: bool
    default: false
  prepared:
    description:
      - Whether the run has changed the node since the preview. Otherwise a node without changes is not called again.
    type: bool
    default: false
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: Converge the node to its state
  cloud_converge:
    distribution:
      nginx_user: www-data
      nginx_group: www-data
      haproxy_user: haproxy
      haproxy_group: haproxy
      dnsmasq_user: dnsmasq
      openvswitch_service: openvswitch-switch.service
      ovsdb_service: ovsdb-server.service
      vswitchd_service: ovs-vswitchd.service
      libvirt_service: libvirtd.service
      libvirt_guests_service: libvirt-guests.service
      nftables_service: nftables.service
"""

RETURN = r"""
changes:
  description: The changes made, in order; in check mode, the changes that a run would make.
  returned: always
  type: list
  elements: dict
  sample: [{kind: link, name: tap0d1c2b3a-44, verb: add}]
notes:
  description: Messages for the operator, for example that a guest needs a restart to get its new memory size.
  returned: always
  type: list
  elements: str
effects:
  description:
    - What the changes bring about for those who use the objects, as data; RV(notes) has the same texts.
    - The key C(effect) is V(restart) for what takes effect at the next start of a guest, V(outage) for what stops
      working, and V(loss) for what is lost for good.
  returned: always
  type: list
  elements: dict
  sample:
    - {kind: domain, name: 6f1f5a3e-58f1-5d42-a2a1-55f4f4f1a001, effect: outage, text: "instance vm1: it is shut down"}
"""

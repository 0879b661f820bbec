#!/usr/bin/python
"""Ansible module: libvirt guests with disks, taps and ports. The work is done in headworks/node/compute/."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance
short_description: libvirt guests with their disks and taps
version_added: "0.1.0"
description:
  - Defines guests, creates their overlay disks and taps, adds the taps to Open vSwitch bridges, and starts, stops,
    pauses or suspends the guests.
  - An existing guest is changed while it runs, where libvirt can; it is never destroyed to be changed. RV(notes) lists
    what a change interrupts and what waits for the guest's next start. An existing disk is never recreated.
  - A guest whose disk is missing is neither defined nor started; the module fails and names it.
  - All guests of a call go through one libvirt connection.
options:
  name:
    description:
      - Name of the guest, which becomes its title in libvirt. O(uuid) is derived from it if omitted. Required, unless
        O(instances) is given.
    type: str
  uuid: &uuid
    description: UUID of the guest. If omitted, it is derived from O(name).
    type: str
  domain: &domain
    description: libvirt's name of the guest. If omitted, C(instance-) and the first eight digits of the UUID.
    type: str
  instances:
    description: Several guests in one call. An option at the top applies to every guest that does not set it.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the guest, which becomes its title in libvirt.
        type: str
        required: true
      uuid: *uuid
      domain: *domain
      vcpus: &vcpus
        description: Number of virtual processors.
        type: int
      memory_mb: &memory_mb
        description: Memory in MiB.
        type: int
      image: &image
        description:
          - File name of the base image in C(/var/lib/headworks/images/_base/). M(instance_image) names the file by its
            digest. Required for a new guest. Without it, the guest's disk is left alone.
        type: str
      image_format: &image_format
        description: Format of the base image.
        type: str
        choices: [qcow2, raw]
      disk_gb: &disk_gb
        description: Size of the root disk in GiB; 0 for the size of the image.
        type: int
      virt_type: &virt_type
        description: V(kvm), or V(qemu) for emulation.
        type: str
        choices: [kvm, qemu]
      nics: &nics
        description: The guest's network cards, in order.
        type: list
        elements: dict
        suboptions:
          tap:
            description: Name of the tap. If omitted, C(tap) and eleven characters of a UUID derived from the guest's.
            type: str
          mac:
            description: MAC address. If omitted, it is derived from the guest's UUID and begins with C(fa:16:3e).
            type: str
          bridge:
            description: The Open vSwitch bridge to which the tap is added. If omitted, the tap is only created.
            type: str
          tag:
            description: Access VLAN on the bridge.
            type: int
          mtu:
            description: MTU in bytes.
            type: int
            default: 1500
          offload:
            description: Whether checksums are offloaded. Must be V(false) with the userspace datapath.
            type: bool
            default: true
      protected: &protected
        description:
          - Whether the guest is protected from removal. The node remembers it, and O(state=absent) fails until a task
            has set it to V(false). If omitted, a new guest is not protected, and an existing one stays as it is.
        type: bool
      state: &state
        description:
          - V(running), V(stopped), V(paused), or V(suspended) to disk.
          - V(absent) removes the guest, and the taps and ports of O(nics). Its disk moves to
            C(/var/lib/headworks/removed); systemd-tmpfiles deletes it there, after 7 days if the node has no other
            rule. A guest with the same O(uuid) that is defined again within this time gets its disk back.
            M(removed_guests) lists such guests and deletes them at once.
          - A protected guest is not removed.
        type: str
        choices: [running, stopped, paused, suspended, absent]
  vcpus: {<<: *vcpus, default: 1}
  memory_mb: {<<: *memory_mb, default: 512}
  image: *image
  image_format: {<<: *image_format, default: qcow2}
  disk_gb: {<<: *disk_gb, default: 0}
  virt_type: {<<: *virt_type, default: qemu}
  nics: *nics
  protected: *protected
  state: {<<: *state, default: running}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full, description: Shows the records before and after the change.}
author: headworks
"""

EXAMPLES = r"""
- name: Run a guest on VLAN 5 of br-int
  instance:
    name: web01
    memory_mb: 256
    image: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    nics:
      - {bridge: br-int, tag: 5}

- name: Two guests in one call, one of them stopped
  instance:
    image: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    instances:
      - {name: web01}
      - {name: web02, state: stopped}

- name: Remove a guest, its disk, taps and ports
  instance:
    name: web01
    nics:
      - {bridge: br-int}
    state: absent
"""

RETURN = r"""
changes:
  description: The changes made, in order; in check mode, the changes that a run would make.
  returned: always
  type: list
  elements: dict
  sample: [{kind: domain, name: 5b0f00a0-1c2d-5e3f-8a4b-5c6d7e8f9a0b, verb: add}]
notes:
  description: Messages for the operator, for example that a guest needs a restart to get its new memory size.
  returned: always
  type: list
  elements: str
"""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.modules.items import Step, finish
from ansible.module_utils.headworks.node.compute.disks import DiskSubsystem
from ansible.module_utils.headworks.node.compute.domains import DomainSubsystem
from ansible.module_utils.headworks.node.compute.removed import RULE_NAME
from ansible.module_utils.headworks.node.compute.retention import RetentionSubsystem
from ansible.module_utils.headworks.node.compute.rule import days_of_rule
from ansible.module_utils.headworks.node.links.links import LinkSubsystem
from ansible.module_utils.headworks.node.ovs.ports import OvsPortSubsystem
from ansible.module_utils.headworks.state.disks import Disk
from ansible.module_utils.headworks.state.domains import ROOT_TARGET, Domain, DomainDisk, Nic
from ansible.module_utils.headworks.state.links import Link
from ansible.module_utils.headworks.state.ovs import OvsPort
from ansible.module_utils.headworks.state.places import console_log, root_disk
from ansible.module_utils.headworks.state.retention import Retention

NIC_OPTIONS = {
    "tap": {"type": "str"},
    "mac": {"type": "str"},
    "bridge": {"type": "str"},
    "tag": {"type": "int"},
    "mtu": {"type": "int", "default": 1500},
    "offload": {"type": "bool", "default": True},
}
OPTIONS: dict[str, Any] = {
    "name": {"type": "str"},
    "uuid": {"type": "str"},
    "domain": {"type": "str"},
    "vcpus": {"type": "int"},
    "memory_mb": {"type": "int"},
    "image": {"type": "str"},
    "image_format": {"type": "str", "choices": ["qcow2", "raw"]},
    "disk_gb": {"type": "int"},
    "virt_type": {"type": "str", "choices": ["kvm", "qemu"]},
    "nics": {"type": "list", "elements": "dict", "options": NIC_OPTIONS},
    "protected": {"type": "bool"},
    "state": {"type": "str", "choices": ["running", "stopped", "paused", "suspended", "absent"]},
}
# At the top only: an item of the list that does not set an option has the value of the top.
DEFAULTS = {
    "vcpus": 1,
    "memory_mb": 512,
    "image_format": "qcow2",
    "disk_gb": 0,
    "virt_type": "qemu",
    "state": "running",
}


def main() -> None:
    """Run the module."""
    top = {key: {**option, "default": DEFAULTS.get(key)} for key, option in OPTIONS.items()}
    listed = {**OPTIONS, "name": {"type": "str", "required": True}}
    module = AnsibleModule(
        argument_spec={**top, "instances": {"type": "list", "elements": "dict", "options": listed}},
        mutually_exclusive=[["name", "instances"]],
        required_one_of=[["name", "instances"]],
        supports_check_mode=True,
    )
    sections: list[tuple[dict[str, Any], dict[str, Any]]] = [({}, {}), ({}, {}), ({}, {}), ({}, {})]
    for item in _items(module):
        for (present, absent), records in zip(sections, _records(item), strict=True):
            (absent if item["state"] == "absent" else present).update({record.name: record for record in records})
    subsystems = (LinkSubsystem(), OvsPortSubsystem(), DiskSubsystem(), DomainSubsystem())
    steps: list[Step] = [(subsystem, *section) for subsystem, section in zip(subsystems, sections, strict=True)]
    if sections[2][1] and days_of_rule() is None:  # a disk is removed, and no rule deletes it later
        steps.insert(0, (RetentionSubsystem(), {RULE_NAME: Retention(RULE_NAME)}, {}))
    finish(module, steps)


def _items(module: AnsibleModule) -> list[dict[str, Any]]:
    """The one guest, or the listed guests; an option at the top applies to every guest that does not set it."""
    top = {key: value for key, value in module.params.items() if value is not None and key != "instances"}
    listed = module.params["instances"]
    if listed is None:
        return [top]
    return [{**top, **{key: value for key, value in guest.items() if value is not None}} for guest in listed]


def _records(item: dict[str, Any]) -> tuple[list[Link], list[OvsPort], list[Disk], list[Domain]]:
    """The guest's links, ports, disk and domain. A guest without an image has no disk record, so its disk stays."""
    identity = item.get("uuid") or str(uuid5(NAMESPACE_URL, f"headworks/instance/{item['name']}"))
    nics = [_nic(identity, position, nic) for position, nic in enumerate(item.get("nics", ()))]
    links = [Link(nic["tap"], "tap", mtu=nic["mtu"]) for nic in nics]
    ports = [
        OvsPort(
            nic["tap"],
            nic["bridge"],
            tag=nic.get("tag"),
            external_ids={"iface-id": nic["id"], "attached-mac": nic["mac"], "vm-uuid": identity},
        )
        for nic in nics
        if nic.get("bridge")
    ]
    disk = Disk(identity, item["name"], item.get("image", ""), item["image_format"], item["disk_gb"])
    domain = Domain(
        identity,
        item.get("domain", f"instance-{identity[:8]}"),
        item["name"],
        item["vcpus"],
        item["memory_mb"],
        (DomainDisk(root_disk(identity), ROOT_TARGET),),
        state=item["state"],
        virt_type=item["virt_type"],
        nics=tuple(Nic(nic["tap"], nic["mac"], nic["mtu"], nic["offload"]) for nic in nics),
        console_log=console_log(identity),
        protected=item.get("protected"),
    )
    wants_disk = item["state"] == "absent" or disk.base
    return links, ports, [disk] if wants_disk else [], [domain]


def _nic(identity: str, position: int, given: dict[str, Any]) -> dict[str, Any]:
    """The NIC's options. Omitted names and addresses are derived from the guest's UUID and the NIC's position, so they
    are the same in every run."""
    port = str(uuid5(NAMESPACE_URL, f"{identity}/nic/{position}"))
    digits = port.replace("-", "")
    derived = {"id": port, "tap": f"tap{port[:11]}", "mac": f"fa:16:3e:{digits[0:2]}:{digits[2:4]}:{digits[4:6]}"}
    return derived | {key: value for key, value in given.items() if value is not None}


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Guests in a playbook of one's own: disk, taps, ports and domain. The work is done in module_utils/headworks/node.
"""Ansible module: libvirt guests."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance
short_description: libvirt guests with their disks and taps
description:
  - Defines guests, makes their overlay disks and taps, plugs the taps into Open vSwitch, and brings them to a state.
  - A guest is compared by meaning and changed live where libvirt can; it is never destroyed to be changed. What needs a
    restart is told in RV(notes). An existing disk is never made anew.
  - Takes one guest, or a list of them under O(instances); all go through one libvirt connection.
options:
  name:
    description: Name of the guest; its libvirt title, and the source of its UUID when O(uuid) is not given.
    type: str
  uuid:
    description: UUID of the guest.
    type: str
  domain:
    description: libvirt's name of the guest (default C(instance-) and the first eight digits of the UUID).
    type: str
  vcpus:
    description: Number of virtual processors (default 1).
    type: int
  memory_mb:
    description: Memory in MiB (default 512).
    type: int
  image:
    description:
      - File name of the base image in C(/var/lib/headworks/images/_base/), as M(instance_image) puts it there (the
        digest). Required for a new guest.
    type: str
  image_format:
    description: Format of the base image (default C(qcow2)).
    type: str
    choices: [qcow2, raw]
  disk_gb:
    description: Size of the root disk in GiB; 0 (the default) is the image's own size.
    type: int
  virt_type:
    description: C(kvm), or C(qemu) for emulation (the default).
    type: str
    choices: [kvm, qemu]
  nics:
    description: The guest's network cards, in order.
    type: list
    elements: dict
    suboptions:
      tap: {description: "Name of the tap (default C(tap) and 11 characters from the UUID).", type: str}
      mac: {description: "MAC address (default derived from the UUID, C(fa:16:3e:…)).", type: str}
      bridge: {description: Open vSwitch bridge to plug the tap into. Without it the tap is only made., type: str}
      tag: {description: Access VLAN on the bridge., type: int}
      mtu: {description: MTU in bytes., type: int, default: 1500}
      offload: {description: False switches checksum offloads off (userspace datapath)., type: bool, default: true}
  instances:
    description: Several guests in one call, each with the options above.
    type: list
    elements: dict
  state:
    description:
      - C(running) (the default), C(stopped), C(paused), or C(suspended) to disk.
      - C(absent) removes guest, disk, taps and ports. Guests without O(image) are those that are there already.
    type: str
    choices: [running, stopped, paused, suspended, absent]
attributes:
  check_mode: {support: full, description: Lists what would be made, changed or removed.}
  diff_mode: {support: full, description: Shows the records before and after.}
author: headworks
"""

EXAMPLES = r"""
- name: A guest on VLAN 5 of br-int
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
"""

RETURN = r"""
changes:
  description: What was (or would be) done, in order.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "domain", "name": "5b0f00a0-…", "verb": "add"}]
notes:
  description: For example a guest whose new memory size waits for its next start.
  returned: always
  type: list
  elements: str
"""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.modules.items import finish
from ansible.module_utils.headworks.node.compute.disks import DiskSubsystem
from ansible.module_utils.headworks.node.compute.domains import DomainSubsystem
from ansible.module_utils.headworks.node.links.links import LinkSubsystem
from ansible.module_utils.headworks.node.ovs.ports import OvsPortSubsystem
from ansible.module_utils.headworks.state.disks import Disk
from ansible.module_utils.headworks.state.domains import ROOT_TARGET, Domain, DomainDisk, Nic
from ansible.module_utils.headworks.state.links import Link
from ansible.module_utils.headworks.state.ovs import OvsPort
from ansible.module_utils.headworks.state.places import console_log, root_disk

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
    "state": {"type": "str", "choices": ["running", "stopped", "paused", "suspended", "absent"]},
}


def main() -> None:
    """Entry point."""
    listed = {**OPTIONS, "name": {"type": "str", "required": True}}
    module = AnsibleModule(
        argument_spec={**OPTIONS, "instances": {"type": "list", "elements": "dict", "options": listed}},
        mutually_exclusive=[["name", "instances"]],
        required_one_of=[["name", "instances"]],
        supports_check_mode=True,
    )
    sections: list[tuple[dict[str, Any], dict[str, Any]]] = [({}, {}), ({}, {}), ({}, {}), ({}, {})]
    for item in _items(module):
        for (present, absent), records in zip(sections, _records(item), strict=True):
            (absent if item["state"] == "absent" else present).update({one.name: one for one in records})
    subsystems = (LinkSubsystem(), OvsPortSubsystem(), DiskSubsystem(), DomainSubsystem())
    finish(module, [(one, *section) for one, section in zip(subsystems, sections, strict=True)])


def _items(module: AnsibleModule) -> list[dict[str, Any]]:
    """One guest, or the list; what is given at the top holds for every guest that does not say otherwise."""
    top = {key: value for key, value in module.params.items() if value is not None and key != "instances"}
    top.setdefault("state", "running")
    listed = module.params["instances"]
    if listed is None:
        return [top]
    return [{**top, **{key: value for key, value in one.items() if value is not None}} for one in listed]


def _records(item: dict[str, Any]) -> tuple[list[Link], list[OvsPort], list[Disk], list[Domain]]:
    """The guest's links, ports, disk and domain; no disk record for a guest that brings no image."""
    identity = item.get("uuid") or str(uuid5(NAMESPACE_URL, f"headworks/instance/{item['name']}"))
    nics = [_nic(identity, place, nic) for place, nic in enumerate(item.get("nics", ()))]
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
    image, image_format = item.get("image", ""), item.get("image_format", "qcow2")
    disk = Disk(identity, item["name"], image, image_format, item.get("disk_gb", 0))
    domain = Domain(
        identity,
        item.get("domain", f"instance-{identity[:8]}"),
        item["name"],
        item.get("vcpus", 1),
        item.get("memory_mb", 512),
        (DomainDisk(root_disk(identity), ROOT_TARGET),),
        state=item["state"],
        virt_type=item.get("virt_type", "qemu"),
        nics=tuple(Nic(nic["tap"], nic["mac"], nic["mtu"], nic["offload"]) for nic in nics),
        console_log=console_log(identity),
    )
    wants_disk = item["state"] == "absent" or disk.base
    return links, ports, [disk] if wants_disk else [], [domain]


def _nic(identity: str, place: int, given: dict[str, Any]) -> dict[str, Any]:
    """The NIC with what was not given derived from the guest's UUID and the NIC's place, so that it never moves."""
    port = str(uuid5(NAMESPACE_URL, f"{identity}/nic/{place}"))
    digits = port.replace("-", "")
    derived = {"id": port, "tap": f"tap{port[:11]}", "mac": f"fa:16:3e:{digits[0:2]}:{digits[2:4]}:{digits[4:6]}"}
    return derived | {key: value for key, value in given.items() if value is not None}


if __name__ == "__main__":
    main()

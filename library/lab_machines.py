#!/usr/bin/python
"""Ansible module: QEMU machines that stand for nodes with a kernel of their own. See headworks_lab/machines/."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_machines
short_description: QEMU machines that stand for nodes with a kernel of their own
version_added: "0.1.0"
description:
  - Makes a lab of machines on this host. Each is a QEMU machine with Debian's kernel, started from a common disk, with
    NICs on bridges in a network namespace of the lab. KVM is used where it runs ordinary kernels, emulation elsewhere.
  - Removes what an earlier lab of this name left (processes, namespaces, files) before it starts anything.
options:
  lab:
    description: Name of the lab. It is part of the name of the network namespace (C(headworks-LAB)) and of devices.
    type: str
    required: true
  state:
    description:
      - V(started) starts the lab as defined. A machine that is off, or whose definition has changed, is made again with
        a fresh disk.
      - V(restarted) cuts the power of the machines in O(only) and switches them on again. Their disks stay.
      - V(stopped) cuts the power of the machines in O(only).
      - V(absent) removes the lab and everything it made on this host, except caches.
    type: str
    choices: [started, restarted, stopped, absent]
    default: started
  networks:
    description: The lab's networks.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the network, up to four letters or digits.
        type: str
        required: true
      host:
        description: Addresses with prefix length of this host on the network.
        type: list
        elements: str
      outside:
        description:
          - Addresses with prefix length of a network namespace on the network, which plays the rest of the world.
        type: list
        elements: str
      dhcp:
        description: The first and the last address that a DHCP server in that namespace gives out.
        type: list
        elements: str
      router:
        description: The router that the DHCP server gives out.
        type: str
      prefix:
        description: An IPv6 prefix that the namespace announces for SLAAC.
        type: str
      mtu:
        description: MTU in bytes.
        type: int
  machines:
    description: The lab's machines.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Host name.
        type: str
        required: true
      address:
        description: Address at which the machine is reached by ssh. It should be on one of its NICs.
        type: str
        required: true
      vcpus:
        description: Number of processors.
        type: int
      memory_mb:
        description: Memory in MiB.
        type: int
      files:
        description: Further files, path to text, that the machine has before its first boot.
        type: dict
      units:
        description: Further systemd units that are enabled before the first boot.
        type: list
        elements: str
      nics:
        description: The machine's NICs.
        type: list
        elements: dict
        required: true
        suboptions:
          device:
            description: Name of the device in the machine, C(enp0s3) to C(enp0s29). It says the PCI slot.
            type: str
            required: true
          network:
            description: Name of the network.
            type: str
            required: true
          manager:
            description: Which part of the system configures the NIC. If omitted, nothing does.
            type: str
            choices: [networkd, ifupdown, netplan]
          methods:
            description: How the NIC gets its addresses. If omitted, V(static).
            type: list
            elements: str
            choices: [static, dhcp, slaac]
          addresses:
            description: Addresses with prefix length. With V(dhcp), the server gives the first of them.
            type: list
            elements: str
          gateway:
            description: The router of the default route that is configured with the static addresses.
            type: str
          mac:
            description: MAC of the NIC. If omitted, it is derived from the names.
            type: str
  only:
    description: Names of the machines that V(restarted) and V(stopped) apply to.
    type: list
    elements: str
    default: []
  image:
    description: Directory of the disk, kernel and initrd, as C(scripts/machine-image) prints it. V(started) needs it.
    type: path
  cache:
    description: Directory of images and state that are kept when the lab is removed.
    type: path
    required: true
  state_directory:
    description: Directory of files that are removed with the lab.
    type: path
    required: true
attributes:
  check_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: Start a lab of one machine
  lab_machines:
    lab: trial
    image: ~/.cache/headworks/machines/image-0123456789abcdef
    cache: ~/.cache/headworks
    state_directory: ~/.cache/headworks/lab/trial-state
    networks:
      - {name: mgmt, host: [10.93.0.1/24]}
    machines:
      - name: node1
        address: 10.93.0.11
        nics: [{device: enp0s16, network: mgmt, manager: networkd, addresses: [10.93.0.11/24], gateway: 10.93.0.1}]
"""

RETURN = r"""
created: {description: Machines created., type: list, elements: str, returned: success}
removed: {description: Machines and files removed., type: list, elements: str, returned: success}
restarted: {description: Machines restarted., type: list, elements: str, returned: success}
stopped: {description: Machines switched off., type: list, elements: str, returned: success}
seconds: {description: How long it took until all answered., type: float, returned: success}
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks_lab.definition import DefinitionError
from ansible.module_utils.headworks_lab.lifecycle import LabError, ensure_key, one_at_a_time
from ansible.module_utils.headworks_lab.machines import lifecycle
from ansible.module_utils.headworks_lab.machines.definition import Lab, parse

NETWORK_SPEC = {
    "name": {"type": "str", "required": True},
    "host": {"type": "list", "elements": "str"},
    "outside": {"type": "list", "elements": "str"},
    "dhcp": {"type": "list", "elements": "str"},
    "router": {"type": "str"},
    "prefix": {"type": "str"},
    "mtu": {"type": "int"},
}
NIC_SPEC = {
    "device": {"type": "str", "required": True},
    "network": {"type": "str", "required": True},
    "manager": {"type": "str", "choices": ["networkd", "ifupdown", "netplan"]},
    "methods": {"type": "list", "elements": "str", "choices": ["static", "dhcp", "slaac"]},
    "addresses": {"type": "list", "elements": "str"},
    "gateway": {"type": "str"},
    "mac": {"type": "str"},
}
MACHINE_SPEC = {
    "name": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "vcpus": {"type": "int"},
    "memory_mb": {"type": "int"},
    "files": {"type": "dict"},
    "units": {"type": "list", "elements": "str"},
    "nics": {"type": "list", "elements": "dict", "required": True, "options": NIC_SPEC},
}
SPEC: dict[str, Any] = {
    "lab": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["started", "restarted", "stopped", "absent"], "default": "started"},
    "networks": {"type": "list", "elements": "dict", "required": True, "options": NETWORK_SPEC},
    "machines": {"type": "list", "elements": "dict", "required": True, "options": MACHINE_SPEC},
    "only": {"type": "list", "elements": "str", "default": []},
    "image": {"type": "path"},
    "cache": {"type": "path", "required": True},
    "state_directory": {"type": "path", "required": True},
}


def run(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Bring the lab to the state that the parameters ask for. Returns what was done."""
    lab = parse(params["lab"], params["networks"], params["machines"])
    for name in params["only"]:
        lab.machine(name)
    place = lifecycle.Place(Path(params["state_directory"]), Path(params["image"] or "/nonexistent"))
    with one_at_a_time(Path(params["cache"]), lab.name):
        return _run(lab, place, params, check)


def _run(lab: Lab, place: lifecycle.Place, params: dict[str, Any], check: bool) -> dict[str, Any]:
    state, only = params["state"], params["only"]
    done: dict[str, Any] = {"created": [], "removed": [], "restarted": [], "stopped": [], "seconds": 0.0}
    if state in ("absent", "started"):
        if state == "absent":
            report = lifecycle.remove(lab, place, check=check)
        else:
            report = lifecycle.start(lab, place, ensure_key(place.state), check=check)
        return {
            **done, "created": report.created, "removed": report.removed, "seconds": report.seconds,
            "changed": report.changed,
        }  # fmt: skip
    if not check:
        lab, place = lifecycle.open_lab(place.state)
        for name in only:
            lifecycle.power_cut(lab, place, name)
        if state == "restarted":
            for name in only:
                lifecycle.power_on(lab, place, name)
            done["seconds"] = max((lifecycle.wait_ready(lab, place, name) for name in only), default=0.0)
    return {**done, state: only, "changed": bool(only)}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(SPEC, supports_check_mode=True)
    try:
        result = run(module.params, module.check_mode)
    except (DefinitionError, LabError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: systemd containers that stand for machines. The work is done in headworks_lab/."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_nodes
short_description: systemd containers that stand for machines
version_added: "0.1.0"
description:
  - Makes a lab of nodes on this machine. Each node is a systemd container with fixed addresses on bridges of the lab,
    and is reached by ssh.
  - Calls podman through the wrapper O(podman), with a store of the lab's own. Other containers and networks are not
    changed.
  - Removes what an earlier lab left (dead containers, bridges, state of a previous boot) before it starts anything.
options:
  lab:
    description:
      - Name of the lab. It is part of the names of containers (C(headworks-LAB-NODE)) and of bridges
        (C(hw-LAB-NETWORK)).
    type: str
    required: true
  state:
    description:
      - V(started) starts the lab as defined. A node whose definition has changed is recreated.
      - V(restarted) reboots the nodes in O(only). Their kernel objects are lost, their disks and addresses are kept. A
        node that is off is started.
      - V(stopped) switches off the nodes in O(only).
      - V(absent) removes the lab and everything it made on the machine, except caches.
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
      subnet:
        description: The network's CIDR. If omitted, the network is a bridge on which this machine has no address.
        type: str
      nat:
        description: Whether nodes reach what this machine reaches.
        type: bool
        default: false
      mtu:
        description: MTU in bytes. If omitted, the uplink's MTU if O(networks[].nat) is true, otherwise 1500.
        type: int
  nodes:
    description: The lab's nodes.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Host name.
        type: str
        required: true
      image:
        description: A key of O(images), or the name of an image in the lab's store.
        type: str
        required: true
      addresses:
        description: Further addresses with prefix length, set on C(lo).
        type: list
        elements: str
        default: []
      interfaces:
        description: Network cards. The node is reached at the address of the first one.
        type: list
        elements: dict
        required: true
        suboptions:
          device:
            description: Name of the device in the node.
            type: str
            required: true
          network:
            description: Name of the network.
            type: str
            required: true
          address:
            description:
              - The address; without prefix length on a network with a subnet, with prefix length on other networks. If
                omitted, the card has no address.
            type: str
          tx_checksum:
            description:
              - Whether the card may leave checksums to be filled in later. Must be V(false) for a card that a userspace
                datapath uses.
            type: bool
            default: true
  images:
    description: Names of images in the lab's store, by kind, as C(scripts/node-image) prints them.
    type: dict
    default: {}
  only:
    description: Names of the nodes that V(restarted) and V(stopped) apply to.
    type: list
    elements: str
    default: []
  orderly:
    description: Whether nodes are shut down before a restart or stop. Otherwise it is like a power cut.
    type: bool
    default: false
  podman:
    description: Path of the wrapper around podman.
    type: path
    required: true
  cache:
    description: Directory of images and state that are kept when the lab is removed.
    type: path
    required: true
  state_directory:
    description: Directory of files that are removed with the lab (the ssh key C(id_ed25519)).
    type: path
    required: true
attributes:
  check_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: Start a lab of one node
  lab_nodes:
    lab: demo
    podman: scripts/podman
    cache: ~/.cache/headworks
    state_directory: ~/.cache/headworks/lab/demo
    networks:
      - {name: mgmt, subnet: 10.91.0.0/24, nat: true}
    nodes:
      - name: network1
        image: localhost/headworks-node-warm:0123456789abcdef
        interfaces: [{device: eth0, network: mgmt, address: 10.91.0.11}]

- name: Cut the power of network1 and switch it on again
  lab_nodes: "{{ lab_definition | combine({'state': 'restarted', 'only': ['network1']}) }}"
"""

RETURN = r"""
created: {description: Containers created., type: list, elements: str, returned: success}
removed: {description: Containers and networks removed., type: list, elements: str, returned: success}
restarted: {description: Containers restarted., type: list, elements: str, returned: success}
stopped: {description: Containers stopped., type: list, elements: str, returned: success}
broken_store: {description: Whether podman could not read its own state., type: bool, returned: failure}
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks_lab import lifecycle as converge
from ansible.module_utils.headworks_lab.definition import DefinitionError, Lab, parse
from ansible.module_utils.headworks_lab.podman import Podman, PodmanError

NETWORK_SPEC = {
    "name": {"type": "str", "required": True},
    "subnet": {"type": "str"},
    "nat": {"type": "bool", "default": False},
    "mtu": {"type": "int"},
}
INTERFACE_SPEC = {
    "device": {"type": "str", "required": True},
    "network": {"type": "str", "required": True},
    "address": {"type": "str"},
    "tx_checksum": {"type": "bool", "default": True},
}
NODE_SPEC = {
    "name": {"type": "str", "required": True},
    "image": {"type": "str", "required": True},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "interfaces": {"type": "list", "elements": "dict", "required": True, "options": INTERFACE_SPEC},
}
SPEC: dict[str, Any] = {
    "lab": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["started", "restarted", "stopped", "absent"], "default": "started"},
    "networks": {"type": "list", "elements": "dict", "required": True, "options": NETWORK_SPEC},
    "nodes": {"type": "list", "elements": "dict", "required": True, "options": NODE_SPEC},
    "images": {"type": "dict", "default": {}},
    "only": {"type": "list", "elements": "str", "default": []},
    "orderly": {"type": "bool", "default": False},
    "podman": {"type": "path", "required": True},
    "cache": {"type": "path", "required": True},
    "state_directory": {"type": "path", "required": True},
}


def run(params: dict[str, Any], check: bool) -> converge.Report:
    """Bring the lab to the state that the parameters ask for. Returns what was done."""
    nodes = [{**node, "image": params["images"].get(node["image"], node["image"])} for node in params["nodes"]]
    lab = parse(params["lab"], params["networks"], nodes)
    podman = Podman(Path(params["podman"]), Path(params["cache"]))
    with converge.one_at_a_time(Path(params["cache"]), lab.name):
        return _run(lab, podman, params, check)


def _run(lab: Lab, podman: Podman, params: dict[str, Any], check: bool) -> converge.Report:
    state, only = params["state"], _chosen(lab, params["only"])
    if state == "absent":
        return converge.remove(lab, podman, Path(params["state_directory"]), check=check)
    if state == "started":
        return converge.start(lab, podman, converge.ensure_key(Path(params["state_directory"])), check=check)
    if check:
        return converge.Report(**{state: [lab.container(name) for name in only]})
    act = converge.restart if state == "restarted" else converge.stop
    return act(lab, podman, Path(params["state_directory"]), only, orderly=params["orderly"])


def _chosen(lab: Lab, only: list[str]) -> list[str]:
    unknown = set(only) - {node.name for node in lab.nodes}
    if unknown:
        raise DefinitionError(f"only: {', '.join(sorted(unknown))}: no such node in the lab")
    return only


def main() -> None:
    """Run the module."""
    module = AnsibleModule(SPEC, supports_check_mode=True)
    try:
        report = run(module.params, module.check_mode)
    except (DefinitionError, converge.LabError, PodmanError) as error:
        module.fail_json(msg=str(error), broken_store=isinstance(error, converge.BrokenStore))
    module.exit_json(changed=report.changed, **asdict(report))


if __name__ == "__main__":
    main()

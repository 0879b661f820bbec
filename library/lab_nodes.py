#!/usr/bin/python
"""Ansible module: systemd containers that stand for machines. What it does is in module_utils/headworks/lab."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_nodes
short_description: Systemd containers that stand for machines
description:
  - Makes a lab of nodes on this machine, each a systemd container reached by ssh, with fixed addresses on bridges that
    belong to the lab.
  - It talks to podman through the wrapper I(podman), in a store of the lab's own; other containers and networks are not
    touched.
  - What an earlier lab left (dead containers, bridges, state of a previous boot) is cleared before anything is started.
options:
  lab:
    description: Name of the lab; part of the names of containers (C(headworks-<lab>-<node>)) and bridges
      (C(hw-<lab>-<network>)).
    type: str
    required: true
  state:
    description:
      - C(started) makes the lab run as defined; nodes that are not as defined any more are made anew.
      - C(restarted) reboots the nodes of I(only). Kernel objects are gone, disks and addresses stay. A node that is
        off is switched on.
      - C(stopped) switches the nodes of I(only) off.
      - C(absent) removes the lab with all its traces on the machine, except caches.
    type: str
    choices: [started, restarted, stopped, absent]
    default: started
  networks:
    description: The lab's networks.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: "Up to four letters or digits.", type: str, required: true}
      subnet: {description: "CIDR. Without it the network is a bare wire, without this machine.", type: str}
      nat: {description: "Whether nodes reach what this machine reaches.", type: bool, default: false}
      mtu: {description: "Default: the uplink's MTU with I(nat), otherwise 1500.", type: int}
  nodes:
    description: The lab's nodes.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: "Host name.", type: str, required: true}
      image: {description: "A key of I(images), or an image in the lab's store.", type: str, required: true}
      addresses: {description: "More addresses with prefix length, set on lo.", type: list, elements: str, default: []}
      interfaces:
        description: NICs. The node is reached at the address of the first.
        type: list
        elements: dict
        required: true
        suboptions:
          device: {description: "Name in the node.", type: str, required: true}
          network: {description: "Name of the network.", type: str, required: true}
          address: {description: "Plain where there is a subnet; else with prefix length, or none.", type: str}
          tx_checksum:
            description: Whether checksums may be left to be filled in later, which userspace datapaths cannot do.
            type: bool
            default: true
  images:
    description: Names of images in the lab's store by flavour, as scripts/node-image prints them.
    type: dict
    default: {}
  only:
    description: Names of the nodes that C(restarted) and C(stopped) are about.
    type: list
    elements: str
    default: []
  orderly:
    description: Whether nodes are shut down properly before a restart or stop; if not, it is a power cut.
    type: bool
    default: false
  podman:
    description: Path of the wrapper.
    type: path
    required: true
  cache:
    description: Directory for images and state that survives the lab.
    type: path
    required: true
  state_directory:
    description: Directory for what lives as long as the lab (the ssh key C(id_ed25519)).
    type: path
    required: true
author: [headworks]
"""

EXAMPLES = r"""
- name: A lab of one node
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

- name: A power cut on network1
  lab_nodes: "{{ lab_definition | combine({'state': 'restarted', 'only': ['network1']}) }}"
"""

RETURN = r"""
created: {description: Containers made., type: list, returned: always}
removed: {description: Containers and networks removed., type: list, returned: always}
restarted: {description: Containers restarted., type: list, returned: always}
stopped: {description: Containers stopped., type: list, returned: always}
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
    """Do what the parameters ask for."""
    nodes = [{**node, "image": params["images"].get(node["image"], node["image"])} for node in params["nodes"]]
    lab = parse(params["lab"], params["networks"], nodes)
    podman = Podman(Path(params["podman"]), Path(params["cache"]))
    with converge.one_at_a_time(Path(params["cache"]), lab):
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
    """Entry point."""
    module = AnsibleModule(SPEC, supports_check_mode=True)
    try:
        report = run(module.params, module.check_mode)
    except (DefinitionError, converge.LabError, PodmanError) as error:
        module.fail_json(msg=str(error), broken_store=isinstance(error, converge.BrokenStore))
    module.exit_json(changed=report.changed, **asdict(report))


if __name__ == "__main__":
    main()

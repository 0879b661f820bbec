#!/usr/bin/python
"""Ansible module: read the named network namespaces of a node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: netns_info
short_description: Read the named network namespaces of a node
version_added: "0.1.0"
description:
  - Reads the named network namespaces of a node with their devices.
options:
  name:
    description: Name of a namespace. If omitted, all namespaces are returned.
    type: str
attributes:
  check_mode: {support: full, description: The module only reads.}
author: headworks
"""

EXAMPLES = r"""
- name: Read all namespaces
  netns_info:
  register: found
"""

RETURN = r"""
netns:
  description: The namespaces, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Name of the namespace., type: str, sample: blue}
    alive: {description: "False for a file in C(/run/netns) that is no longer a namespace.", type: bool}
    cloud: {description: The cloud that made the namespace; empty if none did., type: str}
    devices: {description: Names of the devices in the namespace., type: list, elements: str, sample: [lo]}
"""

import os
import socket

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.node.marks import MARKER_DIR
from ansible.module_utils.headworks.system.files import read_text
from ansible.module_utils.headworks.system.netns import NETNS_DIR, in_netns, is_namespace


def describe(name: str) -> dict[str, object]:
    """What the module returns about a namespace. ``cloud`` is the cloud that made it, or empty."""
    alive = is_namespace(name)
    devices: list[str] = []
    if alive:
        with in_netns(name):
            devices = sorted(device for _, device in socket.if_nameindex())
    return {"name": name, "alive": alive, "cloud": (read_text(MARKER_DIR / name) or "").strip(), "devices": devices}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={"name": {"type": "str"}}, supports_check_mode=True)
    wanted = module.params["name"]
    names = sorted(os.listdir(NETNS_DIR)) if NETNS_DIR.is_dir() else []
    module.exit_json(changed=False, netns=[describe(name) for name in names if wanted in (None, name)])


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: what network namespaces a node has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: netns_info
short_description: Named network namespaces of a node
description:
  - Reads the named network namespaces of a node with their devices, without changing anything.
options:
  name:
    description: One namespace; all of them if omitted.
    type: str
attributes:
  check_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: All namespaces
  netns_info:
  register: found
"""

RETURN = r"""
netns:
  description: The namespaces, by name. A file in C(/run/netns) that is no namespace (any more) is not alive.
  returned: success
  type: list
  elements: dict
  sample: [{name: blue, alive: true, cloud: "", devices: [lo]}]
"""

import os
import socket

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.node.marks import MARKER_DIR
from ansible.module_utils.headworks.system.files import read_text
from ansible.module_utils.headworks.system.netns import NETNS_DIR, in_netns, is_namespace


def describe(name: str) -> dict[str, object]:
    """One namespace; ``cloud`` is the one that made it."""
    alive = is_namespace(name)
    devices: list[str] = []
    if alive:
        with in_netns(name):
            devices = sorted(device for _, device in socket.if_nameindex())
    return {"name": name, "alive": alive, "cloud": (read_text(MARKER_DIR / name) or "").strip(), "devices": devices}


def main() -> None:
    """Ansible's entry."""
    module = AnsibleModule(argument_spec={"name": {"type": "str"}}, supports_check_mode=True)
    wanted = module.params["name"]
    names = sorted(os.listdir(NETNS_DIR)) if NETNS_DIR.is_dir() else []
    module.exit_json(changed=False, netns=[describe(name) for name in names if wanted in (None, name)])


if __name__ == "__main__":
    main()

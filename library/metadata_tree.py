#!/usr/bin/python
"""Ansible module: the metadata that instances read. The work is done in headworks/node/services/metadata/."""

from __future__ import annotations

DOCUMENTATION = r"""
module: metadata_tree
short_description: The metadata that instances read
version_added: "0.1.0"
description:
  - Makes the files that an instance reads at C(http://169.254.169.254/) and runs the nginx that serves them to the
    proxies of M(metadata_proxy). An instance is found by its network and its source address.
  - A tree is written completely and then replaces the old one in one step, so an instance never reads a mixture.
  - The content of files may be secret. It is readable only for root and nginx, and is in no log, diff or result.
options:
  address:
    description: The address from which the instance sends requests. Required, unless O(instances) is given.
    type: str
  network_id:
    description: The network's id, as given to M(metadata_proxy). Required here or in each of O(instances).
    type: str
  files: &files
    description:
      - Content by path. A path has no leading slash. Listings of directories are made from the paths; a path that ends
        in a slash replaces the listing of that directory.
    type: dict
  links: &links
    description: Directories that have the content of another directory, as C(directory), C(other directory).
    type: dict
  state: &state
    description:
      - V(present) serves the tree, V(absent) removes it. When the last tree of the node is removed, nginx is stopped.
        If omitted, V(present).
    type: str
    choices: [present, absent]
  instances:
    description: Several trees in one call. An option at the top applies to every tree that does not set it.
    type: list
    elements: dict
    suboptions:
      address:
        description: The address from which the instance sends requests.
        type: str
        required: true
      network_id:
        description: The network's id, as given to M(metadata_proxy).
        type: str
      files: *files
      links: *links
      state: *state
  nginx_user:
    description: The user that nginx runs as; the distribution's package creates it.
    type: str
    default: www-data
  nginx_group:
    description: The group of nginx. Only root and this group can read the trees.
    type: str
    default: www-data
  haproxy_group:
    description: The group of the proxies' haproxy. Only root and this group can send requests to nginx.
    type: str
    default: haproxy
attributes:
  check_mode: {support: full}
  diff_mode:
    support: full
    details: Shows paths, sizes and digests, never content.
requirements: [nginx, haproxy, systemd]
seealso:
  - module: metadata_proxy
author: headworks
"""

EXAMPLES = r"""
- name: Serve the metadata of vm1
  metadata_tree:
    network_id: internal
    address: 10.18.0.3
    files:
      2009-04-04/meta-data/instance-id: i-00000001
      2009-04-04/meta-data/hostname: vm1
      2009-04-04/meta-data/public-keys/: 0=ops
      2009-04-04/meta-data/public-keys/0/openssh-key: ssh-ed25519 AAAA ops
      2009-04-04/user-data: |
        #!/bin/sh
        echo hello
    links:
      latest: 2009-04-04

- name: Remove the metadata of vm1 and vm2
  metadata_tree:
    network_id: internal
    state: absent
    instances:
      - address: 10.18.0.3
      - address: 10.18.0.4
"""

RETURN = r"""
changes:
  description: The changes made, in order; in check mode, the changes that a run would make.
  returned: always
  type: list
  elements: dict
  sample: [{kind: metadata, name: internal/10.18.0.3, verb: add}]
notes:
  description: Messages for the operator.
  returned: always
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.headworks.modules.items import finish, item_module, items
from ansible.module_utils.headworks.node.services.metadata.served import ROOT, SERVER, MetadataSubsystem
from ansible.module_utils.headworks.node.services.metadata.server import Accounts
from ansible.module_utils.headworks.node.services.metadata.trees import read_links
from ansible.module_utils.headworks.state.metadata import InstanceMetadata

OPTIONS = {
    "address": {"type": "str"},
    "network_id": {"type": "str"},
    "files": {"type": "dict"},
    "links": {"type": "dict"},
}
COMMON = {
    "nginx_user": {"type": "str", "default": "www-data"},
    "nginx_group": {"type": "str", "default": "www-data"},
    "haproxy_group": {"type": "str", "default": "haproxy"},
}


def tree(item: dict[str, Any]) -> InstanceMetadata:
    """The record of an item. Content that YAML parsed as a number is converted to text."""
    files = {str(path): text if isinstance(text, str) else str(text) for path, text in item.get("files", {}).items()}
    return InstanceMetadata(item["network_id"], item["address"], "", files, item.get("links", {}))


def main() -> None:
    """Run the module."""
    # The arguments contain user data: "discreet" keeps them out of the node's log, "invocation" out of the result.
    module = item_module("instances", OPTIONS, key="address", common=COMMON, discreet=True)
    chosen: dict[str, dict[str, Any]] = {"present": {}, "absent": {}}
    for item in items(module, "instances", COMMON):
        if not item.get("network_id"):
            module.fail_json(msg=f"metadata_tree: network_id: is required for address {item['address']}", invocation={})
        chosen[item["state"]][f"{item['network_id']}/{item['address']}"] = tree(item)
    present, absent = chosen["present"], chosen["absent"]
    left = {f"{instance.network_id}/{instance.address}" for instance in read_links(ROOT)} - set(absent)
    if present:
        present[SERVER.name] = SERVER
    elif not left:
        absent[SERVER.name] = SERVER
    accounts = Accounts(**{name: module.params[name] for name in COMMON})
    finish(module, [(MetadataSubsystem(accounts=accounts), present, absent)], invocation={})


if __name__ == "__main__":
    main()

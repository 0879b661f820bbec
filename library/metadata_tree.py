#!/usr/bin/python
"""Ansible module: what instances read as their metadata."""

from __future__ import annotations

DOCUMENTATION = r"""
module: metadata_tree
short_description: What instances read as their metadata
description:
  - Makes the files that a guest reads at C(http://169.254.169.254/), found by its network and source address, and runs
    the nginx that serves them to the proxies of M(metadata_proxy).
  - A tree is built whole and then swapped in, so that a guest reads the old one or the new one, never a mixture.
  - File contents may be secrets. They are written for root and nginx alone, and appear in no log, diff or result.
options:
  address:
    description: The address that the guest's requests come from. Give this or O(instances).
    type: str
  network_id:
    description: The network's id, as the proxy knows it. Needed, here or in each of O(instances).
    type: str
  instances:
    description: A list of trees. Options given at the top hold for every one of them.
    type: list
    elements: dict
    suboptions:
      address:
        description: The address that the guest's requests come from.
        type: str
        required: true
      network_id:
        description: The network's id.
        type: str
      files:
        description: See O(files).
        type: dict
      links:
        description: See O(links).
        type: dict
      state:
        description: Whether there is a tree.
        type: str
        choices: [present, absent]
  files:
    description:
      - Path (without leading slash) to content. Listings of directories are made from the paths, a path that ends in a
        slash gives the listing of that directory instead.
    type: dict
  links:
    description: Directory to the directory that it equals.
    type: dict
  state:
    description:
      - Whether there is a tree (V(present), the default) or not. With the last tree of the node, nginx goes too.
    type: str
    choices: [present, absent]
attributes:
  check_mode: {support: full}
  diff_mode:
    support: full
    details: It shows paths, sizes and digests, never a content.
requirements: [nginx, haproxy, systemd]
seealso:
  - module: metadata_proxy
author: headworks
"""

EXAMPLES = r"""
- name: What vm1 reads
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

- name: vm1 and vm2 are gone
  metadata_tree:
    network_id: internal
    state: absent
    instances:
      - address: 10.18.0.3
      - address: 10.18.0.4
"""

RETURN = r"""
changes:
  description: What was (in check mode, would be) done, in order.
  returned: always
  type: list
  elements: dict
  sample: [{kind: metadata, name: internal/10.18.0.3, verb: add}]
notes:
  description: What a person should know besides.
  returned: always
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.headworks.modules.items import finish, item_module, items
from ansible.module_utils.headworks.node.services.metadata.served import ROOT, STORE, MetadataSubsystem
from ansible.module_utils.headworks.node.services.metadata.trees import read_links
from ansible.module_utils.headworks.state.metadata import InstanceMetadata

OPTIONS = {
    "address": {"type": "str"},
    "network_id": {"type": "str"},
    "files": {"type": "dict"},
    "links": {"type": "dict"},
}


def tree(item: dict[str, Any]) -> InstanceMetadata:
    """The record of an item; a content that YAML took for a number is text all the same."""
    files = {str(path): text if isinstance(text, str) else str(text) for path, text in item.get("files", {}).items()}
    return InstanceMetadata(item["network_id"], item["address"], "", files, item.get("links", {}))


def main() -> None:
    """Ansible's entry."""
    # no_log on the whole module keeps its arguments out of the node's log, an empty "invocation" out of the answer.
    module = item_module("instances", OPTIONS, key="address", no_log=True)
    chosen: dict[str, dict[str, Any]] = {"present": {}, "absent": {}}
    for item in items(module, "instances"):
        if not item.get("network_id"):
            module.fail_json(msg=f"metadata_tree: network_id: {item['address']} needs one", invocation={})
        chosen[item["state"]][f"{item['network_id']}/{item['address']}"] = tree(item)
    present, absent = chosen["present"], chosen["absent"]
    left = {f"{one.network_id}/{one.address}" for one in read_links(ROOT)} - set(absent)
    if present:
        present[STORE.name] = STORE
    elif not left:
        absent[STORE.name] = STORE
    finish(module, [(MetadataSubsystem(), present, absent)], invocation={})


if __name__ == "__main__":
    main()

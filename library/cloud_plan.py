"""Documentation of the action plugin plugins/action/cloud_plan.py, which runs on the control side."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_plan
short_description: Compile the inventory into one node state per node
version_added: "0.1.0"
description:
  - Validates the variables C(cloud_*), C(node_*) and C(instance_*) of the whole inventory. Bad input is refused with
    one line for each error, which names the inventory key, the value and the rule.
  - Allocates addresses, ids and places. What C(cloud_allocations_file) has from the last run stays; M(cloud_begin)
    writes the file.
  - Compares the allocations with what the nodes hold. Allocations that are older than a node's are refused, and lost
    ones are rebuilt from the nodes.
  - Refuses removals of instances that C(cloud_confirm_removal) has to confirm, and of protected instances.
  - Makes the plan, which M(cloud_begin) prints, and the node states, which M(cloud_converge) applies. The node states
    contain user data, so they are handed over in files that only their owner can read.
  - Runs on the control side and connects to no node. Use it with C(run_once) in a play on the nodes. It always reads
    the whole inventory, also with C(--limit).
  - A dictionary C(cloud_networks__NAME) is merged over C(cloud_networks), key by key, so that an inventory can add to
    the networks of another one. The same holds for every dictionary C(cloud_*).
options:
  validate_only:
    description: Only validate the inventory. Nothing is handed over, and removals need no confirmation.
    type: bool
    default: false
  summary:
    description: Also return RV(summary).
    type: bool
    default: false
  facts_variable:
    description: Name of the variable in which each node has the registered result of M(node_facts).
    type: str
    default: prechecks_facts
attributes:
  check_mode: {support: full, description: Does the same in check mode; it changes nothing.}
author: headworks
"""

EXAMPLES = r"""
- name: Make the plan
  cloud_plan:
  run_once: true
  register: plan

- name: Read the declared cloud without changing anything
  cloud_plan:
    validate_only: true
    summary: true
  run_once: true
  register: cloud
"""

RETURN = r"""
plan:
  description:
    - The changes of the cloud's objects, one line for each. The inventory is compared with the last run and with what
      the nodes hold.
  returned: success
  type: list
  elements: str
  sample: ["+ network internal (gre 1, 10.18.0.0/24)"]
allocations_file:
  description: Path of the allocations file.
  returned: success
  type: str
images:
  description: The images that the image store must have, each with C(name), C(checksum), C(url) and C(format).
  returned: success
  type: list
  elements: dict
image_files:
  description: Paths of the images that are files on the control side, by digest.
  returned: success
  type: dict
store:
  description: Name of the controller from whose image store the nodes fetch images.
  returned: success
  type: str
summary:
  description: The declared cloud with its addresses, ids and places. It contains no secrets.
  returned: when O(summary) is true
  type: dict
refused:
  description: Whether the inventory was refused. The message then has one line for each error.
  returned: failure
  type: bool
"""

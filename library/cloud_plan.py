# Documentation of plugins/action/cloud_plan.py, which runs on the control side only; nothing else is here.
"""Ansible module: documentation of action cloud_plan."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_plan
short_description: Compile the inventory into one node state per node
description:
  - Validates the variables C(cloud_*), C(node_*) and C(instance_*) of the whole inventory, gives out addresses, ids and
    places (kept in C(cloud_allocations_file)), shows what is declared differently from the last run, and makes the node
    states that M(cloud_converge) then applies.
  - Runs on the control side and connects to no node. Use it with C(run_once), in a play on the nodes, so that
    C(--limit) does not take it away. It always sees the whole inventory, whatever the limit.
  - Refuses bad input with one line for each reason, naming the inventory key, the value and the rule.
  - The node states go to M(cloud_converge) by way of files only their owner may read, for they hold user data.
  - C(cloud_networks__something) is merged over C(cloud_networks), entry by entry, and so for every dictionary, so that
    an inventory can add to what another declares.
options:
  validate_only:
    description: Only check the inventory (and answer); allocate, show and hand over nothing.
    type: bool
    default: false
  summary:
    description: Also return RV(summary).
    type: bool
    default: false
  facts_variable:
    description: Variable in which each node has the registered result of M(node_facts).
    type: str
    default: prechecks_facts
attributes:
  check_mode: {support: full, description: Plans and shows everything, and writes no allocations.}
author: headworks
"""

EXAMPLES = r"""
- name: Plan
  cloud_plan:
  run_once: true
  register: plan

- name: Look at the cloud
  cloud_plan:
    validate_only: true
    summary: true
  run_once: true
  register: cloud
"""

RETURN = r"""
plan:
  description: What is declared differently from the last run, one line each.
  returned: success
  type: list
  elements: str
  sample: ["+ network internal (gre 1, 10.18.0.0/24)"]
allocations_file:
  description: The allocations file in use.
  returned: success
  type: str
images:
  description: The images that the store has to have, each with C(name), C(checksum) and C(url).
  returned: success
  type: list
  elements: dict
image_files:
  description: Digest and path of the images that are files on the control side.
  returned: success
  type: dict
store:
  description: The controller whose store the nodes fetch images from.
  returned: success
  type: str
summary:
  description: The cloud as it is declared, with addresses, ids and places. No secrets.
  returned: when O(summary)
  type: dict
refused:
  description: The inventory is refused; RV(msg) has one line for each reason.
  returned: failure
  type: bool
"""

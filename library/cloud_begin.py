"""Documentation of the action plugin plugins/action/cloud_begin.py, which runs on the control side."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_begin
short_description: Show what a run is going to change, and begin the run
version_added: "0.1.0"
description:
  - Prints the plan that M(cloud_plan) made, and for each node the changes that the node itself told in the preview of
    M(cloud_converge). A group of many changes is one line; C(-v) prints them all.
  - Writes the allocations file. Its old content stays beside it with the ending C(.prev).
  - With C(cloud_plan_only), it writes no allocations, and M(cloud_converge) changes no node. C(ansible-playbook) then
    ends with exit code 0 if there is nothing to change, 2 if there is something, 1 if the run is refused or a node
    cannot tell all of its changes, and 4 if a node does not answer.
  - With C(cloud_plan_file), it writes the plan to this file as JSON.
  - With C(cloud_plan_saved), it refuses the run if its plan differs from the plan in this file.
  - Runs on the control side. Use it with C(run_once), after the preview.
options:
  more_variables:
    description: Names of variables in which nodes have results of other modules. Their C(changes) are part of the plan.
    type: list
    elements: str
    default: []
  masked_units:
    description: Units by package, which the run masks before it installs the package.
    type: dict
    default: {}
attributes:
  check_mode: {support: full, description: Prints everything, and writes no allocations.}
author: headworks
seealso:
  - module: cloud_plan
  - module: cloud_converge
"""

EXAMPLES = r"""
- name: Make the plan
  cloud_plan:
  run_once: true

- name: Ask each node what the run would change
  cloud_converge:
    preview: true
    distribution: "{{ distribution }}"

- name: Show the plan, and begin the run
  cloud_begin:
  run_once: true
"""

RETURN = r"""
planned:
  description: The plan.
  returned: always
  type: dict
  contains:
    cloud: {description: Name of the cloud., type: str}
    from: {description: "C(lineage), C(serial) and C(digest) of the allocations that the plan starts from.", type: dict}
    changes:
      description: The changes of the cloud's objects, each with C(sign), C(kind), C(name) and C(detail).
      type: list
      elements: dict
    removals:
      description: The instances that the run removes, each with C(name), C(id), C(node), C(disk_bytes) and more.
      type: list
      elements: dict
    nodes:
      description:
        - For each node its C(state) (known, failed, silent, or left out by C(--limit)), its C(changes) and C(notes).
        - Each change has C(kind), C(name) and C(verb).
      type: dict
changes_planned:
  description: Whether the run changes anything.
  returned: always
  type: bool
"""

"""Documentation of the action plugin plugins/action/demo_report.py, which runs on the control side."""

from __future__ import annotations

DOCUMENTATION = r"""
module: demo_report
short_description: Print a cloud and the results of the demonstration's checks
version_added: "0.1.0"
description:
  - Prints the cloud as a table, and below it one line for each check.
  - Besides the checks in O(answers), checks that each guest is in its declared state and has its DHCP lease.
  - Fails unless every check succeeded.
options:
  summary:
    description: The summary that M(cloud_plan) returned.
    type: dict
    required: true
  answers:
    description: The answers that M(guest_command) returned.
    type: list
    elements: dict
    required: true
  instances:
    description: The guests that M(instance_info) returned on all nodes.
    type: list
    elements: dict
    required: true
  leases:
    description: Lines of dnsmasq's lease files.
    type: str
    required: true
attributes:
  check_mode: {support: none}
author: headworks
"""

EXAMPLES = r"""
- name: Print the cloud and the results of the checks
  demo_report:
    summary: "{{ demo_cloud.summary }}"
    answers: "{{ demo_inside.answers }}"
    instances: "{{ demo_guests.instances }}"
    leases: "{{ demo_leases.stdout }}"
"""

RETURN = r"""
msg:
  description: Names of the checks that failed.
  returned: failure
  type: str
"""

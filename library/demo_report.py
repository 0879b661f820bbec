# Documentation of plugins/action/demo_report.py, which runs on the control side only; nothing else is here.
"""Ansible module: documentation of action demo_report."""

from __future__ import annotations

DOCUMENTATION = r"""
module: demo_report
short_description: Show a cloud and what was proved of it
description:
  - Prints the cloud as a table, and below it one line for each proof.
  - Fails unless every proof is good; each guest's state and lease are proofs as well.
options:
  summary:
    description: The summary that M(cloud_plan) returns.
    type: dict
    required: true
  answers:
    description: Answers of M(guest_command).
    type: list
    elements: dict
    required: true
  instances:
    description: What M(instance_info) returned on all nodes.
    type: list
    elements: dict
    required: true
  leases:
    description: Lines of dnsmasq's lease files.
    type: str
    required: true
author: headworks
"""

EXAMPLES = r"""
- name: Show the cloud and the proofs
  demo_report:
    summary: "{{ demo_cloud.summary }}"
    answers: "{{ demo_inside.answers }}"
    instances: "{{ demo_guests.instances }}"
    leases: "{{ demo_leases.stdout }}"
"""

RETURN = r""" # """

# Documentation of plugins/action/cloud_converge.py, which calls the module node_state; nothing else is here.
"""Ansible module: documentation of action cloud_converge."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_converge
short_description: Converge a node to what cloud_plan made for it
description:
  - Calls M(node_state) on the node with the state that M(cloud_plan) made for it earlier in the same run.
  - Returns what M(node_state) returns, without the arguments, which hold user data.
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: headworks
"""

EXAMPLES = r"""
- name: Converge the node to its state
  cloud_converge:
"""

RETURN = r"""
changes:
  description: Every change in the order it is, or in check mode would be, made.
  returned: always
  type: list
  elements: dict
notes:
  description: What a person should know, for example a guest whose new memory size waits for its next start.
  returned: always
  type: list
  elements: str
"""

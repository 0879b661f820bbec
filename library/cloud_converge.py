"""Documentation of the action plugin plugins/action/cloud_converge.py, which calls module node_state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_converge
short_description: Converge a node to the state that cloud_plan made for it
version_added: "0.1.0"
description:
  - Calls M(node_state) on the node with the state that M(cloud_plan) made for it earlier in the same run.
  - If a NIC that carries the connection to the node was moved into a bridge, calls M(underlay_confirm) over a new
    connection.
  - Returns what M(node_state) returns, without the module's arguments, because they contain user data.
options: {}
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
  description: The changes made, in order; in check mode, the changes that a run would make.
  returned: always
  type: list
  elements: dict
  sample: [{kind: link, name: tap0d1c2b3a-44, verb: add}]
notes:
  description: Messages for the operator, for example that a guest needs a restart to get its new memory size.
  returned: always
  type: list
  elements: str
"""

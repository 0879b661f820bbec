#!/usr/bin/python
"""Ansible module: converge a node to its node state. The work is done in headworks/engine/doors.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_state
short_description: Converge a whole node to a node state
version_added: "0.1.0"
description:
  - Reads the node, computes the difference to O(state) and applies it in one batch per subsystem (links, OVSDB,
    OpenFlow, nftables, DHCP, metadata, images, disks, domains). Then reads again what it changed.
  - Removes what headworks made and O(state) no longer has. Never changes what headworks did not make.
  - Removes a guest only if the key C(removals) of O(state) has its uuid. If O(state) lacks a guest that is not in this
    list, or a protected guest, the module fails and changes nothing; so it does in check mode.
  - Keeps the node state on the node, in a file with mode 0600. C(headworks-restore.service) restores it at boot.
  - C(site.yml) calls this module through M(cloud_converge), with the node states that M(cloud_plan) made.
options:
  state:
    description:
      - The node state. docs/how-it-works.md explains its form. It may contain user data, so it is never logged.
    type: dict
    required: true
  accept_older:
    description:
      - The node keeps the node state of its last run. Without this option, it refuses a node state of another cloud,
        with another C(lineage), or with a lower C(serial).
    type: bool
    default: false
  preview:
    description: Only return the changes, as in check mode. M(cloud_converge) uses it to print the plan of a run.
    type: bool
    default: false
  pause:
    description:
      - End early after a NIC has moved into its bridge, or out of it, and return RV(paused). The caller confirms the
        move with M(underlay_confirm), over a new connection, and then calls this module again. M(cloud_converge) does.
      - Without this option the whole state is converged first. The move must still be confirmed in time; otherwise the
        node takes it back.
    type: bool
    default: false
attributes:
  check_mode: {support: full, description: Returns exactly the changes that a run would make.}
  diff_mode: {support: full, description: "Shows every object before and after the change, but never user data."}
author: headworks
seealso:
  - module: cloud_plan
  - module: cloud_converge
"""

EXAMPLES = r"""
- name: Converge the node to a node state in a file of the control node
  node_state:
    state: "{{ lookup('ansible.builtin.file', 'states/' ~ inventory_hostname ~ '.json') | from_json }}"
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
effects:
  description:
    - What the changes bring about for those who use the objects, as data; RV(notes) has the same texts.
    - The key C(effect) is V(restart) for what takes effect at the next start of a guest, V(outage) for what stops
      working, and V(loss) for what is lost for good.
  returned: always
  type: list
  elements: dict
  sample:
    - {kind: domain, name: 6f1f5a3e-58f1-5d42-a2a1-55f4f4f1a001, effect: outage, text: "instance vm1: it is shut down"}
failures:
  description:
    - What is not as declared at the end of the run, each with C(kind), C(name) and C(text). C(name) is empty for a
      subsystem that failed as a whole. Everything else was done.
  returned: always
  type: list
  elements: dict
  sample: [{kind: nic, name: eth2, text: "nic eth2: this node has no such interface"}]
refused:
  description: Whether nothing was applied, because the run would change what is not ours or remove what it must not.
  returned: failure
  type: bool
paused:
  description: Whether the run ended early, because a change must be confirmed before it goes on.
  returned: success
  type: bool
kept:
  description: Whether the node kept exactly this node state already, before the run.
  returned: success
  type: bool
"""

import gc

gc.disable()  # a run is short and creates little garbage; without the collector it starts faster

from dataclasses import asdict
from typing import Any

from ansible.module_utils.headworks.engine import command_line  # noqa: F401  (headworks-restore.service runs it)
from ansible.module_utils.headworks.engine.doors import LockError, converge_document
from ansible.module_utils.headworks.engine.result import ConvergeError, Result
from ansible.module_utils.headworks.modules.items import DiscreetModule, fail, failures, succeed
from ansible.module_utils.headworks.node.underlay.config import ifup  # noqa: F401  (a hook of ifupdown runs it)


def confirmations(result: Result) -> list[dict[str, str]]:
    """The confirmations that a run waits for. A run that failed afterwards waits for them, too."""
    return [asdict(confirmation) for confirmation in result.confirmations]


def effects(result: Result) -> list[dict[str, Any]]:
    """What the changes bring about for those who use the objects; in check mode, what they would."""
    return [
        {"kind": note.kind, "name": note.name, "effect": note.effect.value, "text": note.text}
        for note in result.notes
        if note.effect is not None
    ]


def main() -> None:
    """Run the module."""
    flag = {"type": "bool", "default": False}
    options = {"state": {"type": "dict", "required": True}, "accept_older": flag, "preview": flag, "pause": flag}
    module = DiscreetModule(argument_spec=options, supports_check_mode=True)
    check = module.check_mode or module.params["preview"]
    try:
        flags = {name: module.params[name] for name in ("accept_older", "pause")}
        result = converge_document(module.params["state"], check=check, **flags)
    except ConvergeError as error:
        result = error.result
        fail(module, error, confirmations=confirmations(result), effects=effects(result), invocation={})
    except (LockError, OSError, ValueError) as error:
        module.fail_json(msg=f"node_state: {error}", invocation={})
    succeed(
        module,
        result,
        confirmations=confirmations(result),
        effects=effects(result),
        failures=failures(result),
        paused=result.paused,
        kept=result.kept,
        invocation={},
    )


if __name__ == "__main__":
    main()

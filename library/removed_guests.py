#!/usr/bin/python
"""Ansible module: list, restore and reclaim removed guests. The work is done in headworks/node/compute/removed.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: removed_guests
short_description: List, restore and reclaim removed guests of a node
version_added: "0.1.0"
description:
  - A removed guest is kept in C(/var/lib/headworks/removed) with its disk, console log and definition, until
    systemd-tmpfiles deletes it. This module lists such guests, and brings them back or deletes them at once.
  - A guest that is in the inventory again comes back in the next run of C(site.yml), also without this module. A guest
    that this module brings back has its files again, but no domain. Put it into the inventory and run C(site.yml).
  - A guest is named by its inventory name, its UUID, or the name of its directory (C(UUID.TIME)).
options:
  restore:
    description:
      - Guests to bring back. If a guest was removed several times, the newest directory comes back.
      - The module fails, and brings back no guest of the call, if one is unknown, has a directory again, or is half
        deleted.
    type: list
    elements: str
  reclaim:
    description: Guests to delete. All directories of these guests are deleted, or the named directory alone.
    type: list
    elements: str
  all:
    description: Whether to delete all removed guests of the node.
    type: bool
    default: false
attributes:
  check_mode: {support: full, description: Returns the changes that a run would make.}
  diff_mode: {support: full, description: Shows which removed guests the node keeps before and after the change.}
author: headworks
seealso:
  - module: instance
"""

EXAMPLES = r"""
- name: List the removed guests of a node
  removed_guests:
  register: kept

- name: Bring a guest back
  removed_guests:
    restore: web03

- name: Delete what is left of two guests
  removed_guests:
    reclaim: [web03, 0cb1dc1d-5fc3-5fe6-ad29-93ab7bf8d16d]

- name: Delete what is left of all removed guests
  removed_guests:
    all: true
"""

RETURN = r"""
removed:
  description: The removed guests that the node keeps after the call, the oldest first; in check mode, before it.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Inventory name of the guest; empty if it is not known any more., type: str, sample: web03}
    uuid: {description: UUID of the guest., type: str}
    cloud: {description: Name of its cloud., type: str}
    directory: {description: Path of what is left of it., type: str}
    bytes: {description: How much its files occupy., type: int}
    removed: {description: When it was removed (UTC)., type: str, sample: "2026-11-21 19:04"}
    kept_until: {description: When systemd-tmpfiles deletes it at the earliest (UTC)., type: str}
    missing: {description: Files that are deleted already. The guest can come back if there are none., type: list}
changes:
  description: The changes made; in check mode, the changes that a run would make.
  returned: always
  type: list
  elements: dict
  sample: [{kind: removed guest, name: web03, verb: restore}]
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.headworks.engine.doors import LockError, converge_lock
from ansible.module_utils.headworks.node.compute import removed as kept
from ansible.module_utils.headworks.node.compute.directories import make_directory, tidy
from ansible.module_utils.headworks.node.compute.removed import Removed
from ansible.module_utils.headworks.node.compute.rule import days_of_rule
from ansible.module_utils.headworks.state.places import INSTANCES_DIR

INSTANCES = Path(INSTANCES_DIR)
KIND = "removed guest"


def main() -> None:
    """Run the module."""
    names = {"type": "list", "elements": "str"}
    module = AnsibleModule(
        argument_spec={"restore": names, "reclaim": names, "all": {"type": "bool", "default": False}},
        mutually_exclusive=[["restore", "reclaim"]],
        supports_check_mode=True,
    )
    if module.params["all"] and (module.params["restore"] or module.params["reclaim"]):
        module.fail_json(msg="removed_guests.all: it deletes all removed guests, so give neither restore nor reclaim")
    try:
        with converge_lock(check=module.check_mode):
            module.exit_json(**_run(module.params, module.check_mode, module._diff))
    except (LockError, kept.RemovedError, OSError) as error:
        module.fail_json(msg=f"removed_guests: {error}", changes=[])


def _run(params: dict[str, Any], check: bool, diff: bool) -> dict[str, Any]:
    """Make the changes, and return the module's result."""
    before = kept.list_removed()
    back = kept.select_newest(before, params["restore"] or ())
    for guest in back:
        kept.refuse_return(guest, INSTANCES)
    gone = before if params["all"] else kept.select(before, params["reclaim"] or ())
    if not check:
        for guest in back:
            make_directory(INSTANCES)
            kept.bring_back(guest, INSTANCES)
            tidy(INSTANCES / guest.name)
        for guest in gone:
            kept.reclaim(guest)
        if gone:
            kept.reclaim_leftovers(kept.REMOVED_DIR)
    after = [guest for guest in before if guest not in [*back, *gone]]
    changes = [
        *({"kind": KIND, "name": guest.title or guest.name, "verb": "restore"} for guest in back),
        *({"kind": KIND, "name": guest.title or guest.name, "verb": "reclaim"} for guest in gone),
    ]
    result = {"changed": bool(changes), "changes": changes, "removed": _described(before if check else after)}
    if diff:
        result["diff"] = {"before": _lines(before), "after": _lines(after)}
    return result


def _described(guests: Sequence[Removed]) -> list[dict[str, Any]]:
    days = days_of_rule()
    return [
        {
            "name": guest.title,
            "uuid": guest.name,
            "cloud": guest.cloud,
            "directory": str(guest.directory),
            "bytes": kept.occupied(guest.directory),
            "removed": _moment(guest.time),
            "kept_until": _moment(guest.until(days)),
            "missing": list(guest.missing),
        }
        for guest in guests
    ]


def _moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


def _lines(guests: Sequence[Removed]) -> str:
    return "".join(f"{guest.title or '?'} {guest.directory}\n" for guest in guests)


if __name__ == "__main__":
    main()

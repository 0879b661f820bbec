"""The changes that the result of a task reports, in the same form for every module. Pure.

The modules of headworks list their changes (``changes``). For Ansible's builtin modules that install packages and start
services, the changes are derived from the arguments. What does not belong here: counting and showing changes
(``verdict.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Change = dict[str, str]


def task_changes(action: str, result: Mapping[str, Any]) -> list[Change]:
    """``{"kind", "name", "verb"}`` of each change that a task made, or in check mode would make.

    :param action: the task's action as written in the playbook: ``ansible.builtin.package`` or ``package``.
    :param result: the task's result; the result of a loop has a list ``results``.
    """
    if not result.get("changed"):
        return []
    if "results" in result:
        return [change for item in result["results"] for change in task_changes(action, item)]
    if "changes" in result:
        return [dict(change) for change in result["changes"]]
    arguments = result.get("invocation", {}).get("module_args", {})
    match action.removeprefix("ansible.builtin."):
        case "package":
            return _changes("package", arguments.get("name"), "remove" if arguments.get("state") == "absent" else "add")
        case "systemd_service" if arguments.get("masked"):
            return _changes("masked_unit", arguments.get("name"), "add")
        case "systemd_service":
            return _changes("service", arguments.get("name"), "change")
    return []


def _changes(kind: str, names: str | Iterable[str] | None, verb: str) -> list[Change]:
    """A change for each name; none for a task without a name (``daemon_reload``)."""
    listed = [names] if isinstance(names, str) else names or ()
    return [{"kind": kind, "name": name, "verb": verb} for name in listed]

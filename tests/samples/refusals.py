"""S1 with one thing wrong, and what is said about it: the tools of the tests of bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headworks.model.errors import PlanError
from headworks.plan.resolve import resolve
from inventories import facts_of, s1

Cloud = dict[str, Any]
Change = Callable[[Cloud], object]


def messages_about(change: Change, **options: Any) -> list[str]:
    """What is said about S1 with a change; facts are those of the inventory before it."""
    inventory = s1()
    facts = facts_of(inventory)
    change(inventory)
    try:
        resolve(inventory, None, facts, **options)
    except PlanError as error:
        return list(error.messages)
    return []


def put(path: str, value: Any) -> Change:
    """A change that sets one thing, at a path (parts joined by ``|``)."""

    def change(inventory: dict[str, Any]) -> None:
        *parents, last = path.split("|")
        here = inventory
        for part in parents:
            here = here.setdefault(part, {})
        here[last] = value

    return change


def all_of(*changes: Change) -> Change:
    """Several changes as one."""

    def change(inventory: Cloud) -> None:
        for one in changes:
            one(inventory)

    return change


def in_cloud(path: str, value: Any) -> Change:
    """Sets a ``cloud_`` variable, or something in it."""
    return put(f"cloud|cloud_{path}", value)


def in_vm(name: str, variable: str, value: Any) -> Change:
    """Sets an ``instance_`` variable."""
    return put(f"instances|{name}|vars|instance_{variable}", value)


def in_node(name: str, variable: str, value: Any) -> Change:
    """Sets a ``node_`` variable."""
    return put(f"nodes|{name}|vars|node_{variable}", value)


def nic_of_vm2(**nic: Any) -> Change:
    """Sets fields of vm2's NIC on ``internal``."""
    return in_vm("vm2", "networks", [{"network": "internal", **nic}])

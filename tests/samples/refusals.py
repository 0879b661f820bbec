"""Scenario S1 with a change, and the messages that refuse it: helpers for the tests of invalid input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headworks.model.errors import PlanError
from headworks.plan.resolve import resolve
from headworks.wiring.documents import AVAILABLE
from inventories import facts_of, s1

Cloud = dict[str, Any]
Change = Callable[[Cloud], object]


def messages_about(change: Change, **options: Any) -> list[str]:
    """The messages that refuse S1 with ``change``; none if it is accepted. The facts are those of S1 itself."""
    inventory = s1()
    facts = facts_of(inventory)
    change(inventory)
    try:
        resolve(inventory, None, facts, available=AVAILABLE, **options)
    except PlanError as error:
        return list(error.messages)
    return []


def put(path: str, value: Any) -> Change:
    """A change that sets the value at a path (parts joined by ``|``)."""

    def change(inventory: dict[str, Any]) -> None:
        *parents, last = path.split("|")
        here = inventory
        for part in parents:
            here = here.setdefault(part, {})
        here[last] = value

    return change


def all_of(*changes: Change) -> Change:
    """A change that makes several changes."""

    def change_all(inventory: Cloud) -> None:
        for change in changes:
            change(inventory)

    return change_all


def in_cloud(path: str, value: Any) -> Change:
    """A change that sets a ``cloud_`` variable, or a value in it."""
    return put(f"cloud|cloud_{path}", value)


def in_vm(name: str, variable: str, value: Any) -> Change:
    """A change that sets an ``instance_`` variable."""
    return put(f"instances|{name}|vars|instance_{variable}", value)


def in_node(name: str, variable: str, value: Any) -> Change:
    """A change that sets a ``node_`` variable."""
    return put(f"nodes|{name}|vars|node_{variable}", value)


def nic_of_vm2(**nic: Any) -> Change:
    """A change that sets fields of vm2's NIC on ``internal``."""
    return in_vm("vm2", "networks", [{"network": "internal", **nic}])

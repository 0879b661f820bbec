"""A machine that answers under the name of another node is noticed, and its guests are not touched."""

from __future__ import annotations

from typing import Any

import pytest
from headworks.model.errors import PlanError
from headworks.plan.resolve import Occasion, resolve
from inventories import facts_of, s1

NOW = Occasion(now=1_800_000_000, lineage="L")


def world(**machines: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """S1 and its facts; ``machines`` is node → the name under which the machine that answers was converged."""
    inventory = s1()
    facts = facts_of(inventory)
    for node, entry in facts.items():
        entry["holdings"] = {"cloud": inventory["cloud"]["cloud_name"], "node": machines.get(node, node)}
    return inventory, facts


@pytest.mark.parametrize("machines", [
    {"compute1": "compute2", "compute2": "compute1"},
    {"compute1": "compute2", "compute2": "compute2"},
    {"compute1": "compute2"},
])  # fmt: skip
def test_a_machine_that_was_another_node_of_the_inventory_is_refused(machines: dict[str, str]) -> None:
    inventory, facts = world(**machines)
    with pytest.raises(PlanError, match=r"nodes.compute1: the machine that answers was converged as compute2") as error:
        resolve(inventory, None, facts, occasion=NOW)
    assert "-e cloud_accept_older=true" in str(error.value)


def test_names_that_were_exchanged_on_purpose_are_accepted() -> None:
    inventory, facts = world(compute1="compute2", compute2="compute1")
    accepting = Occasion(NOW.now, NOW.lineage, accept_older=True)
    assert resolve(inventory, None, facts, occasion=accepting).cloud.nodes


def test_a_renamed_node_is_no_mistake() -> None:
    inventory, facts = world(compute1="an-old-name")
    assert resolve(inventory, None, facts, occasion=NOW).cloud.nodes

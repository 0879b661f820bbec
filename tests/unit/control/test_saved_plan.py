"""A saved plan is refused when the inventory, the allocations or the nodes are not those that it was made for."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from headworks.control import plan_data
from headworks.model.errors import PlanError
from headworks.plan.allocation.allocations import digest
from headworks.plan.resolve import Resolution
from inventories import instance, s1
from worlds import World


def plan_of(resolution: Resolution, inventory: dict[str, Any], stored: Resolution | None = None) -> dict[str, Any]:
    """The plan as it is saved and loaded again."""
    start = digest(stored.allocations.dump()) if stored else digest(None)
    plan = plan_data.of_resolution(resolution, start, inventory)
    plan["nodes"] = {name: plan_data.of_node({"changes": []}, {}, in_run=True) for name in resolution.cloud.nodes}
    loaded: dict[str, Any] = json.loads(json.dumps(plan))
    return loaded


def story() -> tuple[World, dict[str, Any], Resolution]:
    world, inventory = World(), s1()
    return world, inventory, world.run(inventory)


def test_the_same_plan_made_later_is_not_different() -> None:
    world, inventory, first = story()
    del inventory["instances"]["vm2"]
    saved = plan_of(world.plan(inventory, first), inventory, first)
    world.pass_time(86400)
    guests = world.machines["compute2"].guests
    assert guests
    inventory["cloud"].update(cloud_confirm_removal=1, cloud_plan_saved="plan.json")
    assert plan_data.differences(saved, plan_of(world.plan(inventory, first), inventory, first)) == []


def test_a_new_cloud_can_be_planned_and_then_made() -> None:
    world, inventory = World(), s1()
    saved = plan_of(world.plan(inventory, None, lineage="one"), inventory)
    assert plan_data.differences(saved, plan_of(world.plan(inventory, None, lineage="two"), inventory)) == []


def _user_data(inventory: dict[str, Any]) -> None:
    inventory["instances"]["vm1"]["vars"]["instance_user_data"] = "#!/bin/sh\nsecond\n"


def _removal(inventory: dict[str, Any]) -> None:
    del inventory["instances"]["vm2"]


def _addition(inventory: dict[str, Any]) -> None:
    inventory["instances"]["vm4"] = instance("internal")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (_user_data, ["inventory: was changed"]),
        (
            _removal,
            ["inventory: was changed", "changes: now also - instance vm2 ", "removals: now also vm2 on compute2"],
        ),
        (
            _addition,
            ["inventory: was changed", "changes: now also + instance vm4 m1.nano on compute2, 10.18.0.5"],
        ),
    ],
)
def test_an_inventory_that_was_edited_since_is_different(
    edit: Callable[[dict[str, Any]], None], expected: list[str]
) -> None:
    world, inventory, first = story()
    inventory["instances"]["vm1"]["vars"]["instance_user_data"] = "#!/bin/sh\nfirst\n"
    saved = plan_of(world.plan(inventory, first), inventory, first)
    edit(inventory)
    assert plan_data.differences(saved, plan_of(world.plan(inventory, first), inventory, first)) == expected


def test_allocations_of_a_run_in_between_are_different() -> None:
    world, inventory, first = story()
    saved = plan_of(world.plan(inventory, first), inventory, first)
    more = copy.deepcopy(inventory)
    more["instances"]["vm4"] = instance("internal")
    second = world.run(more, first)
    found = plan_data.differences(saved, plan_of(world.plan(more, second), inventory, second))
    assert [line.partition(":")[0] for line in found] == ["from"]


def test_a_node_that_no_longer_answers_or_has_other_changes_is_different() -> None:
    world, inventory, first = story()
    plan = plan_of(world.plan(inventory, first), inventory, first)
    saved = copy.deepcopy(plan)
    plan["nodes"]["compute1"] = plan_data.of_node(None, {}, in_run=True)
    flow = {"kind": "flow", "name": "x", "verb": "add"}
    saved["nodes"]["compute2"]["changes"] = [flow, flow]
    plan["nodes"]["compute2"]["changes"] = [flow]
    assert plan_data.differences(saved, plan) == [
        "node compute1: was known, is silent",
        "node compute2: no longer add flow x",
    ]


def test_sizes_of_disks_make_no_difference() -> None:
    world, inventory, first = story()
    del inventory["instances"]["vm2"]
    plan = plan_of(world.plan(inventory, first), inventory, first)
    saved = copy.deepcopy(plan)
    saved["removals"][0]["disk_bytes"] = 5
    saved["changes"][-1]["detail"] = "on compute2: disk 0.0 GiB, kept until 1999-12-31"
    assert plan_data.differences(saved, plan) == []


def test_a_node_behind_the_last_run_is_named() -> None:
    world, inventory, first = story()
    inventory["instances"]["vm4"] = instance("internal", host="compute1")
    second = world.run(inventory, first, silent={"compute2"})
    assert plan_of(world.plan(inventory, second), inventory, second)["behind"] == ["compute2"]


def test_a_saved_plan_is_read_as_it_was(tmp_path: Path) -> None:
    world, inventory, first = story()
    plan = plan_of(world.plan(inventory, first), inventory, first)
    plan_data.save(str(tmp_path / "plan.json"), plan)
    assert plan_data.load(str(tmp_path / "plan.json")) == plan
    with pytest.raises(PlanError, match=r"cloud_plan_file: .* cannot be written"):
        plan_data.save(str(tmp_path / "none/plan.json"), plan)

"""A lost allocations file is rebuilt from the nodes, exactly, or it is refused because something would be missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from everything import everything
from headworks.model.errors import PlanError
from headworks.plan.allocation.allocations import Allocations
from headworks.plan.resolve import Resolution
from inventories import flock, instance, s1, subnet
from worlds import World


def assert_same(rebuilt: Resolution, lost: Resolution) -> None:
    """All values are those of the lost allocations; only ``built`` and the serial may be newer, and rests be over."""
    first, second = lost.allocations, rebuilt.allocations
    guests = {name: replace(entry, built=True) for name, entry in first.instances.items()}
    assert second == replace(first, instances=guests, serial=second.serial, resting=second.resting)
    assert set(second.resting) <= set(first.resting)
    assert rebuilt.cloud == lost.cloud
    assert rebuilt.plan_changes == ()
    assert rebuilt.removals == rebuilt.lost == ()


def with_unused_network() -> dict[str, Any]:
    inventory = s1()
    inventory["cloud"]["cloud_networks"] = {
        "first": {"subnets": {"s": subnet("10.77.0.0/24")}},
        **inventory["cloud"]["cloud_networks"],
        "idle": {"type": "vxlan", "subnets": {"s": subnet("10.78.0.0/24", enable_dhcp=False)}},
    }
    return inventory


@pytest.mark.parametrize("sample", [s1, everything, lambda: flock(40, 5, 4), with_unused_network])
def test_the_allocations_are_rebuilt_exactly(sample: Callable[[], dict[str, Any]]) -> None:
    world, inventory = World(), sample()
    lost = world.run(inventory)
    rebuilt = world.plan(inventory, None)
    assert_same(rebuilt, lost)
    assert any("are rebuilt from" in warning for warning in rebuilt.warnings)
    world.apply(rebuilt)
    assert world.plan(inventory, rebuilt).allocations == rebuilt.allocations


def test_the_allocations_are_rebuilt_after_additions_and_removals() -> None:
    world, inventory = World(), flock(12, 4, 3)
    result = world.run(inventory)
    for step in range(4):
        inventory["instances"].pop(f"web{2 * step + 1}")
        inventory["instances"][f"new{step}"] = instance("internal", "n1")
        result = world.run(inventory, result)
    rebuilt = world.plan(inventory, None)
    assert_same(rebuilt, result)
    assert rebuilt.allocations.removed == result.allocations.removed


def test_a_node_that_missed_the_last_runs_adds_what_only_it_knows() -> None:
    world, inventory = World(), s1()
    first = world.run(inventory)
    inventory["instances"]["vm4"] = instance("internal", host="compute1")
    del inventory["cloud"]["cloud_routers"]["r1"]["interfaces"][1]
    second = world.run(inventory, first, silent={"compute2"})
    rebuilt = world.plan(inventory, None)
    assert rebuilt.allocations.instances["vm2"].ports == second.allocations.instances["vm2"].ports
    assert rebuilt.allocations.instances["vm4"].ports == second.allocations.instances["vm4"].ports
    assert rebuilt.allocations.serial > second.allocations.serial
    assert [change.label for change in rebuilt.plan_changes] == []


def test_what_was_removed_everywhere_is_not_announced_again_because_an_older_node_knows_it() -> None:
    world, inventory = World(), with_unused_network()
    inventory["cloud"]["cloud_security_groups"] = {"web": {}}
    first = world.run(inventory)
    del inventory["cloud"]["cloud_security_groups"], inventory["cloud"]["cloud_networks"]["idle"]
    world.run(inventory, first, silent={"compute2"})
    assert [change.label for change in world.plan(inventory, None).plan_changes] == []


def test_the_previous_version_of_the_file_adds_what_nodes_do_not_know() -> None:
    world, inventory = World(), s1()
    result = world.run(inventory)
    del world.machines["compute2"].document["allocations"]
    with pytest.raises(PlanError, match=r"compute2 holds guests \(vm2\), but it does not know their allocations"):
        world.plan(inventory, None)
    rebuilt = world.plan(inventory, None, previous=json.loads(result.allocations.text()))
    assert_same(rebuilt, result)


def test_guests_of_a_node_whose_document_is_torn_are_not_given_other_addresses() -> None:
    world, inventory = World(), s1()
    world.run(inventory)
    for machine in world.machines.values():
        machine.document = {}
    with pytest.raises(PlanError, match=r"compute1 holds guests \(vm1, vm3\)"):
        world.plan(inventory, None)


def test_a_previous_version_of_another_lineage_counts_for_nothing() -> None:
    world, inventory = World(), s1()
    lost = world.run(inventory)
    other = s1()
    other["instances"] = {"vm9": instance("internal"), **other["instances"]}
    foreign = World().plan(other, None, lineage="another").allocations
    assert_same(world.plan(inventory, None, previous=foreign.dump()), lost)


def test_a_damaged_previous_version_counts_for_nothing() -> None:
    world, inventory = World(), s1()
    lost = world.run(inventory)
    assert_same(world.plan(inventory, None, previous={"version": 2, "instances": {"vm1": 3}}), lost)


def test_a_silent_node_must_answer_unless_its_absence_is_accepted() -> None:
    world, inventory = World(), s1()
    del inventory["instances"]["vm2"]["vars"]["instance_host"]
    world.run(inventory)
    with pytest.raises(PlanError, match="compute2 does not answer, and guests there would be made again elsewhere"):
        world.plan(inventory, None, silent={"compute2"})
    accepted = world.plan(inventory, None, silent={"compute2"}, accept_older=True)
    assert accepted.allocations.lineage == "lineage-1"


def test_a_node_that_leaves_while_the_file_is_lost_must_come_back() -> None:
    world, inventory = World(), s1()
    world.run(inventory)
    del inventory["nodes"]["compute2"]
    del inventory["instances"]["vm2"]["vars"]["instance_host"]
    with pytest.raises(PlanError, match="compute2 is no longer in the inventory, and guests there would be made again"):
        world.plan(inventory, None)


def test_a_renamed_node_is_not_one_that_left() -> None:
    world, inventory = World(), s1()
    lost = world.run(inventory)
    inventory["nodes"]["c2"] = inventory["nodes"].pop("compute2")
    inventory["instances"]["vm2"]["vars"]["instance_host"] = "c2"
    world.machines["c2"] = world.machines.pop("compute2")
    rebuilt = world.plan(inventory, None)
    assert rebuilt.allocations.instances["vm2"].ports == lost.allocations.instances["vm2"].ports


def test_nodes_of_two_lineages_are_refused() -> None:
    world, inventory = World(), s1()
    world.run(inventory)
    world.machines["compute2"].document["allocations"]["lineage"] = "other"
    with pytest.raises(PlanError, match=r"different lineages: compute1 \(lineage-1\), compute2 \(other\)"):
        world.plan(inventory, None)


def test_an_empty_file_of_a_new_cloud_says_that_it_can_be_deleted() -> None:
    with pytest.raises(PlanError, match=r"is empty, and no node knows .* delete it if the cloud is new"):
        World().plan(s1(), None, damage="is empty")


def test_a_new_cloud_has_nothing_to_rebuild() -> None:
    first = World().plan(s1(), None)
    assert first.before == Allocations()
    assert first.allocations.serial == 1
    assert first.allocations.lineage == "lineage-1"

"""Allocations that are not those which the nodes applied last are refused; nothing was touched then."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from headworks.model.errors import PlanError
from headworks.plan.resolve import Resolution
from inventories import instance, s1
from worlds import Refused, World


def two_runs() -> tuple[World, dict[str, Any], Resolution, Resolution]:
    world, inventory = World(), s1()
    first = world.run(inventory)
    inventory["instances"]["vm4"] = instance("internal", host="compute1")
    return world, inventory, first, world.run(inventory, first, silent={"compute2"})


def test_a_stale_file_is_refused_even_if_only_one_node_knows_better() -> None:
    world, inventory, first, _ = two_runs()
    message = r"cloud_allocations_file: 'serial 1': is older than what compute1 \(serial 2\) applied"
    with pytest.raises(PlanError, match=message):
        world.plan(inventory, first, silent={"controller1", "network1", "compute2"})


def test_a_stale_file_that_is_accepted_removes_nothing_that_is_declared_and_gets_the_highest_serial() -> None:
    world, inventory, first, second = two_runs()
    result = world.plan(inventory, first, accept_older=True)
    assert result.allocations.serial == second.allocations.serial + 1
    assert result.removals == ()
    assert result.cloud.instances["vm4"].ports == second.cloud.instances["vm4"].ports


def test_a_node_behind_is_no_reason_to_refuse() -> None:
    world, inventory, _, second = two_runs()
    result = world.run(inventory, second)
    assert result.plan_changes == ()
    assert result.allocations == second.allocations


def test_a_file_of_another_lineage_is_refused() -> None:
    world, inventory, _, _ = two_runs()
    foreign = World().plan(inventory, None, lineage="another")
    with pytest.raises(PlanError, match=r"'another': .* applied allocations of another lineage \(lineage-1\)"):
        world.plan(inventory, foreign)


def test_two_plans_from_the_same_file_are_told_apart() -> None:
    world, inventory, first, second = two_runs()
    other = copy.deepcopy(inventory)
    other["instances"]["vm5"] = instance("internal2", host="compute2")
    fork = World().plan(other, first)
    assert fork.allocations.serial == second.allocations.serial
    with pytest.raises(PlanError, match="applied other allocations with the same serial: two control machines"):
        world.plan(inventory, fork)


def test_a_file_that_was_edited_by_hand_is_told() -> None:
    world, inventory, _, second = two_runs()
    edited = json.loads(second.allocations.text())
    edited["cloud_allocations"]["instances"]["vm4"]["ports"]["internal"][1] = "10.18.0.77"
    with pytest.raises(PlanError, match="or the file was edited by hand"):
        world.plan(inventory, edited)


def test_another_cloud_name_is_refused_and_names_the_guests() -> None:
    world, inventory, _, _ = two_runs()
    inventory["cloud"]["cloud_name"] = "lub"
    with pytest.raises(PlanError, match=r"cloud_name: 'lub': compute1 belongs to cloud 'lab' and holds its guests vm1"):
        world.plan(inventory, None)


def test_a_node_itself_refuses_an_older_plan() -> None:
    world, _, first, _ = two_runs()
    with pytest.raises(Refused, match=r"compute1: state\.serial: 1: this node was converged with serial 2"):
        world.apply(first)
    assert world.holders("vm4") == ["compute1"]

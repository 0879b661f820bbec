"""The gate: what a run may remove without being asked, and what it may not remove at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from headworks.model.errors import PlanError
from headworks.plan.found.removals import DAY, Removal, check_lost, check_removals, table
from headworks.plan.resolve import Resolution
from inventories import instance, s1
from worlds import START, World, documents

GONE = tuple(Removal(f"web{number}", f"id{number}", "compute1", 3 << 29, START) for number in range(1, 6))
PROTECTED = replace(GONE[0], protected=True)


@pytest.mark.parametrize(
    ("count", "lost", "declared", "limit", "confirmed", "refused"),
    [
        (0, 0, 0, 2, None, ""),
        (2, 0, 5, 2, None, ""),
        (3, 0, 5, 2, None, "would remove 3, more than cloud_removals_without_asking allows (2)"),
        (3, 0, 5, 2, 3, ""),
        (3, 0, 5, 2, 2, "cloud_confirm_removal: 2: the run would remove 3"),
        (3, 0, 5, 2, 4, "cloud_confirm_removal: 4: the run would remove 3"),
        (1, 0, 5, 2, 5, "cloud_confirm_removal: 5: the run would remove 1"),
        (1, 0, 5, 0, None, "would remove 1, more than"),
        (1, 0, 0, 2, None, "group instances is empty"),
        (1, 0, 0, 2, 1, ""),
        (3, 2, 5, 2, None, "add -e cloud_confirm_removal=5"),
        (3, 2, 5, 2, 5, ""),
        (0, 0, 5, 2, 7, ""),
    ],
)
def test_removals_beyond_the_limit_need_exactly_their_number(
    count: int, lost: int, declared: int, limit: int, confirmed: int | None, refused: str
) -> None:
    if not refused:
        check_removals(GONE[:count], lost, declared, limit, confirmed, START)
        return
    with pytest.raises(PlanError) as error:
        check_removals(GONE[:count], lost, declared, limit, confirmed, START)
    assert refused in str(error.value)


def test_no_number_confirms_the_removal_of_a_protected_instance() -> None:
    with pytest.raises(PlanError, match=r"instances\.web1: is protected on compute1 and must not be removed"):
        check_removals((PROTECTED, GONE[1]), 0, 5, 10, 2, START)


def test_a_protected_guest_does_not_hide_the_other_removals() -> None:
    with pytest.raises(PlanError) as refused:
        check_removals((PROTECTED, *GONE[1:3]), 0, 0, 10, None, START)
    protected, others = refused.value.messages
    assert "is protected" in protected
    assert "this run would remove 3" in others


def test_lost_instances_need_the_number_of_lost_and_removed_ones() -> None:
    check_lost([], GONE[:3], None, START)
    check_lost([("vm1", "compute1")], GONE[:2], 3, START)
    for wrong in (None, 1, 2):
        with pytest.raises(PlanError, match=r"no longer hold them: vm1 \(compute1\).* cloud_confirm_removal=3"):
            check_lost([("vm1", "compute1")], GONE[:2], wrong, START)


def test_a_removal_that_an_earlier_run_decided_is_not_asked_for_again() -> None:
    decided = tuple(replace(removal, decided=True) for removal in GONE)
    check_removals(decided, 0, 5, 2, None, START)
    check_removals(decided, 0, 0, 2, 5, START)
    with pytest.raises(PlanError, match="would remove 3, more than"):
        check_removals((*decided[:2], *GONE[:3]), 0, 5, 2, None, START)
    check_removals((*decided[:2], *GONE[:3]), 0, 5, 2, 3, START)


def test_an_interrupted_removal_is_completed_without_a_question() -> None:
    world, inventory = World(), s1()
    earlier = world.run(inventory)
    del inventory["instances"]["vm3"]
    first = world.run(inventory, earlier, silent=["compute1"])
    assert [(removal.name, removal.pending, removal.decided) for removal in first.removals] == [("vm3", True, False)]
    resolution = world.run(inventory, first)
    assert [(removal.name, removal.decided) for removal in resolution.removals] == [("vm3", True)]


def test_the_table_shows_node_size_age_and_state_and_is_cut() -> None:
    rows = (replace(GONE[0], state="running"), replace(GONE[1], pending=True, created=0))
    assert table(rows, START + 3 * DAY).splitlines() == [
        "    instance  node      disk     age  state",
        "    web1      compute1  1.5 GiB  3 d  running",
        "    web2      compute1  ?        ?    its node does not answer",
    ]
    assert table(GONE * 20, START).splitlines()[-1] == "    and 50 more"


def protected() -> tuple[World, dict[str, Any], Resolution]:
    world, inventory = World(), s1()
    inventory["instances"]["vm2"]["vars"]["instance_protected"] = True
    return world, inventory, world.run(inventory)


def test_protection_outlives_the_entry_in_the_inventory_and_the_allocations() -> None:
    world, inventory, first = protected()
    del inventory["instances"]["vm2"]
    for allocations in (first, None):
        assert [removal.protected for removal in world.plan(inventory, allocations).removals] == [True]
    for machine in world.machines.values():
        for guest in machine.guests.values():
            guest.protected = False  # the mark on the node is lost
    assert [removal.protected for removal in world.plan(inventory, first).removals] == [True]
    assert [removal.protected for removal in world.plan(inventory, first, silent={"compute2"}).removals] == [True]


def test_protection_ends_in_a_run_of_its_own_that_reaches_the_node() -> None:
    world, inventory, first = protected()
    inventory["instances"]["vm2"]["vars"]["instance_protected"] = False
    without_node = world.run(inventory, first, silent={"compute2"})
    gone = {**inventory, "instances": {name: inventory["instances"][name] for name in ("vm1", "vm3")}}
    gone["cloud"] = {**inventory["cloud"], "cloud_floating_ips": {}}
    assert [removal.protected for removal in world.plan(gone, without_node).removals] == [True]
    with_node = world.run(inventory, without_node)
    assert [removal.protected for removal in world.plan(gone, with_node).removals] == [False]


def test_a_node_gets_the_list_of_its_own_removals_only() -> None:
    world, inventory = World(), s1()
    first = world.run(inventory)
    ids = {name: first.cloud.instances[name].id for name in ("vm2", "vm3")}
    del inventory["instances"]["vm2"], inventory["instances"]["vm3"]
    made = documents(world.plan(inventory, first))
    assert {node: made[node]["removals"] for node in made} == {
        "controller1": [], "network1": [], "compute1": [ids["vm3"]], "compute2": [ids["vm2"]],
    }  # fmt: skip


def test_a_guest_of_another_cloud_is_no_removal() -> None:
    world, inventory = World(), s1()
    first = world.run(inventory)
    for guest in world.machines["compute1"].guests.values():
        guest.cloud = "other"
    inventory["instances"]["vm4"] = instance("internal", host="compute2")
    del inventory["instances"]["vm3"]
    assert world.plan(inventory, first).removals == ()

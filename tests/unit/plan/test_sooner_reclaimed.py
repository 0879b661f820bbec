"""A shorter retention deletes disks of removed guests: the plan warns of it."""

from __future__ import annotations

from headworks.plan.resolve import Resolution
from inventories import s1
from worlds import World


def plan(days: int, *, declared: bool = False) -> Resolution:
    """A plan with another retention, after vm3 was removed with the retention of 7 days."""
    world, inventory = World(), s1()
    first = world.run(inventory)
    guest = inventory["instances"].pop("vm3")
    second = world.run(inventory, first)
    inventory["cloud"]["cloud_reclaim_after_days"] = days
    if declared:
        inventory["instances"]["vm3"] = guest
    return world.plan(inventory, second)


def test_a_shorter_retention_names_the_removed_guests() -> None:
    warning = "cloud_reclaim_after_days: 0: compute1 deletes removed guests sooner than it was told before: vm3"
    assert warning in plan(0).warnings


def test_a_retention_that_is_not_shorter_and_a_guest_that_returns_are_no_warning() -> None:
    for result in (plan(7), plan(30), plan(0, declared=True)):
        assert "cloud_reclaim_after_days" not in "\n".join(result.warnings)

"""A plan of two thousand instances takes seconds, and its time grows about linearly with their number."""

from __future__ import annotations

import gc
import json
import time
from typing import Any

from headworks.plan.resolve import resolve
from inventories import facts_of, flock
from worlds import World


def _seconds(count: int) -> float:
    inventory = flock(count, computes=count // 50, networks=10)
    facts = facts_of(inventory, ram_mb=262144, vcpus=128)
    gc.collect()
    gc.freeze()  # the collector ignores the objects of other tests
    start = time.process_time()
    first = resolve(inventory, None, facts)
    again = resolve(inventory, json.loads(first.allocations.text()), facts)
    seconds = time.process_time() - start
    gc.unfreeze()
    assert again.allocations == first.allocations
    assert len(again.cloud.instances) == count
    return seconds


def test_planning_two_thousand_instances_twice_takes_seconds_and_scales_linearly() -> None:
    small, large = min(_seconds(500) for _ in range(2)), _seconds(2000)
    assert large < 15
    assert large < 8 * small  # four times the instances: a quadratic plan would take 16 times as long


def test_what_the_nodes_hold_costs_little_compared_with_the_plan() -> None:
    inventory, world = flock(2000, computes=40, networks=10), World()
    first = world.run(inventory)
    stored = json.loads(first.allocations.text())
    bare, facts = facts_of(inventory, vcpus=64, ram_mb=65536), world.facts(inventory)

    def seconds(facts: dict[str, Any]) -> float:
        gc.collect()
        gc.freeze()
        start = time.process_time()
        result = resolve(inventory, stored, facts)
        took = time.process_time() - start
        gc.unfreeze()
        assert result.allocations == first.allocations
        return took

    assert min(seconds(facts) for _ in range(3)) < 1.5 * min(seconds(bare) for _ in range(3))

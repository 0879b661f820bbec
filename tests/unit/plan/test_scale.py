"""A plan of two thousand instances takes seconds, and its time grows about linearly with their number."""

from __future__ import annotations

import gc
import json
import time

from headworks.plan.resolve import resolve
from inventories import facts_of, flock


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

"""The lineage and the serial of the allocations: which version a plan makes from which. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .allocations import Allocations, InstanceAllocation


def next_version(before: Allocations, after: Allocations, lineage: str, newest: int) -> Allocations:
    """``after`` with its lineage and serial; ``before`` itself if nothing changed that is worth a new version.

    That a rest is over, that a removed guest is forgotten and that a node reports a guest is written together with the
    next change, so that a run without changes writes no file.

    :param lineage: the lineage of new allocations.
    :param newest: the highest serial that a node has applied.
    """
    after = replace(after, lineage=before.lineage or lineage, serial=before.serial)
    if before.serial >= newest and _without_delayed(after, before) == before:
        return before
    return replace(after, serial=max(before.serial, newest) + 1)


def _without_delayed(after: Allocations, before: Allocations) -> Allocations:
    def delayed(name: str, entry: InstanceAllocation) -> InstanceAllocation:
        earlier = before.instances.get(name)
        return replace(entry, built=earlier.built) if earlier else entry

    instances: Mapping[str, InstanceAllocation] = {
        name: delayed(name, entry) for name, entry in after.instances.items()
    }
    resting = before.resting if set(after.resting) <= set(before.resting) else after.resting
    removed = before.removed if set(after.removed) <= set(before.removed) else after.removed
    return replace(after, instances=instances, resting=resting, removed=removed)

"""The allocations that a plan starts from: those of the file, if the nodes have applied no others, or rebuilt ones.

What does not belong here: how versions are compared (``origin.py``), how lost allocations are rebuilt (``rebuild.py``),
and what the nodes correct (``heal.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...model.errors import PlanError, Problems
from ...model.inventory import Inventory
from ..allocation.allocations import Allocations, digest, load
from .holdings import Holding
from .origin import check_cloud, check_names, check_version
from .rebuild import Rebuilt, rebuild


@dataclass(frozen=True)
class Occasion:
    """What a plan must know about its run and cannot compute: ``now`` in seconds since 1970, a new ``lineage`` for a
    new cloud, and ``accept_older`` (``cloud_accept_older``). ``damage`` says why the allocations file cannot be read
    ("": it can, or it does not exist); ``previous`` is the content of its previous version."""

    now: int = 0
    lineage: str = ""
    accept_older: bool = False
    damage: str = ""
    previous: Mapping[str, Any] | None = None


def start(
    inventory: Inventory, allocations: Allocations | Mapping[str, Any] | None, held: Mapping[str, Holding],
    occasion: Occasion, problems: Problems,
) -> Rebuilt:
    """The allocations of the last run. Refuse those of another cloud, and those that the nodes know better."""
    if not occasion.accept_older:
        check_cloud(inventory.cloud.name, held, problems)
        check_names(inventory.cloud.name, inventory.nodes, held, problems)
        problems.raise_if_any()
    data = allocations.dump() if isinstance(allocations, Allocations) else allocations
    before = allocations if isinstance(allocations, Allocations) else load(data)
    if before == Allocations():
        previous = _intact(occasion.previous)
        rebuilt = rebuild(inventory, previous, occasion.damage, held, occasion.accept_older, problems)
        problems.raise_if_any()
        return rebuilt
    if before.cloud and before.cloud != inventory.cloud.name:
        raise PlanError(
            [
                f"cloud_name: {inventory.cloud.name!r}: the allocations are those of cloud {before.cloud!r}, and every "
                "id depends on the cloud's name; use another cloud_allocations_file for this cloud"
            ]
        )
    if not occasion.accept_older:
        check_version(before, digest(data), held, problems)
        problems.raise_if_any()
    return Rebuilt(before, before)


def _intact(previous: Mapping[str, Any] | None) -> Allocations:
    """The previous version of the file, if it is not damaged."""
    try:
        return load(previous)
    except PlanError:
        return Allocations()

"""What the plan adds to the document of each node besides its sections: where the plan comes from, what the node keeps
of the allocations, and which guests it may remove. Pure.

What does not belong here: the sections (``wiring/``), and what the node does with these entries (``engine/doors.py``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from .allocation.allocations import digest
from .allocation.extract import extracts
from .resolve import Resolution


def stamp(states: Mapping[str, dict[str, Any]], resolution: Resolution) -> dict[str, dict[str, Any]]:
    """The documents ``states`` with ``lineage``, ``serial``, ``digest``, ``allocations`` and ``removals``."""
    after = resolution.allocations
    removals: dict[str, list[str]] = defaultdict(list)
    for removal in resolution.removals:
        removals[removal.node].append(removal.id)
    origin = {"lineage": after.lineage, "serial": after.serial, "digest": digest(after.dump())}
    parts = extracts(after, states)
    return {
        node: {
            **state,
            **origin,
            "allocations": parts[node].dump(),
            "removals": sorted(removals[node]),
        }
        for node, state in states.items()
    }

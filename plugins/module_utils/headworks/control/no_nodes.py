"""Why a play on the nodes has no hosts: the limit names guests, or the inventory has no nodes.

What does not belong here: Ansible's own objects (``ansible_sources.py``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from ..model.errors import some
from ..model.node import ROLES
from ..plan.identity import natural


def is_play_on_nodes(patterns: Sequence[str]) -> bool:
    """Whether the hosts of a play are all nodes, as in ``site.yml``."""
    return set(ROLES) <= {part for pattern in patterns for part in re.split("[:,]", pattern)}


def reason(
    limit: str, nodes: Collection[str], guests: Sequence[str], places: Mapping[str, str], problems: Sequence[str]
) -> str:
    """Why no node matched, and what to do.

    :param limit: the limit of the run; "" without one.
    :param nodes: all nodes of the inventory.
    :param guests: the instances that the limit selects.
    :param places: instance → its node, as the allocations have it.
    :param problems: the problems of the inventory sources.
    """
    if not nodes:
        what = f"The inventory has no node: no host is in the groups {', '.join(ROLES)}. Nothing was done."
        return "\n".join([what, *(f"  {problem}" for problem in problems)])
    if not guests:
        return f"--limit {limit}: selects no node. Nothing was done. The nodes are {some(sorted(nodes, key=natural))}."
    homes = sorted({places[name] for name in guests if places.get(name) in nodes}, key=natural)
    verb = "is a guest" if len(guests) == 1 else "are guests"
    start = f"--limit {limit}: selects no node, because {some(sorted(guests, key=natural))} {verb}"
    if not homes:
        return f"{start} without a place yet. Nothing was done; run without --limit."
    return f"{start} on {', '.join(homes)}. Nothing was done; use --limit {','.join(homes)}."

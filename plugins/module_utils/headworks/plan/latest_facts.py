"""The facts that a plan uses: what nodes report now, and of the others what the allocations remember.

What does not belong here: reading and keeping the facts of one node (``facts.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..model.inventory import Inventory
from ..model.names import RESERVED_BRIDGES
from . import facts as node_facts
from .allocation.allocations import Allocations
from .facts import NodeFacts
from .mtu import tunnel_ip


@dataclass(frozen=True)
class LatestFacts:
    """``current`` are the facts of the nodes that answer, ``nodes`` are the latest facts of all nodes."""

    current: Mapping[str, NodeFacts]
    nodes: Mapping[str, NodeFacts]


def latest_facts(inv: Inventory, before: Allocations, facts: Mapping[str, Mapping[str, Any]]) -> LatestFacts:
    """The facts of the nodes of the inventory.

    :param facts: what nodes report now.
    """
    known = {name: node for name, node in before.facts.items() if name in inv.nodes}
    current = {
        name: node_facts.steady_nics(node_facts.read(data), known.get(name), _bridges(inv, name))
        for name, data in facts.items()
        if name in inv.nodes
    }
    return LatestFacts(current, {**known, **current})


def remembered(inv: Inventory, before: Allocations, latest: LatestFacts) -> dict[str, NodeFacts]:
    """The facts of every node that the allocations keep, for a run in which the node does not answer."""
    result = {}
    for name, node in latest.nodes.items():
        if name not in latest.current:
            result[name] = node
            continue
        used = {mapping.interface for mapping in inv.nodes[name].model.bridge_mappings.values() if mapping.interface}
        used.add(node.nic_with(tunnel_ip(inv, name)))
        result[name] = node_facts.remember(node, before.facts.get(name), frozenset(used))
    return result


def _bridges(inv: Inventory, node: str) -> frozenset[str]:
    """The names of devices of the node that are bridges of headworks and not NICs."""
    mapped = (mapping.bridge for mapping in inv.nodes[node].model.bridge_mappings.values())
    return frozenset((*RESERVED_BRIDGES, *mapped))

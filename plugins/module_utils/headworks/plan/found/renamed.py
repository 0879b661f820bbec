"""Nodes with new names: a node remembers the name under which it was converged, and keeps what it has.

What does not belong here: guests that are on other nodes than the allocations say (``heal.py``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from ...model.inventory import Inventory
from ..allocation.allocations import Allocations, Rest
from .holdings import Holding

# The kinds of objects whose lines name a node.
_ON_NODES = ("router", "instance")


def renamed_nodes(inventory: Inventory, held: Mapping[str, Holding], known: Mapping[str, object]) -> dict[str, str]:
    """old name → new name of the nodes that answer under a new name. A node that two others claim to be is none.

    :param known: the names of nodes that the allocations have.
    """
    claims: dict[str, list[str]] = defaultdict(list)
    for node, holding in held.items():
        if holding.cloud == inventory.cloud.name and holding.node not in ("", node):
            claims[holding.node].append(node)
    return {
        old: nodes[0]
        for old, nodes in claims.items()
        if len(nodes) == 1 and old not in inventory.nodes and nodes[0] not in known
    }


def with_new_names(
    inventory: Inventory, before: Allocations, held: Mapping[str, Holding]
) -> tuple[Allocations, list[str]]:
    """The allocations with the new names of renamed nodes, and a note about each of them."""
    new_names = renamed_nodes(inventory, held, before.vlans)
    if not new_names:
        return before, []

    def now(node: str) -> str:
        return new_names.get(node, node)

    notes = [f"nodes.{new}: was converged as {old}; it keeps what {old} has" for old, new in sorted(new_names.items())]
    return replace(
        before,
        instances={name: replace(entry, node=now(entry.node)) for name, entry in before.instances.items()},
        routers={name: replace(entry, node=now(entry.node)) for name, entry in before.routers.items()},
        networks={
            name: replace(entry, dhcp={now(node): port for node, port in entry.dhcp.items()})
            for name, entry in before.networks.items()
        },
        vlans={now(node): vlans for node, vlans in before.vlans.items()},
        facts={now(node): facts for node, facts in before.facts.items()},
        removed={
            name: replace(entry, instance=replace(entry.instance, node=now(entry.instance.node)))
            for name, entry in before.removed.items()
        },
        resting={
            _value(value, new_names): _rest(rest, new_names) for value, rest in before.resting.items()
        },
        declared={
            kind: {name: _line(line, new_names) for name, line in lines.items()} if kind in _ON_NODES else lines
            for kind, lines in before.declared.items()
        },
    ), notes


def _value(value: str, new_names: Mapping[str, str]) -> str:
    kind, _, rest = value.partition("/")
    node, _, vlan = rest.rpartition("/")
    return f"{kind}/{new_names[node]}/{vlan}" if kind == "vlan" and node in new_names else value


def _rest(rest: Rest, new_names: Mapping[str, str]) -> Rest:
    kind, _, port = rest.owner.partition("/")
    network, _, node = port.rpartition("/")
    owner = f"dhcp/{network}/{new_names[node]}" if kind == "dhcp" and node in new_names else rest.owner
    return replace(rest, owner=owner, nodes=tuple(new_names.get(node, node) for node in rest.nodes))


def _line(line: str, new_names: Mapping[str, str]) -> str:
    """The line of an object with the new names of its nodes: ``node=compute1 …``."""
    first, _, rest = line.partition(" ")
    key, _, nodes = first.partition("=")
    if key != "node":
        return line
    renamed = ",".join(new_names.get(node, node) for node in nodes.split(","))
    return f"node={renamed} {rest}".rstrip()

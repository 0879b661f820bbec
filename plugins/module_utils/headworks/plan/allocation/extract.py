"""What a node keeps of the allocations, so that a lost allocations file can be rebuilt from the nodes.

``extracts`` takes the part of each node, ``merge`` puts the parts of all nodes together again. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from .allocations import Allocations, NetworkAllocation, Rest

T = TypeVar("T")

# The kinds of which a part has only what is on its node.
_ON_NODES = frozenset({"instance", "router", "network", "floating_ip"})


def extracts(allocations: Allocations, nodes: Iterable[str]) -> dict[str, Allocations]:
    """node → the part of ``allocations`` that concerns it: its guests, its routers and DHCP ports, and its networks.
    A network that is on no node is in all parts."""
    # A node keeps its part before it has built the guests. So the part must not change when they are built.
    instances = _by_node(
        (entry.node, name, replace(entry, built=True)) for name, entry in allocations.instances.items()
    )
    routers = _by_node((entry.node, name, entry) for name, entry in allocations.routers.items())
    removed = _by_node((entry.instance.node, name, entry) for name, entry in allocations.removed.items())
    resting = _by_node((node, value, rest) for value, rest in allocations.resting.items() for node in rest.nodes)
    unused = allocations.networks.keys() - {name for vlans in allocations.vlans.values() for name in vlans}
    parts = {}
    for node in nodes:
        vlans = allocations.vlans.get(node, {})
        part = replace(
            allocations,
            instances=instances[node],
            routers=routers[node],
            networks={name: _network(allocations.networks[name], node) for name in (*vlans, *sorted(unused))},
            vlans={node: vlans} if vlans else {},
            facts={node: allocations.facts[node]} if node in allocations.facts else {},
            removed=removed[node],
            resting=resting[node],
        )
        parts[node] = replace(part, declared=_lines(allocations, part))
    return parts


def _by_node(entries: Iterable[tuple[str, str, T]]) -> dict[str, dict[str, T]]:
    grouped: dict[str, dict[str, T]] = defaultdict(dict)
    for node, name, entry in entries:
        grouped[node][name] = entry
    return grouped


def _network(network: NetworkAllocation, node: str) -> NetworkAllocation:
    return NetworkAllocation(network.segment, {host: port for host, port in network.dhcp.items() if host == node})


def _lines(allocations: Allocations, part: Allocations) -> dict[str, dict[str, str]]:
    """The lines of the part's objects. Floating IPs are on the nodes with routers; other kinds are on all nodes."""
    own: dict[str, Iterable[str]] = {  # for each kind of _ON_NODES
        "instance": part.instances,
        "router": part.routers,
        "network": part.networks,
        "floating_ip": allocations.declared.get("floating_ip", {}) if part.routers else (),
    }
    lines = {}
    for kind, entries in allocations.declared.items():
        mine = _of(entries, own.get(kind, entries))
        if mine:
            lines[kind] = mine
    return lines


def _of(lines: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: lines[name] for name in names if name in lines}


def merge(parts: Iterable[Allocations]) -> Allocations:
    """The allocations that ``parts`` are extracts of. A part with a higher serial replaces what an older part says
    about the same object. An older part knows more objects of its node, but what all nodes have only the newest part
    knows."""
    merged, parts = Allocations(), sorted(parts, key=lambda part: part.serial)
    for part in parts:
        networks = _networks(part, parts[-1].serial)
        merged = Allocations(
            cloud=part.cloud,
            lineage=part.lineage,
            serial=part.serial,
            last_number=max(merged.last_number, part.last_number),
            networks={**merged.networks, **{name: _joined(merged, name, net) for name, net in networks.items()}},
            routers={**merged.routers, **part.routers},
            instances={**merged.instances, **part.instances},
            vlans={**merged.vlans, **part.vlans},
            facts={**merged.facts, **part.facts},
            declared=_declared(merged, part, networks),
            removed={**merged.removed, **part.removed},
            resting={**merged.resting, **{value: _rest(merged, value, rest) for value, rest in part.resting.items()}},
        )
    removed = {name: entry for name, entry in merged.removed.items() if name not in merged.instances}
    return replace(merged, removed=removed)


def _declared(merged: Allocations, part: Allocations, networks: Collection[str]) -> dict[str, Mapping[str, str]]:
    own = {**part.declared, "network": _of(part.declared.get("network", {}), networks)}
    everywhere = {kind: lines for kind, lines in part.declared.items() if kind not in _ON_NODES}
    on_nodes = {
        kind: {**merged.declared.get(kind, {}), **own.get(kind, {})}
        for kind in _ON_NODES & {*merged.declared, *part.declared}
    }
    return {**everywhere, **on_nodes}


def _networks(part: Allocations, newest: int) -> dict[str, NetworkAllocation]:
    """The networks of a part. Those that are on no node are true only in the newest parts."""
    used = {name for vlans in part.vlans.values() for name in vlans}
    return {name: network for name, network in part.networks.items() if part.serial == newest or name in used}


def _joined(merged: Allocations, name: str, network: NetworkAllocation) -> NetworkAllocation:
    earlier = merged.networks.get(name)
    return replace(network, dhcp={**(earlier.dhcp if earlier else {}), **network.dhcp})


def _rest(merged: Allocations, value: str, rest: Rest) -> Rest:
    earlier = merged.resting.get(value)
    return rest if earlier is None or earlier.serial <= rest.serial else earlier

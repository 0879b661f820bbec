"""Checks of instances that are on a node already: the node must still fit them, because they are not moved.

An instance that has no node yet gets one that fits (``plan/placement/instances.py``). What does not belong here: an
instance that is pinned to another node (``instances.py``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from ...model.errors import some
from ..identity import natural
from .context import Check


def check_placed(check: Check) -> None:
    """Refuse provider networks that the node of an instance does not map. Warn of a zone or an affinity policy that the
    node of an instance does not meet."""
    placed = _placed(check)
    _networks(check, placed)
    _zones(check, placed)
    _affinity(check, placed)


def _placed(check: Check) -> dict[str, str]:
    """Return instance → node of the instances that have a node in group compute, in natural order."""
    computes = set(check.nodes_with("compute"))
    before = check.before.instances
    return {
        name: before[name].node
        for name in sorted(check.inventory.instances, key=natural)
        if name in before and before[name].node in computes
    }


def _networks(check: Check, placed: Mapping[str, str]) -> None:
    """Refuse each network that a node with instances on it cannot reach. All its instances are in one message."""
    unreachable: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for name, node in placed.items():
        mapped = check.inventory.nodes[node].model.bridge_mappings
        for index, nic in enumerate(check.inventory.instances[name].networks):
            network = check.cloud.networks.get(nic.network)
            if network is not None and network.physical_network and network.physical_network not in mapped:
                unreachable[node, nic.network].append((name, index))
    for (node, network_name), nics in unreachable.items():
        physical = check.cloud.networks[network_name].physical_network or ""
        others = [
            other
            for other in sorted(check.nodes_with("compute"), key=natural)
            if physical in check.inventory.nodes[other].model.bridge_mappings
        ]
        name, index = nics[0]
        more = f" (and also {some([other for other, _ in nics[1:]])})" if nics[1:] else ""
        check.refuse(
            f"instances.{name}.instance_networks.{index}.network", network_name,
            f"its physical network {physical} is not in node_bridge_mappings of {node}, where the instance is{more}; "
            f"compute nodes that map it: {', '.join(others) or 'none'}",
        )


def _zones(check: Check, placed: Mapping[str, str]) -> None:
    for name, node in placed.items():
        wanted = check.inventory.instances[name].availability_zone
        actual = check.inventory.nodes[node].model.availability_zone
        if wanted not in (None, actual):
            check.warnings.append(
                f"instances.{name}.instance_availability_zone: {wanted!r}: the instance is on {node} in zone {actual}, "
                "and stays there"
            )


def _affinity(check: Check, placed: Mapping[str, str]) -> None:
    """Warn of hard policies only: a soft policy may be unmet."""
    members: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, node in placed.items():
        group = check.inventory.instances[name].affinity_group
        if group is not None:
            members[group][node].append(name)
    for group, nodes in members.items():
        model = check.cloud.affinity_groups.get(group)
        if model is None:
            continue
        crowded = [(node, names) for node, names in nodes.items() if len(names) > 1]
        if model.policy == "anti-affinity" and crowded:
            where = "; ".join(f"{some(names)} are on {node}" for node, names in crowded)
        elif model.policy == "affinity" and len(nodes) > 1:
            where = "; ".join(f"on {node}: {some(names)}" for node, names in nodes.items())
        else:
            continue
        check.warnings.append(f"cloud_affinity_groups.{group}.policy: {model.policy!r}: {where}, and stay there")

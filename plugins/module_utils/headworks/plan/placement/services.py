"""Which network node a router or a DHCP service lives on: where it was, while it can; else the least loaded.

What does not belong here: instances (``schedule.py``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ...model.errors import Problems
from ...model.inventory import Inventory
from ...model.network import NetworkModel
from ..facts import NodeFacts
from ..identity import natural


@dataclass(frozen=True)
class ServicePlacement:
    """``routers`` is router → node; ``dhcp`` is network → nodes, in order of their names."""

    routers: Mapping[str, str]
    dhcp: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...] = ()


class Placer:
    """Puts services on network nodes."""

    def __init__(self, inventory: Inventory, facts: Mapping[str, NodeFacts], problems: Problems) -> None:
        self.inventory = inventory
        self.facts = facts
        self.problems = problems
        self.warnings: list[str] = []
        self.network_nodes = [name for name, entry in inventory.nodes.items() if "network" in entry.roles]

    def place(
        self, routers: Mapping[str, str], dhcp: Mapping[str, Collection[str]], instances: Mapping[str, str]
    ) -> ServicePlacement:
        """A node for every router, and nodes for every network's DHCP.

        :param routers: router → node as it was.
        :param dhcp: network → nodes as they were.
        :param instances: instance → node as it is now.
        """
        placed = self._routers(routers)
        members = self._members(instances, placed)
        served = self._dhcp(dhcp, members)
        self._warn_of_local_networks(placed, members)
        return ServicePlacement(placed, served, tuple(self.warnings))

    def _routers(self, before: Mapping[str, str]) -> dict[str, str]:
        cloud = self.inventory.cloud
        reach: dict[str, list[str]] = {}
        for name, router in cloud.routers.items():
            attached = [one.network for one in router.interfaces]
            if router.external_network:
                attached.append(router.external_network)
            wanted = {cloud.networks[one].physical_network for one in attached} - {None}
            reach[name] = self._reaching(one for one in wanted if one)
            if not reach[name] and self.network_nodes:
                self.problems.add(
                    f"cloud_routers.{name}", name,
                    f"no node of group network maps {' and '.join(sorted(str(one) for one in wanted))} "
                    "(node_bridge_mappings), which its networks need",
                )
        placed = {name: before[name] for name in cloud.routers if before.get(name, "") in reach[name]}
        load = Counter(placed.values())
        for name in sorted(set(cloud.routers) - set(placed), key=natural):
            if reach[name]:
                placed[name] = self._least_loaded(reach[name], load)
                load[placed[name]] += 1
        return placed

    def _dhcp(
        self, before: Mapping[str, Collection[str]], members: Mapping[str, set[str]]
    ) -> dict[str, tuple[str, ...]]:
        cloud = self.inventory.cloud
        served = [name for name, network in cloud.networks.items() if serves_dhcp(network)]
        result: dict[str, list[str]] = {}
        reach: dict[str, list[str]] = {}
        for name in served:
            network = cloud.networks[name]
            if network.type == "local":
                # A local network is one on each node: none reaches another's DHCP.
                result[name] = sorted(members[name], key=natural)
                continue
            reach[name] = self._reaching([network.physical_network] if network.physical_network else [])
            if not reach[name]:
                self._unserved(name, network, bool(members[name]))
            kept = [node for node in sorted(before.get(name, ()), key=natural) if node in reach[name]]
            result[name] = kept[: cloud.dhcp_agents_per_network]
        load = Counter(node for name in reach for node in result[name])
        for name in sorted(reach, key=natural):
            while len(result[name]) < cloud.dhcp_agents_per_network:
                others = [node for node in reach[name] if node not in result[name]]
                if not others:
                    break
                node = self._least_loaded(others, load)
                load[node] += 1
                result[name].append(node)
        return {name: tuple(sorted(nodes, key=natural)) for name, nodes in result.items() if nodes}

    def _unserved(self, name: str, network: NetworkModel, has_members: bool) -> None:
        if not self.network_nodes:
            return  # said once, by the validation
        message = "no node of group network maps it (node_bridge_mappings), so nobody would serve DHCP"
        if has_members:
            self.problems.add(f"cloud_networks.{name}.physical_network", network.physical_network, message)
        else:
            self.warnings.append(f"cloud_networks.{name}.physical_network: {network.physical_network!r}: {message}")

    def _warn_of_local_networks(self, routers: Mapping[str, str], members: Mapping[str, set[str]]) -> None:
        """A network of type local does not leave its node, so a router serves only its own node's part of it."""
        for name, node in routers.items():
            for index, interface in enumerate(self.inventory.cloud.routers[name].interfaces):
                network = interface.network
                others = sorted(members[network] - {node}, key=natural)
                if others and self.inventory.cloud.networks[network].type == "local":
                    self.warnings.append(
                        f"cloud_routers.{name}.interfaces.{index}: {network!r}: is a network of type local; the router "
                        f"is on {node}, and nobody on {', '.join(others)} reaches it"
                    )

    def _members(self, instances: Mapping[str, str], routers: Mapping[str, str]) -> dict[str, set[str]]:
        """The nodes that have an instance or a router on a network, by network."""
        members: dict[str, set[str]] = defaultdict(set)
        for name, node in instances.items():
            for nic in self.inventory.instances[name].networks:
                members[nic.network].add(node)
        for name, node in routers.items():
            for interface in self.inventory.cloud.routers[name].interfaces:
                members[interface.network].add(node)
        return members

    def _reaching(self, physical_networks: Iterable[str]) -> list[str]:
        wanted = set(physical_networks)
        return [one for one in self.network_nodes if wanted <= set(self.inventory.nodes[one].model.bridge_mappings)]

    def _least_loaded(self, nodes: Iterable[str], load: Mapping[str, int]) -> str:
        """The least loaded; a node that was never reached, or takes nothing new, only for want of another."""

        def weight(node: str) -> tuple[bool, bool, int, object]:
            enabled = self.inventory.nodes[node].model.enabled
            return node not in self.facts, not enabled, load.get(node, 0), natural(node)

        return min(nodes, key=weight)


def serves_dhcp(network: NetworkModel) -> bool:
    """Whether a network has a subnet with DHCP."""
    return any(subnet.enable_dhcp for subnet in network.subnets.values())

"""The network node of each router and each DHCP service: its node of the last run if possible, else the least loaded.

What does not belong here: the placement of instances (``instances.py``).
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
    """The result. ``routers`` is router → node; ``dhcp`` is network → nodes, in order of their names."""

    routers: Mapping[str, str]
    dhcp: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...] = ()


class Placer:
    """Places routers and DHCP services on nodes."""

    def __init__(self, inventory: Inventory, facts: Mapping[str, NodeFacts], problems: Problems) -> None:
        self.inventory = inventory
        self.facts = facts
        self.problems = problems
        self.warnings: list[str] = []
        self.network_nodes = [name for name, entry in inventory.nodes.items() if "network" in entry.roles]

    def place(
        self, routers: Mapping[str, str], dhcp: Mapping[str, Collection[str]], instances: Mapping[str, str]
    ) -> ServicePlacement:
        """Place every router on a node, and the DHCP service of every network on its number of nodes.

        :param routers: router → node in the last run.
        :param dhcp: network → nodes in the last run.
        :param instances: instance → node in this run.
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
            attached = [interface.network for interface in router.interfaces]
            if router.external_network:
                attached.append(router.external_network)
            wanted = {physical for network in attached if (physical := cloud.networks[network].physical_network)}
            reach[name] = self._reaching(wanted)
            if not reach[name] and self.network_nodes:
                self.problems.add(
                    f"cloud_routers.{name}", name,
                    f"no node of group network maps {' and '.join(sorted(wanted))} "
                    "(node_bridge_mappings), which the router's networks need",
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
                # Each node has its own part of a local network, so each part needs its own DHCP service.
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
            return  # the check of nodes refuses this
        message = "no node of group network maps it (node_bridge_mappings), so no node can run DHCP"
        if has_members:
            self.problems.add(f"cloud_networks.{name}.physical_network", network.physical_network, message)
        else:
            self.warnings.append(f"cloud_networks.{name}.physical_network: {network.physical_network!r}: {message}")

    def _warn_of_local_networks(self, routers: Mapping[str, str], members: Mapping[str, set[str]]) -> None:
        """Warn of routers on networks of type local: such a router serves only the part on its own node."""
        for name, node in routers.items():
            for index, interface in enumerate(self.inventory.cloud.routers[name].interfaces):
                network = interface.network
                others = sorted(members[network] - {node}, key=natural)
                if others and self.inventory.cloud.networks[network].type == "local":
                    self.warnings.append(
                        f"cloud_routers.{name}.interfaces.{index}: {network!r}: is a network of type local; the router "
                        f"is on {node}, and guests on {', '.join(others)} cannot reach it"
                    )

    def _members(self, instances: Mapping[str, str], routers: Mapping[str, str]) -> dict[str, set[str]]:
        """Network → the nodes that have an instance or a router on it."""
        members: dict[str, set[str]] = defaultdict(set)
        for name, node in instances.items():
            for nic in self.inventory.instances[name].networks:
                members[nic.network].add(node)
        for name, node in routers.items():
            for interface in self.inventory.cloud.routers[name].interfaces:
                members[interface.network].add(node)
        return members

    def _reaching(self, physical_networks: Iterable[str]) -> list[str]:
        """The nodes of group network that map all of ``physical_networks``."""
        wanted = set(physical_networks)
        return [name for name in self.network_nodes if wanted <= set(self.inventory.nodes[name].model.bridge_mappings)]

    def _least_loaded(self, nodes: Iterable[str], load: Mapping[str, int]) -> str:
        """The least loaded node. A node that is disabled or was never reached is used only if there is no other."""

        def weight(node: str) -> tuple[bool, bool, int, object]:
            enabled = self.inventory.nodes[node].model.enabled
            return node not in self.facts, not enabled, load.get(node, 0), natural(node)

        return min(nodes, key=weight)


def serves_dhcp(network: NetworkModel) -> bool:
    """Whether a network has a subnet with DHCP."""
    return any(subnet.enable_dhcp for subnet in network.subnets.values())

"""The allocations of a plan: everything that the inventory leaves open gets a value, what an earlier plan chose stays.

What does not belong here: choosing a value (``allocation/``), and choosing a node (``placement/``).
"""

from __future__ import annotations

from collections.abc import Mapping

from ..model.errors import Problems
from ..model.inventory import Inventory
from .allocation.allocations import (
    Allocations,
    InstanceAllocation,
    NetworkAllocation,
    PortAllocation,
    RouterAllocation,
)
from .allocation.allocator import PortAllocator, local_vlans, segments
from .allocation.ports import Spaces, declared_addresses, numbered, requests
from .allocation.resting import Resting
from .identity import natural
from .placement.instances import Placement
from .placement.services import ServicePlacement


def allocate(
    inv: Inventory, before: Allocations, spaces: Spaces, placement: Placement, services: ServicePlacement,
    resting: Resting, problems: Problems,
) -> Allocations:
    """Allocate for every instance, network and router of the inventory, on the nodes where they are placed.

    :param before: the allocations of the last run, which stay.
    """
    resting.prepare(spaces)
    claims = [declared.claim() for declared in declared_addresses(inv, spaces) if declared.space is not None]
    allocator = PortAllocator(inv.cloud.name, spaces, claims, problems, resting.blocked)
    ports = allocator.allocate(requests(inv, spaces, before, services.dhcp))
    segments_before = {name: network.segment for name, network in before.networks.items()}
    network_segments = segments(inv.cloud, segments_before, problems, resting.blocked)
    last, instances = before.last_number, {}
    for name in sorted(inv.instances, key=natural):
        instance = before.instances.get(name)
        if instance is None:
            last += 1
        labels = [label for label, _ in numbered(inv.instances[name].networks)]
        instances[name] = InstanceAllocation(
            instance.number if instance else last,
            placement.nodes[name],
            {label: ports[f"instance/{name}/{label}"] for label in labels},
            inv.instances[name].protected,
            instance is not None and instance.built,
        )
    return Allocations(
        cloud=inv.cloud.name,
        last_number=last,
        networks={
            name: NetworkAllocation(
                network_segments.get(name, ""),
                {node: ports[f"dhcp/{name}/{node}"] for node in services.dhcp.get(name, ())},
            )
            for name in inv.cloud.networks
        },
        routers={name: _router(inv, name, services.routers[name], ports) for name in inv.cloud.routers},
        instances=instances,
        vlans=local_vlans(_members(inv, placement, services), before.vlans, problems, resting.blocked),
    )


def _router(inv: Inventory, name: str, node: str, ports: Mapping[str, PortAllocation]) -> RouterAllocation:
    labels = [label for label, _ in numbered(inv.cloud.routers[name].interfaces)]
    return RouterAllocation(
        node, ports.get(f"router/{name}/gateway"), {label: ports[f"router/{name}/{label}"] for label in labels}
    )


def _members(inv: Inventory, placement: Placement, services: ServicePlacement) -> dict[str, list[str]]:
    """node → the networks that have a port on it, in the order of the inventory."""
    members: dict[str, set[str]] = {}
    for name, node in placement.nodes.items():
        members.setdefault(node, set()).update(nic.network for nic in inv.instances[name].networks)
    for name, node in services.routers.items():
        router = inv.cloud.routers[name]
        networks = [interface.network for interface in router.interfaces]
        members.setdefault(node, set()).update([*networks, *filter(None, [router.external_network])])
    for network, nodes in services.dhcp.items():
        for node in nodes:
            members.setdefault(node, set()).add(network)
    return {
        node: [network for network in inv.cloud.networks if network in networks]
        for node, networks in members.items()
        if networks
    }

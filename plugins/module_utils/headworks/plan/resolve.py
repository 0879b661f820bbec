"""The way through the plan: parse → validate → place and schedule → allocate → build → announce. Pure.

Every step collects all it finds wrong before the plan is refused. What does not belong here: any of the steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..model.errors import PlanError, Problems
from ..model.inventory import Inventory, parse
from ..model.names import RESERVED_BRIDGES
from . import facts as node_facts
from .allocation.allocations import (
    Allocations,
    InstanceAllocation,
    NetworkAllocation,
    PortAllocation,
    RouterAllocation,
    load,
)
from .allocation.allocator import PortAllocator, local_vlans, segments
from .allocation.ports import Spaces, declared_addresses, numbered, requests
from .allocation.subnets import spaces_of
from .announce import PlanChange, announce, declarations
from .build import Builder
from .check.context import Check
from .check.everything import validate
from .cloud import Cloud
from .facts import NodeFacts
from .identity import natural
from .images import ImageFacts, read_image
from .mtu import tunnel_ip
from .placement.instances import Placement, schedule
from .placement.services import Placer, ServicePlacement


@dataclass(frozen=True)
class Resolution:
    """What a plan decides. ``allocations`` are to be written (``.text()``) where they differ from what was given;
    ``plan_changes`` are to be shown (``.label``); ``warnings`` are lines."""

    cloud: Cloud
    allocations: Allocations
    plan_changes: tuple[PlanChange, ...] = ()
    warnings: tuple[str, ...] = ()


def resolve(
    inventory: Mapping[str, Any],
    allocations: Allocations | Mapping[str, Any] | None = None,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
    image_facts: Mapping[str, Mapping[str, Any]] | None = None,
) -> Resolution:
    """Decide everything.

    :param inventory: ``{"cloud": {cloud_*: …}, "nodes": {name: {"groups": […], "vars": {node_*, ansible_host}}},
        "instances": {name: {"groups": […], "vars": {instance_*}}}}``, templated.
    :param allocations: of the last run: plain data (the file's content or ``cloud_allocations``), or None.
    :param facts: node → ``{"vcpus", "ram_mb", "disk_gb", "kvm", "nics": {name: {"mac", "mtu", "addresses"}}}``;
        nodes that could not be reached are left out.
    :param image_facts: image → ``{"virtual_size_bytes", "checksum", "format"}``, where the file is at hand.
    :raises PlanError: the inventory is refused; ``messages`` say why.
    """
    inv = parse(inventory)
    before = allocations if isinstance(allocations, Allocations) else load(allocations)
    if before.cloud and before.cloud != inv.cloud.name:
        raise PlanError(
            [
                f"cloud_name: {inv.cloud.name!r}: the allocations are those of cloud {before.cloud!r}, and every id "
                "follows from the name; give this cloud its own cloud_allocations_file"
            ]
        )
    remembered = {name: one for name, one in before.facts.items() if name in inv.nodes}
    current = {
        name: node_facts.steady_nics(node_facts.read(one), remembered.get(name), _bridges(inv, name))
        for name, one in (facts or {}).items()
        if name in inv.nodes
    }
    known = {**remembered, **current}
    images = {name: read_image(one) for name, one in (image_facts or {}).items()}
    problems = Problems()
    spaces = spaces_of(inv.cloud.networks)
    warnings = validate(Check(inv, spaces, known, images, before, problems))
    problems.raise_if_any()

    placement, services = _place(inv, before, known, images, problems)
    problems.raise_if_any()
    after = _allocate(inv, before, spaces, placement, services, problems)
    problems.raise_if_any()
    after = replace(after, facts=_remembered(inv, before, current, known))
    checksums = {name: one.checksum for name, one in images.items()}
    cloud = Builder(inv, after, known, spaces, checksums).build()
    after = replace(after, declared=declarations(inv, cloud, after))
    changes = announce(before, after, cloud, placement.moved)
    return Resolution(cloud, after, tuple(changes), (*warnings, *placement.warnings, *services.warnings))


def _place(
    inv: Inventory, before: Allocations, known: Mapping[str, NodeFacts], images: Mapping[str, ImageFacts],
    problems: Problems,
) -> tuple[Placement, ServicePlacement]:
    disks = {name: one.virtual_size_gb for name, one in images.items()}
    placement = schedule(inv, {name: one.node for name, one in before.instances.items()}, known, problems, disks)
    services = Placer(inv, known, problems).place(
        {name: one.node for name, one in before.routers.items()},
        {name: tuple(one.dhcp) for name, one in before.networks.items()},
        placement.nodes,
    )
    return placement, services


def _allocate(
    inv: Inventory, before: Allocations, spaces: Spaces, placement: Placement, services: ServicePlacement,
    problems: Problems,
) -> Allocations:
    claims = [one.claim() for one in declared_addresses(inv, spaces) if one.space is not None]
    allocator = PortAllocator(inv.cloud.name, spaces, claims, problems)
    ports = allocator.allocate(requests(inv, spaces, before, services.dhcp))
    numbers = {name: one.segment for name, one in before.networks.items()}
    given = segments(inv.cloud, numbers, problems)
    last, instances = before.last_number, {}
    for name in sorted(inv.instances, key=natural):
        known = before.instances.get(name)
        if known is None:
            last += 1
        labels = [label for label, _ in numbered(inv.instances[name].networks)]
        instances[name] = InstanceAllocation(
            known.number if known else last,
            placement.nodes[name],
            {label: ports[f"instance/{name}/{label}"] for label in labels},
        )
    return Allocations(
        cloud=inv.cloud.name,
        last_number=last,
        networks={
            name: NetworkAllocation(
                given.get(name, ""), {node: ports[f"dhcp/{name}/{node}"] for node in services.dhcp.get(name, ())}
            )
            for name in inv.cloud.networks
        },
        routers={name: _router(inv, name, services.routers[name], ports) for name in inv.cloud.routers},
        instances=instances,
        vlans=local_vlans(_members(inv, placement, services), before.vlans, problems),
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
        networks = [one.network for one in router.interfaces]
        members.setdefault(node, set()).update([*networks, *filter(None, [router.external_network])])
    for network, nodes in services.dhcp.items():
        for node in nodes:
            members.setdefault(node, set()).add(network)
    return {node: [one for one in inv.cloud.networks if one in there] for node, there in members.items() if there}


def _bridges(inv: Inventory, node: str) -> frozenset[str]:
    """Devices of the node that are bridges of ours, and no NICs."""
    mapped = (one.bridge for one in inv.nodes[node].model.bridge_mappings.values())
    return frozenset((*RESERVED_BRIDGES, *mapped))


def _remembered(
    inv: Inventory, before: Allocations, current: Mapping[str, NodeFacts], known: Mapping[str, NodeFacts]
) -> dict[str, NodeFacts]:
    """What to keep in mind of every node, should it not answer next time."""
    result = {}
    for name, one in known.items():
        if name not in current:
            result[name] = one
            continue
        used = {mapping.interface for mapping in inv.nodes[name].model.bridge_mappings.values() if mapping.interface}
        used.add(one.nic_with(tunnel_ip(inv, name)))
        result[name] = node_facts.remember(one, before.facts.get(name), frozenset(used))
    return result

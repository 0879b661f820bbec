"""The sequence of the plan: parse → compare with the nodes → check → place → allocate → build → announce. Pure.

Every step collects all its problems before the plan is refused. The steps themselves do not belong here: they are in
``model/``, ``found/``, ``check/``, ``placement/``, ``allocation/``, ``build.py`` and ``announce.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
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
    RemovedInstance,
    RouterAllocation,
    digest,
    load,
)
from .allocation.allocator import PortAllocator, local_vlans, segments
from .allocation.ports import Spaces, declared_addresses, numbered, requests
from .allocation.resting import Resting, refuse_resting
from .allocation.subnets import spaces_of
from .allocation.version import next_version
from .announce import Found, PlanChange, announce, declarations
from .build import Builder
from .check.context import Check
from .check.everything import validate
from .cloud import Cloud
from .facts import NodeFacts
from .found.heal import heal
from .found.holdings import Holding, holdings_of
from .found.origin import check_cloud, check_version
from .found.rebuild import Rebuilt, rebuild
from .found.removals import DAY, Removal, removals_of
from .identity import natural
from .images import ImageFacts, read_image
from .mtu import tunnel_ip
from .placement.instances import Placement, schedule
from .placement.services import Placer, ServicePlacement


@dataclass(frozen=True)
class Resolution:
    """The result of a plan: the cloud, its allocations, the changes to show (``.label``), and lines of warning.

    ``removals`` are the instances that the run removes, ``removals_without_asking`` is how many it may remove.
    ``lost`` are (instance, node) of instances that are created again because their node has lost them. ``before`` are
    the corrected allocations of the last run, and ``held`` is what the nodes hold.
    """

    cloud: Cloud
    allocations: Allocations
    plan_changes: tuple[PlanChange, ...] = ()
    warnings: tuple[str, ...] = ()
    removals: tuple[Removal, ...] = ()
    removals_without_asking: int = 0
    lost: tuple[tuple[str, str], ...] = ()
    before: Allocations = field(default_factory=Allocations)
    held: Mapping[str, Holding] = field(default_factory=dict)


@dataclass(frozen=True)
class Occasion:
    """What a plan must know about its run and cannot compute: ``now`` in seconds since 1970, a new ``lineage`` for a
    new cloud, and ``accept_older`` (``cloud_accept_older``). ``damage`` says why the allocations file cannot be read
    ("": it can, or it does not exist); ``previous`` is the content of its previous version."""

    now: int = 0
    lineage: str = ""
    accept_older: bool = False
    damage: str = ""
    previous: Mapping[str, Any] | None = None


def resolve(
    inventory: Mapping[str, Any],
    allocations: Allocations | Mapping[str, Any] | None = None,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
    image_facts: Mapping[str, Mapping[str, Any]] | None = None,
    available: Mapping[str, Collection[str]] | None = None,
    occasion: Occasion = Occasion(),
) -> Resolution:
    """Plan a cloud: check its inventory, place and allocate everything that the inventory leaves open.

    :param inventory: ``{"cloud": {cloud_*: …}, "nodes": {name: {"groups": […], "vars": {node_*, ansible_host}}},
        "instances": {name: {"groups": […], "vars": {instance_*}}}}``, with all templates expanded.
    :param allocations: the allocations of the last run: plain data (the file's content or ``cloud_allocations``) or
        None.
    :param facts: node → ``{"vcpus", "ram_mb", "disk_gb", "kvm", "nics": {name: {"mac", "mtu", "addresses"}},
        "holdings": {…}}``, without the nodes that could not be reached.
    :param image_facts: image → ``{"virtual_size_bytes", "checksum", "format"}``, for files on the control node.
    :param available: cloud variable → the values that the wiring implements (``AVAILABLE`` in ``wiring/documents.py``).
        A variable that is not in ``available`` may have every value that its model accepts.
    :raises PlanError: the inventory is refused; ``messages`` say why.
    """
    inv = parse(inventory)
    held = {node: holding for node, holding in holdings_of(facts or {}).items() if node in inv.nodes}
    problems = Problems()
    rebuilt = _allocations(inv, allocations, held, occasion, problems)
    healed = heal(inv, rebuilt.allocations, held, problems)
    problems.raise_if_any()
    before = healed.allocations
    remembered = {name: node for name, node in before.facts.items() if name in inv.nodes}
    current = {
        name: node_facts.steady_nics(node_facts.read(data), remembered.get(name), _bridges(inv, name))
        for name, data in (facts or {}).items()
        if name in inv.nodes
    }
    latest_facts = {**remembered, **current}
    images = {name: read_image(data) for name, data in (image_facts or {}).items()}
    spaces = spaces_of(inv.cloud.networks)
    serials = {
        name: held[name].serial if name in held else before.serial if name in (facts or {}) else None
        for name in inv.nodes
    }
    resting = Resting(before, serials)
    warnings = validate(Check(inv, spaces, latest_facts, images, before, problems, available or {}))
    problems.raise_if_any()
    refuse_resting(inv, spaces, resting, problems)

    placement, services = _place(inv, before, latest_facts, images, problems)
    problems.raise_if_any()
    after = _allocate(inv, before, spaces, placement, services, resting, problems)
    problems.raise_if_any()
    removals = removals_of(inv, before, held)
    after = replace(
        after,
        facts=_remembered(inv, before, current, latest_facts),
        removed=_removed(inv, before, after, removals, held, occasion.now),
    )
    checksums = {name: image.checksum for name, image in images.items()}
    cloud = Builder(inv, after, latest_facts, spaces, checksums).build()
    after = replace(after, declared=declarations(inv, cloud, after))
    newest = max([before.serial, *(holding.serial for holding in held.values())])
    after = replace(after, resting=resting.after(after, newest + 1))
    after = next_version(rebuilt.stored, after, occasion.lineage, newest)
    changes = announce(before, after, cloud, Found(held, removals, healed.returning))
    notes = (*filter(None, [rebuilt.note]), *healed.notes, *_damaged(held))
    lines = (*notes, *warnings, *placement.warnings, *services.warnings)
    limit = inv.cloud.removals_without_asking
    return Resolution(cloud, after, tuple(changes), lines, removals, limit, healed.lost, before, held)


def _allocations(
    inv: Inventory, allocations: Allocations | Mapping[str, Any] | None, held: Mapping[str, Holding],
    occasion: Occasion, problems: Problems,
) -> Rebuilt:
    """The allocations of the last run. Refuse those of another cloud, and those that the nodes know better."""
    if not occasion.accept_older:
        check_cloud(inv.cloud.name, held, problems)
        problems.raise_if_any()
    data = allocations.dump() if isinstance(allocations, Allocations) else allocations
    before = allocations if isinstance(allocations, Allocations) else load(data)
    if before == Allocations():
        previous = load(occasion.previous)
        rebuilt = rebuild(inv, previous, occasion.damage, held, occasion.accept_older, problems)
        problems.raise_if_any()
        return rebuilt
    if before.cloud and before.cloud != inv.cloud.name:
        raise PlanError(
            [
                f"cloud_name: {inv.cloud.name!r}: the allocations are those of cloud {before.cloud!r}, and every id "
                "depends on the cloud's name; use another cloud_allocations_file for this cloud"
            ]
        )
    if not occasion.accept_older:
        check_version(before, digest(data), held, problems)
        problems.raise_if_any()
    return Rebuilt(before, before)


def _damaged(held: Mapping[str, Holding]) -> list[str]:
    return [f"nodes.{node}: {text}" for node in sorted(held, key=natural) for text in held[node].damaged]


def _removed(
    inv: Inventory, before: Allocations, after: Allocations, removals: Collection[Removal],
    held: Mapping[str, Holding], now: int,
) -> dict[str, RemovedInstance]:
    """The removed instances that nodes keep: new ones, and earlier ones that have neither returned nor been reclaimed.
    A node that does not answer may still have the guest itself."""

    def kept(entry: RemovedInstance) -> bool:
        node = entry.instance.node
        return entry.until > now or (node in inv.nodes and node not in held)

    until = now + inv.cloud.reclaim_after_days * DAY
    removed = {name: entry for name, entry in before.removed.items() if name not in after.instances and kept(entry)}
    for removal in removals:
        entry = before.instances.get(removal.name)
        if entry is not None and removal.name not in removed:
            removed[removal.name] = RemovedInstance(replace(entry, built=False, protected=False), until)
    return removed


def _place(
    inv: Inventory, before: Allocations, latest_facts: Mapping[str, NodeFacts], images: Mapping[str, ImageFacts],
    problems: Problems,
) -> tuple[Placement, ServicePlacement]:
    disks = {name: image.virtual_size_gb for name, image in images.items()}
    placed = {name: instance.node for name, instance in before.instances.items()}
    placement = schedule(inv, placed, latest_facts, problems, disks)
    services = Placer(inv, latest_facts, problems).place(
        {name: router.node for name, router in before.routers.items()},
        {name: tuple(network.dhcp) for name, network in before.networks.items()},
        placement.nodes,
    )
    return placement, services


def _allocate(
    inv: Inventory, before: Allocations, spaces: Spaces, placement: Placement, services: ServicePlacement,
    resting: Resting, problems: Problems,
) -> Allocations:
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


def _bridges(inv: Inventory, node: str) -> frozenset[str]:
    """The names of devices of the node that are bridges of headworks and not NICs."""
    mapped = (mapping.bridge for mapping in inv.nodes[node].model.bridge_mappings.values())
    return frozenset((*RESERVED_BRIDGES, *mapped))


def _remembered(
    inv: Inventory, before: Allocations, current: Mapping[str, NodeFacts], latest_facts: Mapping[str, NodeFacts]
) -> dict[str, NodeFacts]:
    """The facts of every node that the allocations keep, for a run in which the node does not answer."""
    result = {}
    for name, node in latest_facts.items():
        if name not in current:
            result[name] = node
            continue
        used = {mapping.interface for mapping in inv.nodes[name].model.bridge_mappings.values() if mapping.interface}
        used.add(node.nic_with(tunnel_ip(inv, name)))
        result[name] = node_facts.remember(node, before.facts.get(name), frozenset(used))
    return result

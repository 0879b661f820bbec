"""The sequence of the plan: parse → compare with the nodes → check → place → allocate → build → announce. Pure.

Every step collects all its problems before the plan is refused. The steps themselves do not belong here: they are in
``model/``, ``found/``, ``check/``, ``placement/``, ``allocation/``, ``build.py`` and ``announce.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..model.errors import Problems
from ..model.inventory import Inventory, parse
from .allocate import allocate
from .allocation.allocations import Allocations
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
from .found.removals import Removal, kept_removed, removals_of, sooner_reclaimed
from .found.start import Occasion, start
from .identity import natural
from .images import ImageFacts, read_image
from .latest_facts import latest_facts, remembered
from .limits import check_limits
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


def resolve(
    inventory: Mapping[str, Any],
    allocations: Allocations | Mapping[str, Any] | None = None,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
    image_facts: Mapping[str, Mapping[str, Any]] | None = None,
    available: Mapping[str, Collection[str]] | None = None,
    occasion: Occasion | None = None,
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
    :param occasion: what the plan must know about its run.
    :raises PlanError: the inventory is refused; ``messages`` say why.
    """
    inv, reported, occasion = parse(inventory), facts or {}, occasion or Occasion()
    held = {node: holding for node, holding in holdings_of(reported).items() if node in inv.nodes}
    problems = Problems()
    started = start(inv, allocations, held, occasion, problems)
    problems.raise_if_any()
    healed = heal(inv, started.allocations, held, problems)
    problems.raise_if_any()

    before = healed.allocations
    latest = latest_facts(inv, before, reported)
    images = {name: read_image(data) for name, data in (image_facts or {}).items()}
    spaces = spaces_of(inv.cloud.networks)
    resting = Resting(before, _serials(inv, before, held, reported))
    warnings = validate(Check(inv, spaces, latest.nodes, images, before, problems, available or {}))
    problems.raise_if_any()
    refuse_resting(inv, spaces, resting, problems)

    placement, services = _place(inv, before, latest.nodes, images, problems)
    problems.raise_if_any()
    after = allocate(inv, before, spaces, placement, services, resting, problems)
    problems.raise_if_any()

    removals = removals_of(inv, before, held)
    removed = kept_removed(inv, before, removals, held, occasion.now)
    after = replace(after, facts=remembered(inv, before, latest), removed=removed)
    checksums = {name: image.checksum for name, image in images.items()}
    cloud = Builder(inv, after, latest.nodes, spaces, checksums).build()
    limits = check_limits(cloud, latest.nodes, problems)
    problems.raise_if_any()
    after = replace(after, declared=declarations(inv, cloud, after))
    changes = announce(before, after, cloud, Found(held, removals, healed.returning))

    newest = max([before.serial, *(holding.serial for holding in held.values())])
    after = replace(after, resting=resting.after(after, newest + 1))
    after = next_version(started.stored, after, occasion.lineage, newest)
    notes = (*filter(None, [started.note]), *healed.notes, *_damaged(held), *sooner_reclaimed(inv, held))
    lines = (*notes, *warnings, *placement.warnings, *services.warnings, *limits)
    limit = inv.cloud.removals_without_asking
    return Resolution(cloud, after, tuple(changes), lines, removals, limit, healed.lost, before, held)


def _serials(
    inv: Inventory, before: Allocations, held: Mapping[str, Holding], facts: Mapping[str, Any]
) -> dict[str, int | None]:
    """node → serial of the plan that it applied last in whole; None for a node that does not answer. A node that
    answers but does not say what it holds was converged by an older headworks, which applied the last plan."""
    return {
        name: held[name].applied if name in held else before.serial if name in facts else None for name in inv.nodes
    }


def _damaged(held: Mapping[str, Holding]) -> list[str]:
    return [f"nodes.{node}: {text}" for node in sorted(held, key=natural) for text in held[node].damaged]


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

"""Correct the allocations by what the nodes hold: a guest stays on the node that has its disk, also on a renamed node.

What does not belong here: lost allocations (``rebuild.py``), and guests that are no longer declared (``removals.py``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from ...model.errors import Problems
from ...model.inventory import Inventory
from ..allocation.allocations import Allocations, InstanceAllocation, load
from ..identity import natural, object_id
from .holdings import HeldInstance, Holding

Places = Mapping[str, tuple[str, HeldInstance]]


@dataclass(frozen=True)
class Healed:
    """The corrected allocations; ``notes`` say what was corrected. ``returning`` is instance → its removed guest, which
    comes back. ``lost`` are (instance, node) of instances whose node has lost them."""

    allocations: Allocations
    notes: tuple[str, ...] = ()
    returning: Mapping[str, HeldInstance] = field(default_factory=dict)
    lost: tuple[tuple[str, str], ...] = ()


def heal(inventory: Inventory, before: Allocations, held: Mapping[str, Holding], problems: Problems) -> Healed:
    """Return the allocations as the nodes confirm them.

    Refused are guests that two nodes hold, and nodes that leave with guests.
    """
    before, notes = _renamed_nodes(inventory, before, held)
    places = _places(inventory, held, problems)
    returning = _returning(inventory, before, held, places)
    instances = dict(before.instances)
    last = before.last_number
    for name, (node, guest) in {**places, **returning}.items():
        known = before.instances.get(name)
        kept = before.removed.get(name)
        entry = known or (kept.instance if kept else _from_extract(name, held[node]))
        number = entry.number if entry else guest.number if guest.number is not None else last + 1
        last = max(last, number)
        instances[name] = replace(entry or InstanceAllocation(number, node), node=node, built=name in places)
        if name in places and (known is None or known.node != node):
            said = f"the allocations say {known.node}" if known else "the allocations do not know it"
            notes.append(f"instances.{name}: is on {node} ({said}); it stays there")
    instances.update(_perhaps_there(inventory, before, held, instances))
    lost = _lost(inventory, before, held, places)
    for name, _ in lost:
        instances[name] = replace(instances[name], built=False)
    healed = replace(before, instances=instances, last_number=last, declared=_lines(before, instances))
    _check_leaving(inventory, healed, problems)
    return Healed(healed, tuple(notes), {name: guest for name, (_, guest) in returning.items()}, lost)


def _lines(before: Allocations, instances: Mapping[str, InstanceAllocation]) -> dict[str, Mapping[str, str]]:
    """The lines of the last run, with the nodes on which the instances are."""
    lines = dict(before.declared.get("instance", {}))
    for name, line in lines.items():
        was, now = before.instances.get(name), instances.get(name)
        if was and now and was.node != now.node:
            parts = [f"node={now.node}" if part == f"node={was.node}" else part for part in line.split(" ")]
            lines[name] = " ".join(parts)
    return {**before.declared, **({"instance": lines} if lines else {})}


def _places(inventory: Inventory, held: Mapping[str, Holding], problems: Problems) -> Places:
    """instance → (its node, what the node reports). Refuse an instance that several nodes hold."""
    cloud = inventory.cloud.name
    nodes: dict[str, list[tuple[str, HeldInstance]]] = defaultdict(list)
    for node in sorted(held, key=natural):
        for guest in held[node].guests(cloud):
            nodes[guest.id].append((node, guest))
    places = {}
    for name in inventory.instances:
        holders = nodes.get(object_id(cloud, "instance", name), [])
        if len(holders) > 1:
            listed = " and ".join(f"{node} ({guest.state}, {_size(guest.disk_bytes)})" for node, guest in holders)
            problems.lacking(
                f"instances.{name}",
                f"is held by {listed}; an instance is on one node only. Compare the disks, and remove the guest from "
                "the node that must not have it: module instance with state: absent moves its disk to "
                "/var/lib/headworks/removed",
            )
        if holders:
            places[name] = holders[0]
    return places


def _from_extract(name: str, holding: Holding) -> InstanceAllocation | None:
    """What the node itself knows of the instance."""
    part = load(holding.allocations)
    removed = part.removed.get(name)
    return part.instances.get(name) or (removed.instance if removed else None)


def _returning(
    inventory: Inventory, before: Allocations, held: Mapping[str, Holding], places: Places
) -> Places:
    """instance → (node, removed guest), for declared instances that no node holds but whose removed disk a node keeps;
    the one that was removed last."""
    cloud = inventory.cloud.name
    names = {object_id(cloud, "instance", name): name for name in inventory.instances if name not in places}
    found: dict[str, tuple[str, HeldInstance]] = {}
    for node in sorted(held, key=natural):
        for guest in held[node].removed(cloud):
            name = names.get(guest.id)
            if name and name not in before.instances and (name not in found or found[name][1].removed < guest.removed):
                found[name] = (node, guest)
    return found


def _perhaps_there(
    inventory: Inventory, before: Allocations, held: Mapping[str, Holding], known: Collection[str]
) -> dict[str, InstanceAllocation]:
    """The removed instances that are declared again while their node does not answer: it may hold them still, so they
    stay there, and no other node creates them."""
    return {
        name: entry.instance
        for name, entry in before.removed.items()
        if name in inventory.instances and name not in known
        if entry.instance.node in inventory.nodes and entry.instance.node not in held
    }


def _renamed_nodes(
    inventory: Inventory, before: Allocations, held: Mapping[str, Holding]
) -> tuple[Allocations, list[str]]:
    """The allocations with the new names of renamed nodes. A node remembers the name under which it was converged."""
    claims: dict[str, list[str]] = defaultdict(list)
    for node, holding in held.items():
        if holding.cloud == inventory.cloud.name and holding.node not in ("", node):
            claims[holding.node].append(node)
    new_names = {
        old: nodes[0]
        for old, nodes in claims.items()
        if len(nodes) == 1 and old not in inventory.nodes and nodes[0] not in before.vlans
    }
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
            value: replace(rest, nodes=tuple(now(node) for node in rest.nodes))
            for value, rest in before.resting.items()
        },
    ), notes


def _lost(
    inventory: Inventory, before: Allocations, held: Mapping[str, Holding], places: Places
) -> tuple[tuple[str, str], ...]:
    """(instance, node) of instances that their node has had and no longer has. If all nodes answer and none has ever
    been converged, the whole cloud is made anew, and nothing is lost."""
    new = set(inventory.nodes) <= set(held) and not any(
        holding.cloud or holding.instances for holding in held.values()
    )
    return tuple(
        (name, entry.node)
        for name in inventory.instances
        if (entry := before.instances.get(name)) and entry.built and name not in places and entry.node in held
        if not new
    )


def _check_leaving(inventory: Inventory, before: Allocations, problems: Problems) -> None:
    """Refuse a node that leaves the inventory, or the group compute, while it has guests."""
    guests: dict[str, list[str]] = defaultdict(list)
    for name, entry in before.instances.items():
        guests[entry.node].append(name)
    for node in sorted(guests, key=natural):
        present = inventory.nodes.get(node)
        if present and "compute" in present.roles:
            continue
        # A node that is still in the inventory can remove the guests that are no longer declared.
        staying = [name for name in guests[node] if present is None or name in inventory.instances]
        if staying:
            names = ", ".join(sorted(staying, key=natural)[:8]) + (", …" if len(staying) > 8 else "")
            what = "is no longer in group compute" if present else "is no longer in the inventory"
            problems.lacking(
                f"nodes.{node}",
                f"{what}, but it has guests: {names}. They would be created elsewhere with blank disks. Put the node "
                "back into group compute; to empty it, remove its guests in a run of their own (instance_state: "
                "absent), then take the node out",
            )


def _size(amount: int) -> str:
    return f"{amount / (1 << 30):.1f} GiB"

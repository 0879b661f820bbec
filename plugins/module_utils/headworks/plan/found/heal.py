"""Correct the allocations by what the nodes hold: a guest stays on the node that has its disk.

What does not belong here: nodes with new names (``renamed.py``), lost allocations (``rebuild.py``), and guests that are
no longer declared (``removals.py``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from ...model.errors import Problems
from ...model.inventory import Inventory
from ..allocation.allocations import Allocations, InstanceAllocation, PortAllocation
from ..allocation.resting import values_of
from ..identity import natural, object_id
from .holdings import HeldInstance, Holding
from .renamed import with_new_names

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
    before, notes = with_new_names(inventory, before, held)
    places = _places(inventory, held, problems)
    returning, left_behind = _returning(inventory, before, held, places)
    known = _Known(before, held)
    instances = dict(before.instances)
    last = before.last_number
    for name, (node, guest) in {**places, **returning}.items():
        entry = known.entry(name, node)
        number = entry.number if entry else guest.number if guest.number is not None else last + 1
        last = max(last, number)
        if entry is None or (entry.node, entry.built) != (node, name in places):
            entry = replace(entry or InstanceAllocation(number, node), node=node, built=name in places)
        instances[name] = entry
        earlier = before.instances.get(name)
        if name in places and (earlier is None or earlier.node != node):
            said = f"the allocations say {earlier.node}" if earlier else "the allocations do not know it"
            notes.append(f"instances.{name}: is on {node} ({said}); it stays there")
    for name in _perhaps_there(inventory, before, held, instances):
        instances[name] = known.entry(name) or before.removed[name].instance
    notes += [
        f"instances.{name}: {removed.instance.node} no longer keeps the disk of its removal (it is reclaimed, or "
        "/var/lib/headworks is not mounted); it gets a new disk"
        for name, removed in before.removed.items()
        if name in inventory.instances and name not in instances and removed.instance.node in held
    ]
    lost = _lost(inventory, before, held, {*places, *returning})
    for name, _ in lost:
        instances[name] = replace(instances[name], built=False)
    healed = replace(before, instances=instances, last_number=last, declared=_lines(before, instances))
    _check_leaving(inventory, healed, problems)
    comes_back = {name: guest for name, (_, guest) in returning.items()}
    return Healed(healed, (*notes, *left_behind), comes_back, lost)


class _Known:
    """What the allocations, or a node itself, know of instances."""

    def __init__(self, before: Allocations, held: Mapping[str, Holding]) -> None:
        self._before = before
        self._held = held

    def entry(self, name: str, node: str = "") -> InstanceAllocation | None:
        """The allocation of an instance, which ``node`` holds; None if nothing knows it. An instance that is not among
        those of the last run gets no address and no MAC back that another port has by now."""
        if name in self._before.instances:
            return self._before.instances[name]
        kept = self._before.removed.get(name)
        entry = kept.instance if kept else self._held[node].entry(name) if node else None
        return replace(entry, ports=self._still_free(name, entry)) if entry else None

    @cached_property
    def _owners(self) -> dict[str, str]:
        return {value: owner for value, owner, _ in values_of(self._before)}

    def _still_free(self, name: str, entry: InstanceAllocation) -> dict[str, PortAllocation]:
        ports = {}
        for label, port in entry.ports.items():
            key, network = f"instance/{name}/{label}", label.partition("#")[0]
            if self._owners.setdefault(f"mac/{port.mac}", key) == key:
                addresses = tuple(
                    address
                    for address in port.addresses
                    if self._owners.setdefault(f"address/{network}/{address}", key) == key
                )
                ports[label] = replace(port, addresses=addresses)
        return ports


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


def _returning(
    inventory: Inventory, before: Allocations, held: Mapping[str, Holding], places: Places
) -> tuple[Places, list[str]]:
    """instance → (node, removed guest), for declared instances that no node holds but whose removed disk a node keeps;
    the one that was removed last. Also notes about disks that stay where they are, because the inventory wants the
    instance on another node."""
    cloud = inventory.cloud.name
    names = {object_id(cloud, "instance", name): name for name in inventory.instances if name not in places}
    found: dict[str, tuple[str, HeldInstance]] = {}
    notes = {}
    for node in sorted(held, key=natural):
        for guest in held[node].removed(cloud):
            name = names.get(guest.id)
            if name is None or (name in before.instances and before.instances[name].node != node):
                continue
            pin = inventory.instances[name].host
            if pin not in (None, node) or "compute" not in inventory.nodes[node].roles:
                wanted = f"instance_host wants it on {pin}" if pin not in (None, node) else "it is no compute node"
                notes[name] = f"instances.{name}: its removed disk is on {node} and stays there: {wanted}"
            elif name not in found or found[name][1].removed < guest.removed:
                found[name] = (node, guest)
    return found, [note for name, note in notes.items() if name not in found]


def _perhaps_there(
    inventory: Inventory, before: Allocations, held: Mapping[str, Holding], known: Collection[str]
) -> list[str]:
    """The removed instances that are declared again while their node does not answer: it may hold them still, so they
    stay there, and no other node creates them."""
    return [
        name
        for name, entry in before.removed.items()
        if name in inventory.instances and name not in known
        if entry.instance.node in inventory.nodes and entry.instance.node not in held
    ]


def _lost(
    inventory: Inventory, before: Allocations, held: Mapping[str, Holding], found: Collection[str]
) -> tuple[tuple[str, str], ...]:
    """(instance, node) of instances that their node has had and no longer has: they are not ``found``. If all nodes
    answer and none has ever been converged, the whole cloud is made anew, and nothing is lost."""
    new = set(inventory.nodes) <= set(held) and not any(
        holding.cloud or holding.instances for holding in held.values()
    )
    return tuple(
        (name, entry.node)
        for name in inventory.instances
        if (entry := before.instances.get(name)) and entry.built and name not in found and entry.node in held
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

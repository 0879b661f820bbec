"""The instances that a run removes, and the gate: removals beyond a number must be confirmed.

What does not belong here: the list that the node enforces, which travels in its document (``removals``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from ...model.errors import PlanError, some
from ...model.inventory import Inventory
from ..allocation.allocations import Allocations, RemovedInstance
from ..identity import natural, object_id
from .holdings import Holding

DAY = 86400
# How many instances a message lists.
_SHOWN = 50


@dataclass(frozen=True)
class Removal:
    """An instance that is no longer declared, and that ``node`` holds, or may hold if it did not answer (``pending``).

    ``disk_bytes`` is what its disk occupies; ``created`` is in seconds since 1970, 0 if unknown. ``decided``: an
    earlier run began the removal, but was interrupted, or the node did not answer. Nobody is asked again.
    """

    name: str
    id: str
    node: str
    disk_bytes: int = 0
    created: int = 0
    state: str = ""
    protected: bool = False
    pending: bool = False
    decided: bool = False

    @property
    def disk(self) -> str:
        """The size of the disk for people; a guest whose files are lost has none."""
        return f"{self.disk_bytes / (1 << 30):.1f} GiB" if self.disk_bytes else "missing"


def removals_of(inventory: Inventory, before: Allocations, held: Mapping[str, Holding]) -> tuple[Removal, ...]:
    """The removals of this run, by node and name: all guests that nodes hold and the inventory does not declare, and
    those of the last run whose node did not answer."""
    cloud = inventory.cloud.name
    declared = {object_id(cloud, "instance", name) for name in inventory.instances}
    removals = [
        Removal(
            guest.name or guest.id, guest.id, node, guest.disk_bytes, guest.created, guest.state,
            guest.protected or (guest.name in before.instances and before.instances[guest.name].protected),
            decided=guest.name in before.removed and guest.name not in before.instances,
        )
        for node, holding in held.items()
        for guest in holding.guests(cloud)
        if guest.id not in declared
    ]
    found = {removal.id for removal in removals}
    for name, entry in before.instances.items():
        uuid = object_id(cloud, "instance", name)
        if name not in inventory.instances and uuid not in found and entry.node not in held:
            removals.append(Removal(name, uuid, entry.node, protected=entry.protected, pending=True))
    return tuple(sorted(removals, key=lambda removal: (natural(removal.node), natural(removal.name))))


def kept_removed(
    inventory: Inventory, before: Allocations, removals: Collection[Removal], held: Mapping[str, Holding], now: int
) -> dict[str, RemovedInstance]:
    """The removed instances that nodes keep for their return: those of this run, and earlier ones that are neither back
    in the inventory nor reclaimed. A node that does not answer may still have the guest itself."""
    cloud = inventory.cloud.name

    def kept(name: str, entry: RemovedInstance) -> bool:
        node = entry.instance.node
        if node in held:
            return object_id(cloud, "instance", name) in held[node].instances
        return entry.until > now or node in inventory.nodes

    removed = {
        name: entry
        for name, entry in before.removed.items()
        if name not in inventory.instances and kept(name, entry)
    }
    until = now + inventory.cloud.reclaim_after_days * DAY
    for removal in removals:
        name, earlier = removal.name, removed.get(removal.name)
        entry = before.instances.get(name) or (earlier.instance if earlier else None)
        if entry is None and not removal.pending:
            entry = held[removal.node].entry(name)
        if entry is not None:
            entry = replace(entry, node=removal.node, built=False, protected=False)
            removed[name] = RemovedInstance(entry, until)
    return removed


def unneeded(confirmed: int | None, removals: Collection[Removal], lost: Collection[tuple[str, str]]) -> str:
    """A warning of a confirmation that nothing needs: left in a command or an inventory, it would confirm a later slip.
    "" if it is needed. It is no reason to refuse: the operator may repeat a command that was interrupted."""
    if not confirmed or lost or any(not removal.decided for removal in removals):
        return ""
    return (
        f"cloud_confirm_removal: {confirmed}: this run removes no instance that must be confirmed; leave it out. If it "
        "stays in your command or inventory, it confirms the next mistake that removes as many"
    )


def sooner_reclaimed(inventory: Inventory, held: Mapping[str, Holding]) -> list[str]:
    """A warning for each node that would keep removed instances for a shorter time than now
    (``cloud_reclaim_after_days``): their disks are deleted with the retention, and nothing asks."""
    cloud, days = inventory.cloud.name, inventory.cloud.reclaim_after_days
    declared = {object_id(cloud, "instance", name) for name in inventory.instances}
    lines = []
    for node in sorted(held, key=natural):
        kept = [guest for guest in held[node].removed(cloud) if guest.id not in declared]
        sooner = [guest.name or guest.id for guest in kept if guest.removed + days * DAY < guest.until]
        if sooner:
            lines.append(
                f"cloud_reclaim_after_days: {days}: {node} deletes removed guests sooner than it was told before: "
                f"{some(sorted(sooner, key=natural), _SHOWN)}"
            )
    return lines


def check_lost(
    lost: Collection[tuple[str, str]], removals: tuple[Removal, ...], confirmed: int | None, now: int
) -> None:
    """Refuse to create instances again whose nodes have lost them, unless this is confirmed.

    :param lost: (instance, node).
    :param removals: the instances that the run removes; one number confirms both.
    :raises PlanError: the run must not create these instances.
    """
    removals = tuple(removal for removal in removals if not removal.decided)
    count = len(lost) + len(removals)
    if lost and confirmed != count:
        names = some([f"{name} ({node})" for name, node in sorted(lost, key=lambda item: natural(item[0]))], _SHOWN)
        raise PlanError(
            [
                f"instances: their nodes had these instances and no longer hold them: {names}. Their disks are lost, "
                "or the filesystem of /var/lib/headworks is not mounted: mount or restore it, and run again. To create "
                f"them anew with blank disks, add -e cloud_confirm_removal={count}"
                + (f", which counts {len(removals)} removals too:\n{table(removals, now)}" if removals else "")
            ]
        )


def check_removals(
    removals: tuple[Removal, ...], lost: int, declared: int, limit: int, confirmed: int | None, now: int
) -> None:
    """Refuse removals of protected guests, and more removals than allowed.

    :param lost: number of instances that are created again (``check_lost``); one number confirms both.
    :param declared: number of instances in the inventory. A run that would leave none always asks.
    :param limit: ``cloud_removals_without_asking``.
    :param confirmed: ``cloud_confirm_removal`` or None.
    :raises PlanError: the run must not remove these instances.
    """
    messages = [
        f"instances.{removal.name}: is protected on {removal.node} and must not be removed. Put it back into the "
        "inventory; to remove it, set instance_protected: false in a run of its own first"
        for removal in removals
        if removal.protected
    ]
    undecided = tuple(removal for removal in removals if not removal.decided)
    messages += filter(None, [_unconfirmed(undecided, lost, declared, limit, confirmed, now)])
    if messages:
        raise PlanError(messages)


def _unconfirmed(
    removals: tuple[Removal, ...], lost: int, declared: int, limit: int, confirmed: int | None, now: int
) -> str:
    """Why these removals need a confirmation, or another one; "" if they do not."""
    count = len(removals)
    if count == 0 or confirmed == count + lost:
        return ""
    if confirmed is not None:
        return f"cloud_confirm_removal: {confirmed}: the run would remove {count}:\n{table(removals, now)}"
    if count > limit or declared == 0:
        why = (
            f"more than cloud_removals_without_asking allows ({limit})"
            if count > limit
            else "and group instances is empty: was the right inventory given, and was all of it read?"
        )
        return (
            f"instances: this run would remove {count}, {why}:\n{table(removals, now)}\n"
            f"  If this is what you want, add -e cloud_confirm_removal={count + lost}. Their disks are kept on "
            "their nodes for a while (cloud_reclaim_after_days)."
        )
    return ""


def table(removals: tuple[Removal, ...], now: int) -> str:
    """The first removals as a table: instance, node, disk, age, state. The plan lists all."""
    rows = [("instance", "node", "disk", "age", "state")]
    for removal in removals[:_SHOWN]:
        disk = "?" if removal.pending else removal.disk
        age = f"{max(0, now - removal.created) // DAY} d" if removal.created else "?"
        rows.append((removal.name, removal.node, disk, age, removal.state or "its node does not answer"))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    more = [f"and {len(removals) - _SHOWN} more"] if len(removals) > _SHOWN else []
    return "\n".join(f"    {line}" for line in (*lines, *more))

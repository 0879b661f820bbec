"""Rebuild lost allocations from the extracts that the nodes keep.

What does not belong here: taking and merging extracts (``plan/allocation/extract.py``), and allocations that exist but
differ from the nodes' (``origin.py``, ``heal.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...model.errors import Problems, some
from ...model.inventory import Inventory
from ..allocation.allocations import Allocations
from ..allocation.extract import merge
from ..identity import natural, object_id
from .holdings import Holding
from .origin import FILE
from .renamed import renamed_nodes


@dataclass(frozen=True)
class Rebuilt:
    """The allocations of the last run; ``note`` tells the operator that they are rebuilt ("": nothing was lost).
    ``stored`` is what the file holds: nothing but lineage and serial if it is lost."""

    allocations: Allocations
    stored: Allocations
    note: str = ""


def rebuild(
    inventory: Inventory, previous: Allocations, damage: str, held: Mapping[str, Holding], accept: bool,
    problems: Problems,
) -> Rebuilt:
    """The allocations of a cloud whose file is lost. A cloud that no node knows is new, and has none.

    :param previous: the allocations of the file's previous version (``.prev``); empty without such a file. They count
        only if they are of the nodes' lineage.
    :param damage: why the file cannot be read; "" if it is missing.
    :param accept: rebuild although some nodes do not answer (``cloud_accept_older``).
    """
    cloud = inventory.cloud.name
    parts = {
        node: holding.extract
        for node, holding in held.items()
        if holding.cloud == cloud and holding.extract != Allocations()
    }
    lineages = {part.lineage for part in parts.values()}
    use_previous = previous.cloud == cloud and (not parts or previous.lineage in lineages)
    state = damage or "is missing"
    if len(lineages) > 1 and not accept:
        owners = ", ".join(f"{node} ({parts[node].lineage})" for node in sorted(parts, key=natural))
        problems.add(
            FILE, "", f"{state}, and the nodes applied allocations of different lineages: {owners}; restore the file"
        )
    rebuilt = merge([previous, *parts.values()] if use_previous else parts.values())
    if rebuilt == Allocations() and damage:
        problems.add(
            FILE, "", f"{damage}, and no node knows the allocations; restore it from a backup, or delete it if the "
            "cloud is new"
        )  # fmt: skip
    _refuse_unknown_guests(cloud, state, held, rebuilt, problems)
    if rebuilt == Allocations():
        return Rebuilt(rebuilt, rebuilt)
    if not accept:
        _refuse_silent_nodes(inventory, state, held, rebuilt, problems)
    sources = [*(["its previous version"] if use_previous else []), *sorted(parts, key=natural)]
    return Rebuilt(
        rebuilt,
        Allocations(lineage=rebuilt.lineage, serial=rebuilt.serial),
        f"{FILE}: {state}; the allocations (serial {rebuilt.serial}) are rebuilt from {', '.join(sources)}",
    )


def _refuse_unknown_guests(
    cloud: str, state: str, held: Mapping[str, Holding], rebuilt: Allocations, problems: Problems
) -> None:
    """Refuse guests whose node cannot tell what was allocated to them: they would get other addresses."""
    known = {object_id(cloud, "instance", name) for name in (*rebuilt.instances, *rebuilt.removed)}
    unknown = {
        node: names
        for node, holding in held.items()
        if (names := [guest.name or guest.id for guest in holding.guests(cloud) if guest.id not in known])
    }
    for node in sorted(unknown, key=natural):
        problems.add(
            FILE, "",
            f"{state}, and it cannot be rebuilt: {node} holds guests ({some(sorted(unknown[node], key=natural))}), but "
            "it does not know their allocations: an older headworks converged it, or its node-state.json is damaged; "
            "restore the file from version control or a backup",
        )


def _refuse_silent_nodes(
    inventory: Inventory, state: str, held: Mapping[str, Holding], rebuilt: Allocations, problems: Problems
) -> None:
    """Refuse to rebuild without a node that may hold guests: one that does not answer, or has left the inventory."""
    silent = sorted((node for node in inventory.nodes if node not in held), key=natural)
    if silent:
        problems.add(
            FILE, "",
            f"{state}; it can be rebuilt from the nodes, but {', '.join(silent)} does not answer, and guests there "
            "would be made again elsewhere. Repair the node, or restore the file from version control; "
            "-e cloud_accept_older=true rebuilds it without what is on that node",
        )
    renamed = renamed_nodes(inventory, held, rebuilt.vlans)
    gone = [node for node in rebuilt.declared.get("node", {}) if node not in inventory.nodes and node not in renamed]
    if gone:
        problems.add(
            FILE, "",
            f"{state}; it can be rebuilt from the nodes, but {', '.join(sorted(gone, key=natural))} is no longer in "
            "the inventory, and guests there would be made again elsewhere. Put the node back for this run, or restore "
            "the file from version control; -e cloud_accept_older=true rebuilds it without what is on that node",
        )

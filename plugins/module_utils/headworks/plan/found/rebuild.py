"""Rebuild lost allocations from the extracts that the nodes keep.

What does not belong here: taking and merging extracts (``plan/allocation/extract.py``), and allocations that exist but
differ from the nodes' (``origin.py``, ``heal.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...model.errors import Problems
from ...model.inventory import Inventory
from ..allocation.allocations import Allocations, load
from ..allocation.extract import merge
from ..identity import natural
from .holdings import Holding
from .origin import FILE


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

    :param previous: the allocations of the file's previous version (``.prev``); empty without such a file.
    :param damage: why the file cannot be read; "" if it is missing.
    :param accept: rebuild although some nodes do not answer (``cloud_accept_older``).
    """
    cloud = inventory.cloud.name
    known = {node: holding for node, holding in held.items() if holding.cloud == cloud}
    parts = {node: load(holding.allocations) for node, holding in known.items() if holding.allocations}
    mute = sorted((node for node in known if node not in parts and known[node].guests(cloud)), key=natural)
    state = damage or "is missing"
    if not known and not previous.cloud:
        if damage:
            problems.add(FILE, "", f"{damage}, and no node knows the allocations; restore it from a backup")
        return Rebuilt(Allocations(), Allocations())
    if mute:
        problems.add(
            FILE, "",
            f"{state}, and it cannot be rebuilt: {', '.join(mute)} holds guests, but an older headworks converged it, "
            "and it knows no allocations; restore the file from version control or a backup",
        )
    lineages = {part.lineage for part in parts.values()}
    if len(lineages) > 1:
        owners = ", ".join(f"{node} ({parts[node].lineage})" for node in sorted(parts, key=natural))
        problems.add(
            FILE, "", f"{state}, and the nodes applied allocations of different lineages: {owners}; restore the file"
        )
    silent = sorted((node for node in inventory.nodes if node not in held), key=natural)
    if silent and not accept:
        problems.add(
            FILE, "",
            f"{state}; it can be rebuilt from the nodes, but {', '.join(silent)} does not answer, and guests there "
            "would be made again elsewhere. Repair the node, or restore the file from version control; "
            "-e cloud_accept_older=true rebuilds it without what is on that node",
        )
    rebuilt = merge([previous, *parts.values()] if previous.cloud == cloud else parts.values())
    sources = [*(["its previous version"] if previous.cloud == cloud else []), *sorted(parts, key=natural)]
    return Rebuilt(
        rebuilt,
        Allocations(lineage=rebuilt.lineage, serial=rebuilt.serial),
        f"{FILE}: {state}; the allocations (serial {rebuilt.serial}) are rebuilt from {', '.join(sources)}",
    )

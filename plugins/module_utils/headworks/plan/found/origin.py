"""Refuse allocations that are not those that the nodes applied last: of another cloud, of another lineage, or older.

What does not belong here: allocations that are lost (``rebuild.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ...model.errors import Problems, some
from ..allocation.allocations import Allocations
from ..identity import natural
from .holdings import Holding

FILE = "cloud_allocations_file"
WAY_OUT = "-e cloud_accept_older=true applies this plan nevertheless"


def check_cloud(cloud: str, held: Mapping[str, Holding], problems: Problems) -> None:
    """Refuse nodes that belong to another cloud."""
    for node in sorted(held, key=natural):
        other = held[node].cloud
        if other in ("", cloud):
            continue
        guests = sorted(guest.name for guest in held[node].guests(other))
        holds = f" and holds its guests {some(guests)}" if guests else ""
        problems.add(
            "cloud_name", cloud,
            f"{node} belongs to cloud {other!r}{holds}. Every id depends on the cloud's name: with another name, all "
            f"objects would be made anew. Set cloud_name back to {other!r}, or remove {other!r} from {node} first "
            f"(a run with an empty cloud); {WAY_OUT}",
        )


def check_names(cloud: str, nodes: Collection[str], held: Mapping[str, Holding], problems: Problems) -> None:
    """Refuse a node whose machine was converged as another node of the inventory: two names for one machine, or
    exchanged addresses.

    :param nodes: the nodes of the inventory.
    """
    for node in sorted(held, key=natural):
        other = held[node].node
        if held[node].cloud == cloud and other != node and other in nodes:
            problems.lacking(
                f"nodes.{node}",
                f"the machine that answers was converged as {other}, which is in the inventory, too: probably "
                f"ansible_host of {node} is the address of another machine. Correct it, and remove no guest because of "
                f"this. If the names are exchanged on purpose, {WAY_OUT}",
            )


def check_version(before: Allocations, digest: str, held: Mapping[str, Holding], problems: Problems) -> None:
    """Refuse allocations of another lineage than the nodes', or older, or of the same serial with other content.

    :param digest: the digest of the allocations as stored.
    """
    known = {node: holding for node, holding in held.items() if holding.lineage}
    foreign = [node for node, holding in known.items() if holding.lineage != before.lineage]
    newer = [node for node in known if node not in foreign and known[node].serial > before.serial]
    split = [
        node
        for node in known
        if node not in foreign and known[node].serial == before.serial and known[node].digest != digest
    ]
    if foreign:
        problems.add(
            FILE, before.lineage or "(none)",
            f"{_nodes(foreign, known)} applied allocations of another lineage "
            f"({', '.join(sorted({known[node].lineage for node in foreign}))}). This file was made anew, or it belongs "
            "to another cloud: guests would be made again and removed. Use the file of the last run; without that "
            f"file, delete this one, and it is rebuilt from the nodes; {WAY_OUT}",
        )
    if newer:
        problems.add(
            FILE, f"serial {before.serial}",
            f"is older than what {_nodes(newer, known)} applied: this checkout is stale, or another control machine "
            "has run since. Update the checkout (git pull); without a newer file, delete this one, and it is rebuilt "
            f"from the nodes; {WAY_OUT}",
        )
    if split:
        problems.add(
            FILE, f"serial {before.serial}",
            f"{_nodes(split, known)} applied other allocations with the same serial: two control machines have planned "
            "from the same file, or the file was edited by hand. Use the file of the last run; without that file, "
            f"delete this one, and it is rebuilt from the nodes; {WAY_OUT}",
        )


def _nodes(names: Iterable[str], held: Mapping[str, Holding]) -> str:
    listed = [f"{name} (serial {held[name].serial})" for name in sorted(names, key=natural)]
    return some(listed)

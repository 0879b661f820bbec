"""What the nodes are: their sizes and NICs, as reported now or, for a node that does not answer, as remembered.

What is remembered goes into the allocations file, so it is kept small and steady: only NICs that the plan uses, and no
rewriting because a disk filled by a percent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

# A smaller relative change of memory or disk than this is not worth a new line in the allocations file.
_STEADY = 0.1


@dataclass(frozen=True)
class NicFacts:
    """A NIC. ``addresses`` are CIDRs, also those moved to a bridge of ours."""

    mac: str = ""
    mtu: int = 1500
    addresses: tuple[str, ...] = ()

    def has(self, address: str) -> bool:
        """Whether the NIC has this address (without prefix length)."""
        return any(one.split("/")[0] == address for one in self.addresses)


@dataclass(frozen=True)
class NodeFacts:
    """A node. ``disk_gb`` is what instances may use in all; ``kvm`` whether the processor's virtualisation works."""

    vcpus: int = 0
    ram_mb: int = 0
    disk_gb: int = 0
    kvm: bool = False
    nics: Mapping[str, NicFacts] = field(default_factory=dict)

    def nic_with(self, address: str) -> str:
        """The NIC that has the address, or ""."""
        return next((name for name, nic in self.nics.items() if nic.has(address)), "")


def read(data: Mapping[str, Any]) -> NodeFacts:
    """Facts of one node from plain data (see ``node/facts.py``); keys that the plan does not need are left alone."""
    nics = {
        str(name): NicFacts(str(nic.get("mac", "")), int(nic.get("mtu") or 1500), tuple(nic.get("addresses") or ()))
        for name, nic in sorted((data.get("nics") or {}).items())
    }
    sizes = {name: int(data.get(name) or 0) for name in ("vcpus", "ram_mb", "disk_gb")}
    return NodeFacts(**sizes, kvm=bool(data.get("kvm")), nics=nics)


def write(facts: NodeFacts) -> dict[str, Any]:
    """The plain data that ``read`` takes."""
    nics = {
        name: {"mac": nic.mac, "mtu": nic.mtu, "addresses": list(nic.addresses)} for name, nic in facts.nics.items()
    }
    return {
        "vcpus": facts.vcpus, "ram_mb": facts.ram_mb, "disk_gb": facts.disk_gb, "kvm": facts.kvm, "nics": nics,
    }


def steady_nics(current: NodeFacts, before: NodeFacts | None, bridges: frozenset[str]) -> NodeFacts:
    """``current`` with addresses where they belong: on a NIC, never on one of our ``bridges`` that it was moved to.

    Facts should say so already; where they name the bridge, the NIC is the one that had the address ``before``.
    """
    moved = [address for name, nic in current.nics.items() if name in bridges for address in nic.addresses]
    nics = {name: nic for name, nic in current.nics.items() if name not in bridges}
    for address in moved:
        home = before.nic_with(address.split("/")[0]) if before else ""
        if home in nics and not nics[home].has(address.split("/")[0]):
            nics[home] = replace(nics[home], addresses=(*nics[home].addresses, address))
    return replace(current, nics=nics)


def remember(current: NodeFacts, before: NodeFacts | None, nics: frozenset[str]) -> NodeFacts:
    """What to keep of ``current``: the NICs named, and the earlier memory and disk where they hardly changed."""
    kept = replace(current, nics={name: nic for name, nic in current.nics.items() if name in nics})
    if before is None:
        return kept
    return replace(
        kept, ram_mb=_steady(current.ram_mb, before.ram_mb), disk_gb=_steady(current.disk_gb, before.disk_gb)
    )


def _steady(now: int, before: int) -> int:
    return before if abs(now - before) <= _STEADY * before else now

"""Facts of the nodes: sizes and NICs, as reported now or, for nodes that do not answer, as kept in the allocations.

The kept facts are small and change rarely: they hold only the NICs that the plan uses, and a small change of memory or
disk size does not rewrite them. Gathering facts on a node does not belong here; that is ``node/host/facts.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

# A smaller relative change of memory or disk size than this does not change the kept facts.
_STEADY = 0.1


@dataclass(frozen=True)
class NicFacts:
    """A NIC. ``addresses`` are CIDRs; they include addresses that headworks moved to a bridge. ``kind``, ``master``,
    ``lower`` and ``manager`` are explained in ``node/host/facts.py``; only a node that answers reports them."""

    mac: str = ""
    mtu: int = 1500
    addresses: tuple[str, ...] = ()
    kind: str = ""
    master: str = ""
    lower: str = ""
    manager: str = ""
    permanent_mac: str = ""

    def has(self, address: str) -> bool:
        """Whether the NIC has this address (without prefix length)."""
        return any(cidr.split("/")[0] == address for cidr in self.addresses)


@dataclass(frozen=True)
class KernelFacts:
    """A node's kernel. ``modules`` is module → whether the kernel has it or can load it, for those of which this is
    known. ``limits`` is sysctl → number."""

    release: str = ""
    modules: Mapping[str, bool] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeFacts:
    """A node. ``disk_gb`` is the space for the disks of all instances; ``removed_gb`` is what the disks of removed
    instances occupy of it; ``kvm`` says whether /dev/kvm is usable. ``removed_gb`` and ``kernel`` are not kept."""

    vcpus: int = 0
    ram_mb: int = 0
    disk_gb: int = 0
    removed_gb: int = 0
    kvm: bool = False
    nics: Mapping[str, NicFacts] = field(default_factory=dict)
    kernel: KernelFacts | None = None

    def nic_with(self, address: str) -> str:
        """The name of the NIC that has the address, or ""."""
        return next((name for name, nic in self.nics.items() if nic.has(address)), "")

    def has_addresses(self, nic: str) -> bool:
        """Whether the node has such a NIC, and addresses on it."""
        return nic in self.nics and bool(self.nics[nic].addresses)


def read(data: Mapping[str, Any]) -> NodeFacts:
    """Facts of a node from plain data (see ``node/host/facts.py``); keys that the plan does not need are ignored."""
    nics = {str(name): _read_nic(nic) for name, nic in sorted((data.get("nics") or {}).items())}
    sizes = {name: int(data.get(name) or 0) for name in ("vcpus", "ram_mb", "disk_gb", "removed_gb")}
    return NodeFacts(**sizes, kvm=bool(data.get("kvm")), nics=nics, kernel=_kernel(data.get("kernel")))


def _kernel(data: Mapping[str, Any] | None) -> KernelFacts | None:
    if not data:
        return None
    modules = {str(name): bool(there) for name, there in (data.get("modules") or {}).items()}
    limits = {str(name): int(value) for name, value in (data.get("limits") or {}).items()}
    return KernelFacts(str(data.get("release", "")), modules, limits)


def _read_nic(nic: Mapping[str, Any]) -> NicFacts:
    texts = {key: str(nic.get(key) or "") for key in ("mac", "kind", "master", "lower", "manager", "permanent_mac")}
    return NicFacts(mtu=int(nic.get("mtu") or 1500), addresses=tuple(nic.get("addresses") or ()), **texts)


def write(facts: NodeFacts) -> dict[str, Any]:
    """The plain data that ``read`` takes."""
    nics = {
        name: {"mac": nic.mac, "mtu": nic.mtu, "addresses": list(nic.addresses)} for name, nic in facts.nics.items()
    }
    return {
        "vcpus": facts.vcpus, "ram_mb": facts.ram_mb, "disk_gb": facts.disk_gb, "kvm": facts.kvm, "nics": nics,
    }


def steady_nics(current: NodeFacts, before: NodeFacts | None, bridges: frozenset[str]) -> NodeFacts:
    """``current`` without ``bridges``, and with every address on its NIC instead of on the bridge it was moved to.

    A node normally reports such an address on the NIC already. If it reports the bridge, the NIC is the NIC that had
    the address in the facts of ``before``.
    """
    moved = [address for name, nic in current.nics.items() if name in bridges for address in nic.addresses]
    nics = {name: nic for name, nic in current.nics.items() if name not in bridges}
    for address in moved:
        home = before.nic_with(address.split("/")[0]) if before else ""
        if home in nics and not nics[home].has(address.split("/")[0]):
            nics[home] = replace(nics[home], addresses=(*nics[home].addresses, address))
    return replace(current, nics=nics)


def remember(current: NodeFacts, before: NodeFacts | None, nics: frozenset[str]) -> NodeFacts:
    """The facts to keep: ``nics`` of ``current``, and the sizes of ``before`` where they changed only a little. A NIC
    that is missing now is kept as it was: it is broken, and not a typing mistake."""
    known = {**(before.nics if before else {}), **current.nics}
    # Only what ``write`` keeps, so that a later run reads the same facts.
    used = {name: NicFacts(nic.mac, nic.mtu, nic.addresses) for name, nic in sorted(known.items()) if name in nics}
    kept = replace(current, removed_gb=0, kernel=None, nics=used)
    if before is None:
        return kept
    return replace(
        kept, ram_mb=_steady(current.ram_mb, before.ram_mb), disk_gb=_steady(current.disk_gb, before.disk_gb)
    )


def _steady(now: int, before: int) -> int:
    return before if abs(now - before) <= _STEADY * before else now

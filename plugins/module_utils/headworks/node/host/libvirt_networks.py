"""Networks of libvirt's own that a node must not have: the stock network ``default`` brings a bridge, a dnsmasq and NAT
rules that disturb a cloud's.

Only their removal is here: a cloud's networks are never libvirt's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...system.process import run
from ..subsystem import Applied, Change, Reading, Scope, Subsystem

DEFINITIONS = (Path("/etc/libvirt/qemu/networks"), Path("/run/libvirt/network"))


@dataclass(frozen=True)
class LibvirtNetwork:
    """A network of libvirt."""

    name: str


class LibvirtNetworkSubsystem(Subsystem[LibvirtNetwork]):
    """Networks of libvirt, read from its files and removed by virsh; for a single-purpose module only."""

    kind = "libvirt_network"
    record = LibvirtNetwork

    def read(self, desired: Mapping[str, LibvirtNetwork], scope: Scope | None = None) -> Reading[LibvirtNetwork]:
        """Which of ``desired`` are defined or active. None of them is ours."""
        return Reading({name: LibvirtNetwork(name) for name in networks_present(desired)})

    def apply(self, changes: Sequence[Change[LibvirtNetwork]]) -> Applied:
        """Destroy and undefine.

        :raises ValueError: a network is to be made.
        """
        for change in changes:
            if change.after is not None:
                raise ValueError(f"libvirt network {change.name}: networks of libvirt are only removed, never made")
            if change.name in run(["virsh", "--quiet", "net-list", "--name"]).split():
                run(["virsh", "--quiet", "net-destroy", change.name])
            if change.name in run(["virsh", "--quiet", "net-list", "--all", "--name"]).split():
                run(["virsh", "--quiet", "net-undefine", change.name])
        return Applied()


def networks_present(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that libvirt has defined or active, sorted; read from its files, which needs no daemon."""
    return sorted(name for name in set(names) if any((home / f"{name}.xml").exists() for home in DEFINITIONS))

"""Networks of libvirt that a node must not have. The stock network ``default`` adds a bridge, a dnsmasq and NAT rules
that interfere with those of a cloud.

What does not belong here: networks of a cloud. They are never networks of libvirt, so this file only removes.
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
    """Networks of libvirt, read from its files and removed by virsh. Only a single-purpose module uses it."""

    kind = "libvirt_network"
    record = LibvirtNetwork

    def read(self, desired: Mapping[str, LibvirtNetwork], scope: Scope | None = None) -> Reading[LibvirtNetwork]:
        """Return the networks of ``desired`` that are defined or active. No network is ours."""
        return Reading({name: LibvirtNetwork(name) for name in networks_present(desired)})

    def apply(self, changes: Sequence[Change[LibvirtNetwork]]) -> Applied:
        """Destroy and undefine the networks.

        :raises ValueError: a change would create a network.
        """
        for change in changes:
            if change.after is not None:
                raise ValueError(f"libvirt network {change.name}: networks of libvirt are only removed, never created")
            if change.name in run(["virsh", "--quiet", "net-list", "--name"]).split():
                run(["virsh", "--quiet", "net-destroy", change.name])
            if change.name in run(["virsh", "--quiet", "net-list", "--all", "--name"]).split():
                run(["virsh", "--quiet", "net-undefine", change.name])
        return Applied()


def networks_present(names: Iterable[str]) -> list[str]:
    """Return the networks of ``names`` that are defined or active, sorted. It reads libvirt's files and needs no
    daemon."""
    return sorted(name for name in set(names) if any((home / f"{name}.xml").exists() for home in DEFINITIONS))

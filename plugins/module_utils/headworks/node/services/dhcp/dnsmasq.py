"""DHCP and DNS of networks: each network has a dnsmasq in its ``qdhcp-`` namespace, an instance of a template unit.

The files of a network are in ``/run/headworks/dhcp/<network id>/``. What does not belong here: the content of these
files (``files.py``), the lease file (``leases.py``), the namespace and its interface (``node/links``), and the
interface's addresses (``node/l3``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ....state.codec import encode
from ....state.dhcp import DhcpNetwork
from ....state.distribution import Distribution
from ....state.places import DHCP_DIR
from ....system.files import read_text, write_file
from ....system.netns import in_netns
from ...subsystem import Change
from ..daemons import DaemonSubsystem
from .files import CONFIG, LEASES, render, unit_text
from .leases import Lease, parse_leases, repair_leases, send_releases, stale_leases

ROOT = Path(DHCP_DIR)
RELEASE_SECONDS = 1.0  # how long dnsmasq gets to end released leases
CLEAN_READS = 3  # how many reads without stale leases count as success


class DhcpSubsystem(DaemonSubsystem[DhcpNetwork]):
    """The dnsmasq of each network. For changed hosts or options dnsmasq is reloaded. Only for another configuration
    (range, interface, MTU, domain) or another namespace it is restarted; that takes milliseconds and keeps all
    leases."""

    kind = "dhcp"
    record = DhcpNetwork
    template = "headworks-dhcp"
    program = "dnsmasq"
    restart_files = frozenset({CONFIG})

    def __init__(self, owner: str | None = None, root: Path = ROOT, *, user: str) -> None:
        super().__init__(owner, root)
        self.user = user

    @classmethod
    def of_node(cls, owner: str, distribution: Distribution) -> DhcpSubsystem:
        """Return the subsystem with the user of the distribution's dnsmasq."""
        return cls(owner, user=distribution.dnsmasq_user)

    def unit_text(self) -> str:
        """Return the template unit (``files.unit_text``)."""
        return unit_text(self.root)

    def files(self, network: DhcpNetwork) -> dict[str, str]:
        """Return the files that dnsmasq reads (``files.render``)."""
        return render(network, self.directory(network.name), self.user)

    def netns(self, network: DhcpNetwork) -> str:
        """Return the namespace in the network's record."""
        return network.netns

    def describe(self, network: DhcpNetwork | None) -> Any:
        """Return the network as plain data. Each host is a single line, so that a diff of many hosts is readable."""
        if network is None:
            return None
        plain = encode(network)
        if network.hosts:
            plain["hosts"] = [f"{host.mac} {host.address} {host.hostname}".rstrip() for host in network.hosts]
        return plain

    def service_problems(self, network: DhcpNetwork) -> list[str]:
        """Return a problem if stale leases keep addresses from the hosts that have them now."""
        stale = self._stale_leases(network)
        return ["stale leases: " + ", ".join(sorted(lease.address for lease in stale)[:10])] if stale else []

    def before_start(self, network: DhcpNetwork) -> None:
        """Repair the lease file while dnsmasq does not run."""
        path = self.directory(network.name) / LEASES
        write_file(path, repair_leases(read_text(path) or "", network, time.time()))

    def after_reload(self, changes: Sequence[Change[DhcpNetwork]]) -> dict[str, str]:
        """End the leases of removed hosts, so that their addresses are free. If dnsmasq does not end a lease in time,
        it is restarted. Return the servers that failed."""
        # dnsmasq rewrites the lease file in place, also on a reload. A single read may find it empty, so several reads
        # without stale leases are needed.
        waiting = {
            change.name: (change.after, CLEAN_READS) for change in changes if change.after and _may_lose_hosts(change)
        }
        released: set[str] = set()
        end = time.monotonic() + RELEASE_SECONDS
        while waiting and time.monotonic() < end:
            for name, (network, reads_left) in list(waiting.items()):
                stale = self._stale_leases(network)
                waiting[name] = (network, CLEAN_READS if stale else reads_left - 1)
                if stale and name not in released:
                    released.add(name)
                    with suppress(OSError), in_netns(network.netns):  # otherwise it is restarted
                        send_releases(network, stale)
            waiting = {
                name: (network, reads_left) for name, (network, reads_left) in waiting.items() if reads_left > 0
            }
            time.sleep(0.01 if waiting else 0)
        return self.restart({name: network for name, (network, _) in waiting.items()}, list(waiting))

    def _stale_leases(self, network: DhcpNetwork) -> list[Lease]:
        return stale_leases(parse_leases(read_text(self.directory(network.name) / LEASES) or ""), network.hosts)


def _may_lose_hosts(change: Change[DhcpNetwork]) -> bool:
    """Return whether the change may remove a host, so that leases must end. A change that only adds hosts need not wait
    for that."""
    if change.before is None or change.after is None or change.before.problems:
        return True
    kept = {(host.mac, host.address) for host in change.after.hosts}
    return any((host.mac, host.address) not in kept for host in change.before.hosts)

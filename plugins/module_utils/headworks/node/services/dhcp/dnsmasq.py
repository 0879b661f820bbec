"""DHCP and DNS of a network: one dnsmasq per network in its ``qdhcp-`` namespace, as a systemd template instance.

Everything of a network is in ``/run/headworks/dhcp/<network id>/``. What its files say is ``dhcp_files.py``'s, the
leases are ``dhcp_leases.py``'s; the namespace, the interface and its addresses are made by others before.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ....state.codec import encode
from ....state.dhcp import DhcpNetwork
from ....state.places import DHCP_DIR
from ....system.files import read_text, write_file
from ....system.netns import in_netns
from ...subsystem import Change
from ..daemons import DaemonSubsystem
from . import leases as dhcp_leases
from .files import CONFIG, LEASES, render, unit_text

ROOT = Path(DHCP_DIR)
RELEASE_SECONDS = 1.0
RELEASE_LOOKS = 3


class DhcpSubsystem(DaemonSubsystem[DhcpNetwork]):
    """dnsmasq per network. A change of hosts or options is written and reloaded; only another configuration (range,
    interface, MTU, domain) or another namespace is a restart, which takes milliseconds and forgets no lease."""

    kind = "dhcp"
    record = DhcpNetwork
    template = "headworks-dhcp"
    program = "dnsmasq"
    restart_files = frozenset({CONFIG})

    def __init__(self, owner: str | None = None, root: Path = ROOT) -> None:
        super().__init__(owner, root)

    def unit_text(self) -> str:
        """See ``dhcp_files.unit_text``."""
        return unit_text(self.root)

    def files(self, one: DhcpNetwork) -> dict[str, str]:
        """See ``dhcp_files.render``."""
        return render(one, self.directory(one.name))

    def netns(self, one: DhcpNetwork) -> str:
        """As the record says."""
        return one.netns

    def describe(self, one: DhcpNetwork | None) -> Any:
        """As plain data; a host is one line, so that a diff of many reads well."""
        if one is None:
            return None
        plain = encode(one)
        if one.hosts:
            plain["hosts"] = [f"{host.mac} {host.address} {host.hostname}".rstrip() for host in one.hosts]
        return plain

    def more_problems(self, one: DhcpNetwork) -> list[str]:
        """Leases that keep an address from whoever has it now."""
        stale = self._stale(one)
        return ["stale leases: " + ", ".join(sorted(lease.address for lease in stale)[:10])] if stale else []

    def prepare(self, one: DhcpNetwork) -> None:
        """Mend the lease file while nobody holds it."""
        path = self.directory(one.name) / LEASES
        write_file(path, dhcp_leases.mended(read_text(path) or "", one, time.time()))

    def settle(self, changes: Sequence[Change[DhcpNetwork]]) -> None:
        """End leases of hosts that left, so that their addresses are free. What cannot be ended so is by a restart."""
        # dnsmasq writes the file in place, and on a reload too: one look may meet it empty, so look again.
        waiting = {one.name: (one.after, RELEASE_LOOKS) for one in changes if one.after and _lost_hosts(one)}
        sent: set[str] = set()
        end = time.monotonic() + RELEASE_SECONDS
        while waiting and time.monotonic() < end:
            for name, (network, looks) in list(waiting.items()):
                stale = self._stale(network)
                waiting[name] = (network, RELEASE_LOOKS if stale else looks - 1)
                if stale and name not in sent:
                    sent.add(name)
                    with in_netns(network.netns):
                        dhcp_leases.release(network, stale)
            waiting = {name: one for name, one in waiting.items() if one[1] > 0}
            time.sleep(0.01 if waiting else 0)
        self.start_anew({name: network for name, (network, _) in waiting.items()}, list(waiting))

    def _stale(self, network: DhcpNetwork) -> list[dhcp_leases.Lease]:
        leases = dhcp_leases.parse_leases(read_text(self.directory(network.name) / LEASES) or "")
        return dhcp_leases.stale(leases, network.hosts)


def _lost_hosts(change: Change[DhcpNetwork]) -> bool:
    """Whether leases may have to end: an additive change must not wait for that."""
    if change.before is None or change.after is None or change.before.problems:
        return True
    kept = {(host.mac, host.address) for host in change.after.hosts}
    return any((host.mac, host.address) not in kept for host in change.before.hosts)

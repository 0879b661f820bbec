"""Small real networks for tests: namespaces that veth pairs connect, and pings through them. The engine does not create
these networks."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from headworks.system.netns import in_netns
from shell import sh


def namespace(name: str) -> None:
    """Create a namespace with lo up."""
    sh("ip", "netns", "add", name)
    sh("ip", "link", "set", "lo", "up", netns=name)


def join(first: str, device: str, second: str, peer: str) -> None:
    """Create a veth pair between two namespaces, with both ends up."""
    sh("ip", "link", "add", device, "netns", first, "type", "veth", "peer", "name", peer, "netns", second)
    sh("ip", "link", "set", device, "up", netns=first)
    sh("ip", "link", "set", peer, "up", netns=second)


def host(name: str, device: str, address: str, gateway: str = "") -> None:
    """Add an address to a namespace's device, and a default route if ``gateway`` is given."""
    sh("ip", "address", "add", address, "dev", device, netns=name)
    if gateway:
        sh("ip", "route", "add", "default", "via", gateway, netns=name)


def pings(netns: str, address: str, source: str = "") -> bool:
    """Return whether ``address`` answers a single ping within two seconds."""
    words = ["ping", "-c", "1", "-W", "2", *(["-I", source] if source else []), address]
    with in_netns(netns):
        return subprocess.run(words, check=False, capture_output=True).returncode == 0


IN_FLIGHT = 20  # packets that may still be unanswered when a busy machine ends the ping


@contextmanager
def steady_ping(netns: str, address: str, interval: float = 0.01) -> Iterator[list[int]]:
    """Ping while the body runs. Afterwards the yielded list has the numbers of packets [sent, received].

    Packets after the last answer count as sent only if there are more of them than ``IN_FLIGHT``.
    """
    words = ["ping", "-i", str(interval), address]
    with in_netns(netns):
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    counts: list[int] = []
    try:
        time.sleep(0.2)
        yield counts
        time.sleep(0.2)
    finally:
        process.send_signal(2)
        output, _ = process.communicate(timeout=10)
    answered = {int(number) for number in re.findall(r"bytes from .* icmp_seq=(\d+)", output)}
    (transmitted,) = (int(number) for number in re.findall(r"(\d+) packets transmitted", output))
    last = max(answered, default=0)
    counts += [last if transmitted - last <= IN_FLIGHT else transmitted, len(answered)]

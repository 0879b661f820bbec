"""dnsmasq's lease file: its content before a start, its stale leases, and the DHCPRELEASE that ends a stale lease.

dnsmasq keeps leases in memory and reads the file only when it starts, so the file may be written only while dnsmasq
does not run. A running dnsmasq ends a lease when it gets the guest's DHCPRELEASE. What does not belong here: the other
files of dnsmasq (``files.py``), and starting or stopping dnsmasq (``dnsmasq.py``).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from .files import short_name

if TYPE_CHECKING:
    from ....state.dhcp import DhcpHost, DhcpNetwork

SERVER_PORT = 67


@dataclass(frozen=True)
class Lease:
    """A DHCPv4 lease. ``client_id`` is hexadecimal with colons, or ``*`` if the guest sent no client id."""

    mac: str
    address: str
    client_id: str = "*"


def parse_leases(text: str) -> list[Lease]:
    """Return the DHCPv4 leases of a lease file. Their lines are ``<expiry> <mac> <address> <name> <client id>``, and
    they end at the line ``duid``."""
    leases = []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["duid"]:
            break
        if len(words) >= 5:
            leases.append(Lease(words[1], words[2], words[4]))
    return leases


def stale_leases(leases: Iterable[Lease], hosts: Iterable[DhcpHost]) -> list[Lease]:
    """Return the leases that belong to no host. No other host can get the address of such a lease."""
    desired = {(host.mac, host.address) for host in hosts}
    return [lease for lease in leases if (lease.mac, lease.address) not in desired]


def repair_leases(text: str, network: DhcpNetwork, now: float) -> str:
    """Return the lease file ``text`` without stale leases, and with a new lease for each host that has none. Other
    leases are kept.

    Hosts get a lease before they ask, because dnsmasq ignores a guest that wants to keep a lease that dnsmasq does not
    know. (An authoritative dnsmasq would answer, but it would also refuse guests that chose the network's other
    server.)
    """
    ipv4_hosts = {(host.mac, host.address): host for host in network.hosts if ip_address(host.address).version == 4}
    ipv6_addresses = {host.address for host in network.hosts if ip_address(host.address).version == 6}
    ipv4_lines, duid, ipv6_lines = _sections(text)
    existing = {(words[1], words[2]): " ".join(words) for words in ipv4_lines if len(words) >= 5}
    expiry = 0 if network.lease_seconds < 0 else int(now) + network.lease_seconds
    lines = [
        existing.get((mac, address)) or f"{expiry} {mac} {address} {short_name(host)} *"
        for (mac, address), host in ipv4_hosts.items()
    ]
    lines += [" ".join(duid)] if duid else []
    lines += [" ".join(words) for words in ipv6_lines if len(words) >= 5 and words[2] in ipv6_addresses]
    return "".join(line + "\n" for line in lines)


def _sections(text: str) -> tuple[list[list[str]], list[str], list[list[str]]]:
    """Return the DHCPv4 leases, the ``duid`` line and the DHCPv6 leases, each line as a list of words."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    for index, words in enumerate(lines):
        if words[0] == "duid":
            return lines[:index], words, lines[index + 1 :]
    return lines, [], []


def send_releases(network: DhcpNetwork, leases: Sequence[Lease]) -> None:
    """Send a DHCPRELEASE for each lease to the network's server. Call it inside the network's namespace.

    A DHCPRELEASE has no answer: read the lease file afterwards.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for lease in leases:
            server = _server_of(network, lease)
            if server:
                sender.sendto(release_packet(lease, server), (server, SERVER_PORT))


def _server_of(network: DhcpNetwork, lease: Lease) -> str:
    """Return the server's address in the lease's subnet; "" if the network has no such subnet any more."""
    address = ip_address(lease.address)
    return next((subnet.server for subnet in network.subnets if address in ip_network(subnet.cidr)), "")


def release_packet(lease: Lease, server: str) -> bytes:
    """Return the DHCPRELEASE that the guest would send (RFC 2131, 4.4.6)."""
    hardware = bytes.fromhex(lease.mac.replace(":", ""))
    header = struct.pack("!BBBB4sHH", 1, 1, len(hardware), 0, os.urandom(4), 0, 0)
    addresses = socket.inet_aton(lease.address) + bytes(12)
    options = b"\x63\x82\x53\x63" + _option(53, b"\x07") + _option(54, socket.inet_aton(server))
    if lease.client_id != "*":
        options += _option(61, bytes.fromhex(lease.client_id.replace(":", "")))
    return header + addresses + hardware.ljust(16, b"\0") + bytes(64 + 128) + options + b"\xff"


def _option(code: int, value: bytes) -> bytes:
    return bytes([code, len(value)]) + value

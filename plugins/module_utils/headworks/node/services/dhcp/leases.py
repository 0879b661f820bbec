"""dnsmasq's lease file: what to seed it with, what in it is stale, and DHCPRELEASE for what left.

dnsmasq keeps leases in memory and reads the file only when it starts. So the file may be written only while dnsmasq is
down; a lease of a running one is ended by telling it what the guest would tell it. What does not belong here: the other
files, and systemd.
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
    """A DHCPv4 lease. ``client_id`` is hexadecimal with colons, ``*`` when the guest gave none."""

    mac: str
    address: str
    client_id: str = "*"


def parse_leases(text: str) -> list[Lease]:
    """The DHCPv4 leases of a lease file: ``<expiry> <mac> <address> <name> <client id>``; they end at the ``duid``."""
    leases = []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["duid"]:
            break
        if len(words) >= 5:
            leases.append(Lease(words[1], words[2], words[4]))
    return leases


def stale(leases: Iterable[Lease], hosts: Iterable[DhcpHost]) -> list[Lease]:
    """Leases that no host has (any more): while they last, nobody else can get their address."""
    known = {(host.mac, host.address) for host in hosts}
    return [lease for lease in leases if (lease.mac, lease.address) not in known]


def mended(text: str, network: DhcpNetwork, now: float) -> str:
    """A lease file without stale leases, and with one for each host that had none; the rest as it was.

    Seeded, because a server that does not know a lease does not answer when a guest wants to go on with it (and being
    authoritative instead would refuse guests that chose the network's other server).
    """
    known = {(host.mac, host.address): host for host in network.hosts if ip_address(host.address).version == 4}
    six = {host.address for host in network.hosts if ip_address(host.address).version == 6}
    four, duid, rest = _sections(text)
    had = {(words[1], words[2]): " ".join(words) for words in four if len(words) >= 5}
    expiry = 0 if network.lease_seconds < 0 else int(now) + network.lease_seconds
    lines = [had.get(key) or f"{expiry} {key[0]} {key[1]} {short_name(host)} *" for key, host in known.items()]
    lines += [" ".join(duid)] if duid else []
    lines += [" ".join(words) for words in rest if len(words) >= 5 and words[2] in six]
    return "".join(line + "\n" for line in lines)


def _sections(text: str) -> tuple[list[list[str]], list[str], list[list[str]]]:
    """DHCPv4 leases, the ``duid`` line, DHCPv6 leases; each line as its words."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    for index, words in enumerate(lines):
        if words[0] == "duid":
            return lines[:index], words, lines[index + 1 :]
    return lines, [], []


def release(network: DhcpNetwork, leases: Sequence[Lease]) -> None:
    """Send a DHCPRELEASE for each lease to the network's server; call it inside the network's namespace.

    It is a datagram without an answer: look into the lease file afterwards.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for lease in leases:
            server = _server_of(network, lease)
            if server:
                sender.sendto(release_packet(lease, server), (server, SERVER_PORT))


def _server_of(network: DhcpNetwork, lease: Lease) -> str:
    """The server's address in the lease's subnet, "" when that subnet is gone."""
    address = ip_address(lease.address)
    return next((one.server for one in network.subnets if address in ip_network(one.cidr)), "")


def release_packet(lease: Lease, server: str) -> bytes:
    """DHCPRELEASE (RFC 2131, 4.4.6) as the guest would send it."""
    hardware = bytes.fromhex(lease.mac.replace(":", ""))
    header = struct.pack("!BBBB4sHH", 1, 1, len(hardware), 0, os.urandom(4), 0, 0)
    addresses = socket.inet_aton(lease.address) + bytes(12)
    options = b"\x63\x82\x53\x63" + _option(53, b"\x07") + _option(54, socket.inet_aton(server))
    if lease.client_id != "*":
        options += _option(61, bytes.fromhex(lease.client_id.replace(":", "")))
    return header + addresses + hardware.ljust(16, b"\0") + bytes(64 + 128) + options + b"\xff"


def _option(code: int, value: bytes) -> bytes:
    return bytes([code, len(value)]) + value

"""Connections the kernel tracks in the current namespace: forgetting those of a translation that is gone.

Done over netlink: one dump and one small request an entry, not a ``conntrack`` process an address. What does not
belong here: which translations there are (``nft.py``).
"""

from __future__ import annotations

import errno
import re
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

from ...system.netlink import NETFILTER, Netlink, attribute, attributes

_COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")
_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2
_ORIGINAL, _REPLY, _ID, _ZONE = 1, 2, 12, 18
_NESTED = 0x8000


def delete_translations(pairs: Iterable[tuple[str, str]]) -> int:
    """Forget the connections translated between the two addresses of a pair, whichever side began them.

    :param pairs: (address, address), as in a map's element; of ``10.0.0.5 . 80`` the address counts.
    :returns: how many were forgotten.
    """
    wanted = {frozenset((_pack(one), _pack(other))) for one, other in pairs}
    wanted = {pair for pair in wanted if b"" not in pair}
    if not wanted or not _any_tracked():
        return 0
    anywhere = re.compile(b"|".join(re.escape(one) for pair in wanted for one in pair), re.DOTALL)
    deleted = 0
    with Netlink(NETFILTER) as netlink:
        for family in (socket.AF_INET, socket.AF_INET6):
            head = struct.pack("=BBH", family, 0, 0)
            entries = [body for body in netlink.dump(_GET, head) if anywhere.search(body)]
            for found in (attributes(body, 4) for body in entries):
                if _translates(found, wanted):
                    deleted += _forget(netlink, head, found)
    return deleted


def _any_tracked() -> bool:
    try:
        return _COUNT.read_text().strip() != "0"
    except OSError:
        return False


def _pack(text: str) -> bytes:
    """The address as bytes; empty if the text is none (an interface name, a verdict)."""
    address = text.split(" . ")[0].strip()
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except OSError:
        return b""


def _translates(found: dict[int, bytes], wanted: set[frozenset[bytes]]) -> bool:
    """Destination translated: asked for one, answered by the other. Source translated: the answer goes to the other."""
    source, destination = _ends(found[_ORIGINAL])
    reply_source, reply_destination = _ends(found[_REPLY])
    return frozenset((destination, reply_source)) in wanted or frozenset((source, reply_destination)) in wanted


def _ends(direction: bytes) -> tuple[bytes, bytes]:
    addresses = attributes(attributes(direction)[1])
    return (addresses[1], addresses[2]) if 1 in addresses else (addresses[3], addresses[4])


def _forget(netlink: Netlink, head: bytes, found: dict[int, bytes]) -> int:
    body = head + attribute(_ORIGINAL | _NESTED, found[_ORIGINAL])
    for kind in (_ID, _ZONE):
        if kind in found:
            body += attribute(kind, found[kind])
    try:
        netlink.ask(_DELETE, body)
    except OSError as error:
        if error.errno != errno.ENOENT:  # it ended by itself meanwhile
            raise
        return 0
    return 1

"""Delete the kernel's connection tracking entries of removed address translations, in the current namespace.

This uses netlink: one dump and a small request per entry, instead of a ``conntrack`` process per address. What does not
belong here: finding out which translations were removed (``tables.py``).
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterable
from pathlib import Path

from ...system import nfnetlink as nfnl
from ...system.netlink import NETLINK_NETFILTER, NLA_F_NESTED, Netlink, attribute, attributes

_COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")


def delete_translations(pairs: Iterable[tuple[str, str]]) -> int:
    """Delete the connections that are translated between the two addresses of a pair, in both directions.

    :param pairs: (key, value) of map elements. Of ``10.0.0.5 . 80`` only the address is used.
    :returns: the number of deleted connections.
    """
    wanted = {frozenset((_pack(key), _pack(value))) for key, value in pairs}
    wanted = {pair for pair in wanted if b"" not in pair}
    if not wanted or not _any_tracked():
        return 0
    any_address = re.compile(b"|".join(re.escape(address) for pair in wanted for address in pair), re.DOTALL)
    deleted = 0
    with Netlink(NETLINK_NETFILTER) as netlink:
        for family in (socket.AF_INET, socket.AF_INET6):
            head = nfnl.head(family)
            entries = netlink.dump(nfnl.IPCTNL_MSG_CT_GET, head, keep=any_address.search)
            for entry in (attributes(body, len(head)) for body in entries):
                if _translates(entry, wanted):
                    deleted += _delete(netlink, head, entry)
    return deleted


def _any_tracked() -> bool:
    try:
        return _COUNT.read_text().strip() != "0"
    except OSError:
        return False


def _pack(text: str) -> bytes:
    """Return the address as bytes; empty if the text is not an address (an interface name or a verdict)."""
    address = text.split(" . ")[0].strip()
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except OSError:
        return b""


def _translates(entry: dict[int, bytes], wanted: set[frozenset[bytes]]) -> bool:
    """Whether a connection is translated between the addresses of a pair in ``wanted``.

    If the destination is translated, the reply's source is not the destination. If the source is translated, the
    reply's destination is not the source.
    """
    source, destination = _ends(entry[nfnl.CTA_TUPLE_ORIG])
    reply_source, reply_destination = _ends(entry[nfnl.CTA_TUPLE_REPLY])
    return frozenset((destination, reply_source)) in wanted or frozenset((source, reply_destination)) in wanted


def _ends(direction: bytes) -> tuple[bytes, bytes]:
    """Return source and destination address of a connection's tuple."""
    addresses = attributes(attributes(direction)[nfnl.CTA_TUPLE_IP])
    if nfnl.CTA_IP_V4_SRC in addresses:
        return addresses[nfnl.CTA_IP_V4_SRC], addresses[nfnl.CTA_IP_V4_DST]
    return addresses[nfnl.CTA_IP_V6_SRC], addresses[nfnl.CTA_IP_V6_DST]


def _delete(netlink: Netlink, head: bytes, entry: dict[int, bytes]) -> int:
    """Delete a connection. Return the number of deleted connections: 0 if the connection has ended by itself."""
    body = head + attribute(nfnl.CTA_TUPLE_ORIG | NLA_F_NESTED, entry[nfnl.CTA_TUPLE_ORIG])
    for kind in (nfnl.CTA_ID, nfnl.CTA_ZONE):
        if kind in entry:
            body += attribute(kind, entry[kind])
    try:
        netlink.ask(nfnl.IPCTNL_MSG_CT_DELETE, body)
    except OSError as error:
        if error.errno != errno.ENOENT:  # the connection ended by itself meanwhile
            raise
        return 0
    return 1

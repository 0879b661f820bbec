"""Connections that the kernel tracks in the current namespace: delete those of a translation that was removed.

This is done over netlink: one dump, and one small request for each entry, instead of one ``conntrack`` process for each
address. What does not belong here: which translations there are (``tables.py``).
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
    with Netlink(NETLINK_NETFILTER) as netlink:
        for family in (socket.AF_INET, socket.AF_INET6):
            head = nfnl.head(family)
            entries = netlink.dump(nfnl.IPCTNL_MSG_CT_GET, head, keep=anywhere.search)
            for found in (attributes(body, len(head)) for body in entries):
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
    source, destination = _ends(found[nfnl.CTA_TUPLE_ORIG])
    reply_source, reply_destination = _ends(found[nfnl.CTA_TUPLE_REPLY])
    return frozenset((destination, reply_source)) in wanted or frozenset((source, reply_destination)) in wanted


def _ends(direction: bytes) -> tuple[bytes, bytes]:
    addresses = attributes(attributes(direction)[nfnl.CTA_TUPLE_IP])
    if nfnl.CTA_IP_V4_SRC in addresses:
        return addresses[nfnl.CTA_IP_V4_SRC], addresses[nfnl.CTA_IP_V4_DST]
    return addresses[nfnl.CTA_IP_V6_SRC], addresses[nfnl.CTA_IP_V6_DST]


def _forget(netlink: Netlink, head: bytes, found: dict[int, bytes]) -> int:
    body = head + attribute(nfnl.CTA_TUPLE_ORIG | NLA_F_NESTED, found[nfnl.CTA_TUPLE_ORIG])
    for kind in (nfnl.CTA_ID, nfnl.CTA_ZONE):
        if kind in found:
            body += attribute(kind, found[kind])
    try:
        netlink.ask(nfnl.IPCTNL_MSG_CT_DELETE, body)
    except OSError as error:
        if error.errno != errno.ENOENT:  # it ended by itself meanwhile
            raise
        return 0
    return 1

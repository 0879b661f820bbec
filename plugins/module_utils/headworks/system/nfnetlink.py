"""Netlink message types and attributes of nftables and connection tracking, with the kernel's names.

They come from ``linux/netfilter.h`` (NFPROTO), ``linux/netfilter/nfnetlink.h``, ``nf_tables.h`` and
``nfnetlink_conntrack.h`` in the same directory. What does not belong here: the requests themselves (``node/nft``,
``node/underlay``).
"""

from __future__ import annotations

import struct

NFNL_SUBSYS_CTNETLINK = 1
NFNL_SUBSYS_NFTABLES = 10

NFPROTO_UNSPEC = 0
NFPROTO_NETDEV = 5
NFPROTO = {"inet": 1, "ip": 2, "arp": 3, "netdev": NFPROTO_NETDEV, "bridge": 7, "ip6": 10}  # keys: nft's names

NFT_MSG_GETTABLE = NFNL_SUBSYS_NFTABLES << 8 | 1
NFT_MSG_GETCHAIN = NFNL_SUBSYS_NFTABLES << 8 | 4
NFTA_TABLE_NAME = 1
NFTA_CHAIN_TABLE = 1
NFTA_CHAIN_NAME = 3

IPCTNL_MSG_CT_GET = NFNL_SUBSYS_CTNETLINK << 8 | 1
IPCTNL_MSG_CT_DELETE = NFNL_SUBSYS_CTNETLINK << 8 | 2
CTA_TUPLE_ORIG = 1
CTA_TUPLE_REPLY = 2
CTA_ID = 12
CTA_ZONE = 18
CTA_TUPLE_IP = 1  # within a tuple
CTA_IP_V4_SRC = 1  # within CTA_TUPLE_IP
CTA_IP_V4_DST = 2
CTA_IP_V6_SRC = 3
CTA_IP_V6_DST = 4

NFGENMSG = struct.Struct("=BBH")  # family, version, resource id: the fixed part of every message


def head(family: int) -> bytes:
    """Return the fixed part of a message for an address family (an NFPROTO or AF number)."""
    return NFGENMSG.pack(family, 0, 0)

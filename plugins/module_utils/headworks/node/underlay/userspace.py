"""Settings of a NIC in a bridge of the userspace datapath: the kernel must not answer its packets, and must compute the
checksums of packets that it sends.

Open vSwitch reads such a NIC through a packet socket, and the kernel's own stack gets each packet, too. A drop at the
ingress hook of nftables takes effect after the packet socket and before the stack.
"""

from __future__ import annotations

import socket

from ...state.nft import TABLE
from ...system import nfnetlink
from ...system.netlink import NETLINK_NETFILTER, Netlink, attribute_text
from ...system.nftables import nft
from ...system.tx_checksum import set_tx_checksum, tx_checksum


def hide_from_kernel(nic: str) -> None:
    """Drop the packets of ``nic`` before the kernel's stack, and switch its transmit checksum offload off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        if tx_checksum(query, nic):
            set_tx_checksum(query, nic, False)
    hook = f'type filter hook ingress device "{nic}" priority 0; policy drop;'
    chain = f"netdev {TABLE} {quiet_chain(nic)}"
    nft(f"add table netdev {TABLE}\nadd chain {chain} {{ {hook} }}\n")


def show_to_kernel(nic: str) -> None:
    """Undo ``hide_from_kernel``."""
    if _has_chain(nic):
        nft(f"delete chain netdev {TABLE} {quiet_chain(nic)}\n")
        if "chain " not in nft(f"list table netdev {TABLE}\n"):
            nft(f"delete table netdev {TABLE}\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        set_tx_checksum(query, nic, True)


def is_hidden_from_kernel(nic: str) -> bool:
    """Return whether ``hide_from_kernel`` is in effect."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        return _has_chain(nic) and not tx_checksum(query, nic)


def _has_chain(nic: str) -> bool:
    body = nfnetlink.head(nfnetlink.NFPROTO_NETDEV)
    body += attribute_text(nfnetlink.NFTA_CHAIN_TABLE, TABLE)
    body += attribute_text(nfnetlink.NFTA_CHAIN_NAME, quiet_chain(nic))
    try:
        with Netlink(NETLINK_NETFILTER) as netlink:
            return bool(netlink.ask(nfnetlink.NFT_MSG_GETCHAIN, body))
    except OSError:
        return False


def quiet_chain(nic: str) -> str:
    """Return the name of the chain that drops the packets of ``nic``."""
    return f"nic-{nic}"

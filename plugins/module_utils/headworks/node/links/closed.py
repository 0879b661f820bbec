"""Links of guests are closed to the node's own network stack: it takes no ARP and no IPv6 packets from them.

A link that is a port of the kernel datapath is closed anyway: the switch takes its packets before the stack does. But a
link is no port before it is plugged in, and after somebody deletes the port. With the userspace datapath, the stack
always gets a copy. The nftables tables of the root namespace drop these packets too (IPv4 is dropped only there), but
they can be flushed.

What does not belong here: those tables (``wiring/mechanism/openvswitch/host_nft.py``).
"""

from __future__ import annotations

from pathlib import Path

from ...state.links import Link
from ...system import rtnl

CONF = Path("/proc/sys/net/ipv6/conf")  # missing if the kernel was started without IPv6
KINDS = ("tap", "veth")


def is_closed(info: rtnl.LinkInfo) -> bool:
    """Return whether the link is closed. Links of other kinds do not lead to guests, and count as closed."""
    return info.kind not in KINDS or not (info.arp or info.ipv6)


def closing_words(link: Link) -> str:
    """Return the arguments of ``ip link set`` that close a link, "" for a link of another kind. They must run before
    the link is up, and ``switch_off_ipv6`` too if that is possible.

    Without ``addrgenmode none`` the node would have an IPv6 address on the link, if somebody switches IPv6 on. Such
    addresses also cost time: the userspace datapath searches all of them for each port that it floods a packet to.
    """
    if link.kind not in KINDS:
        return ""
    return "arp off addrgenmode none" if CONF.exists() else "arp off"


def switch_off_ipv6(name: str) -> None:
    """Let the stack take no IPv6 packets from a link. A link that has disappeared meanwhile is not an error."""
    try:
        (CONF / name / "disable_ipv6").write_text("1")
    except FileNotFoundError:
        return

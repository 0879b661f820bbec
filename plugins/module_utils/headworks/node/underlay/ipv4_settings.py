"""The NIC's own IPv4 sysctls: its bridge must treat the packets of the moved addresses as the NIC did.

The kernel gives a new device the values of ``net.ipv4.conf.default``. Without a copy, a NIC with asymmetric routes
(``rp_filter`` 0 or 2) would drop packets as soon as it is in a bridge whose default is 1. What does not belong here:
IPv6 (``advertised.py``), and sysctls of the whole node, which headworks never sets.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

CONF = Path("/proc/sys/net/ipv4/conf")
SETTINGS = (
    "accept_local", "accept_redirects", "accept_source_route", "arp_accept", "arp_announce", "arp_evict_nocarrier",
    "arp_filter", "arp_ignore", "arp_notify", "drop_gratuitous_arp", "drop_unicast_in_l2_multicast", "forwarding",
    "log_martians", "promote_secondaries", "proxy_arp", "proxy_arp_pvlan", "route_localnet", "rp_filter",
    "secure_redirects", "send_redirects", "shared_media", "src_valid_mark",
)  # fmt: skip


def copy_ipv4_settings(nic: str, bridge: str) -> None:
    """Give ``bridge`` the settings of ``nic``. It must run before the addresses move."""
    for name in SETTINGS:
        value = _read(nic, name)
        if value and value != _read(bridge, name):
            with suppress(OSError):  # another kernel may not have the setting
                (CONF / bridge / name).write_text(value)


def _read(device: str, name: str) -> str:
    try:
        return (CONF / device / name).read_text().strip()
    except OSError:
        return ""

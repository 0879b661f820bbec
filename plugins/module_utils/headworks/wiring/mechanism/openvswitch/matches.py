"""Matches that flows of several bridges have in common: DHCP discovery, and tunnel packets to this node."""

from __future__ import annotations

# What DHCP and DHCPv6 clients send to all servers of their network.
DHCP_DISCOVERY = ("udp,dl_dst=ff:ff:ff:ff:ff:ff,tp_dst=67", "udp6,dl_dst=33:33:00:01:00:02,tp_dst=547")

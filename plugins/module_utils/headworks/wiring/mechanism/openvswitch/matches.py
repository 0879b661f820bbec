"""Matches that flows of several bridges have in common: DHCP discovery, and tunnel packets to this node."""

from __future__ import annotations

# What DHCP and DHCPv6 clients send to all servers of their network.
DHCP_DISCOVERY = ("udp,dl_dst=ff:ff:ff:ff:ff:ff,tp_dst=67", "udp6,dl_dst=33:33:00:01:00:02,tp_dst=547")

_UDP_PORT = {"vxlan": 4789, "geneve": 6081}


def tunnel_packets(kind: str, target: str, *, source: str = "", port: str = "") -> str:
    """Return the match of tunnel packets to the address ``target``: all, those from an address, or those from a port of
    the switch."""
    where = f",in_port={{{port}}}" if port else ""
    where += f",nw_src={source}" if source else ""
    if kind == "gre":
        return f"ip{where},nw_dst={target},nw_proto=47"
    return f"udp{where},nw_dst={target},tp_dst={_UDP_PORT[kind]}"


def tunnel_packets_nft(kind: str) -> str:
    """Return the same as a condition of nftables, for any address."""
    return "meta l4proto gre" if kind == "gre" else f"udp dport {_UDP_PORT[kind]}"

"""Rules between the node's own kernel and the networks of guests: nftables in the root namespace.

The kernel and the links of guests exchange nothing. Open vSwitch's userspace datapath reads taps through packet
sockets, and the kernel's network stack receives every packet too: without these tables, a guest could reach the node's
services without passing a flow, use the node as its router, or send router advertisements to the node. The kernel
datapath takes packets before the network stack, except while a link is no port of the switch, for example when Open
vSwitch is installed again. With both datapaths, the node itself would send IPv6 packets into guests' networks. The
devices br-int and br-tun are down; if somebody brings them up, the node is still no member of the guests' networks.

Tunnel packets to the node are accepted only from the nodes that it has tunnels to, and only from the tunnel NIC. What
does not belong here: routers' tables (``wiring/router_nft.py``), and tunnel packets with the userspace datapath, which
do not reach the kernel (``flows_underlay.py``).
"""

from __future__ import annotations

from collections.abc import Iterator

from ....plan.cloud import Node
from ....state.links import GROUP
from ....state.nft import NftChain, NftMap, NftTable
from ...node_view import NodeView
from . import names
from .matches import tunnel_packets_nft

PEERS = "tunnel_peers"
# The name of a NIC without a cable: the packets to its address arrive by other NICs.
_VIRTUAL = ("dummy", "lo")
_SWITCHES = (names.BR_INT, names.BR_TUN)


def host_tables(view: NodeView) -> list[NftTable]:
    """Return the tables ``inet`` and ``arp`` of the root namespace. Their rules match our links by the link group, and
    the devices of br-int and br-tun by name."""
    if not view.carries_network:
        return []
    sent = (f"oifgroup {GROUP} drop", *(f'oifname "{name}" drop' for name in _SWITCHES))
    received = (f"iifgroup {GROUP} drop", *(f'iifname "{name}" drop' for name in _SWITCHES))
    inet = [_drop("output", "raw", *sent), _drop("prerouting", "raw", *received)]
    arp = [_drop("output", "filter", *sent), _drop("input", "filter", *received)]
    maps: tuple[NftMap, ...] = ()
    if view.tunnels and not view.userspace:
        maps = (NftMap(PEERS, "ipv4_addr", dict.fromkeys(sorted({peer.tunnel_ip for _, peer in view.tunnels}), "")),)
        inet.append(_drop("input", "filter", *_tunnels(view)))
    return [NftTable("", "arp", chains=tuple(arp)), NftTable("", "inet", maps=maps, chains=tuple(inet))]


def _tunnels(view: NodeView) -> Iterator[str]:
    """Yield the rules for tunnel packets of the types that the node uses. Other tunnels of the node have other
    addresses or types, and stay as they are."""
    devices = _tunnel_devices(view.node)
    for kind in sorted({kind for kind, _ in view.tunnels}):
        packets = f"ip daddr {view.node.tunnel_ip} {tunnel_packets_nft(kind)}"
        yield f"{packets} ip saddr != @{PEERS} drop"
        if devices:
            yield f"{packets} iifname != {devices} drop"


def _tunnel_devices(node: Node) -> str:
    """Return the devices by which the kernel receives packets to the tunnel address, for nft: the tunnel NIC, and the
    bridge that the NIC is moved into if there is one; "" if they are unknown. Both names are valid, since the move and
    these rules are two steps."""
    nic = node.tunnel_interface
    if not nic or nic.startswith(_VIRTUAL):
        return ""
    quoted = [f'"{name}"' for name in sorted({nic, *(one.bridge for one in node.mappings if one.interface == nic)})]
    return quoted[0] if len(quoted) == 1 else f"{{ {', '.join(quoted)} }}"


def _drop(hook: str, priority: str, *rules: str) -> NftChain:
    return NftChain(hook, f"type filter hook {hook} priority {priority}; policy accept;", rules)

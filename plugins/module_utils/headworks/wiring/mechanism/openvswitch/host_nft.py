"""Drop traffic between the node's own kernel and the links of guests: nftables in the root namespace.

Open vSwitch's userspace datapath reads taps through packet sockets, and the kernel's network stack receives every
packet too. Without these tables, a guest could reach the node's services without passing a flow, use the node as its
router, or send router advertisements to the node. The kernel datapath takes packets before the network stack. With both
datapaths, the node itself would send IPv6 packets into guests' networks. What does not belong here: routers' tables
(``wiring/router_nft.py``).
"""

from __future__ import annotations

from ....state.links import GROUP
from ....state.nft import NftChain, NftTable
from ...node_view import NodeView


def host_tables(view: NodeView) -> list[NftTable]:
    """Return the tables ``inet`` and ``arp`` of the root namespace. Their rules match our links by the link group."""
    if not view.carries_network:
        return []
    inet = [_drop("output", "raw", f"oifgroup {GROUP} drop")]
    arp = [_drop("output", "filter", f"oifgroup {GROUP} drop")]
    if view.userspace:
        inet.append(_drop("prerouting", "raw", f"iifgroup {GROUP} drop"))
        arp.append(_drop("input", "filter", f"iifgroup {GROUP} drop"))
    return [NftTable("", "arp", chains=tuple(arp)), NftTable("", "inet", chains=tuple(inet))]


def _drop(hook: str, priority: str, rule: str) -> NftChain:
    return NftChain(hook, f"type filter hook {hook} priority {priority}; policy accept;", (rule,))

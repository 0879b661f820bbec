"""Flows of a userspace node's underlay: tunnel packets to this node are accepted only from peers and on the tunnel NIC.

Open vSwitch's userspace datapath unpacks a tunnel packet on any bridge that would deliver it to its own device, also on
a provider bridge. nftables does not see these packets, because they do not reach the kernel. What does not belong here:
a node with the kernel datapath (``host_nft.py``), and which tunnel id a peer may use (``flows_tun.py``).
"""

from __future__ import annotations

from collections.abc import Iterator

from ....plan.cloud import Node
from ....state.openflow import Flow
from ...node_view import NodeView
from . import names
from .matches import tunnel_packets
from .pipeline import SWITCH
from .ports import needs_br_phy

_FROM_GUESTS, _FROM_PEERS, _OTHERS = 12, 11, 10


def underlay_flows(view: NodeView) -> list[Flow]:
    """Return the flows for tunnel packets on br-phy and on the provider bridges; none with the kernel datapath."""
    if not view.userspace:
        return []
    return [flow for bridge in _bridges(view.node) for flow in _flows(view, bridge)]


def _bridges(node: Node) -> list[str]:
    """Return the bridges that have NICs."""
    bridges = {mapping.bridge for mapping in node.mappings}
    return sorted({names.BR_PHY, *bridges} if needs_br_phy(node) else bridges)


def _flows(view: NodeView, bridge: str) -> Iterator[Flow]:
    """Yield the flows of ``bridge``. Only the bridge of the tunnel NIC accepts tunnel packets, and from its NIC."""
    nics = {mapping.interface for mapping in view.node.mappings if mapping.bridge == bridge}
    accepts = bridge == names.BR_PHY or view.node.tunnel_interface in nics
    for kind in sorted({kind for kind, _ in view.tunnels}):
        yield Flow(bridge, 0, _OTHERS, tunnel_packets(kind, view.node.tunnel_ip), "drop")
        if not accepts:
            continue
        for peer in (remote for tunnel, remote in view.tunnels if tunnel == kind):
            match = tunnel_packets(kind, view.node.tunnel_ip, source=peer.tunnel_ip)
            yield Flow(bridge, 0, _FROM_PEERS, match, SWITCH)
        if bridge != names.BR_PHY:
            match = tunnel_packets(kind, view.node.tunnel_ip, port=names.phy_patch(bridge))
            yield Flow(bridge, 0, _FROM_GUESTS, match, "drop")

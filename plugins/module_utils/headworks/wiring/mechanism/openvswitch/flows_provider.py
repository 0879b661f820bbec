"""Flows of the provider bridges: they replace a local VLAN by the network's VLAN, and drop unknown local VLANs.

What does not belong here: packets from the provider network, whose VLANs br-int translates (``flows_int.py``).
"""

from __future__ import annotations

from ....state.openflow import Flow
from ...node_view import NodeView
from . import names


def provider_flows(view: NodeView) -> list[Flow]:
    """Return all flows of all provider bridges of the node."""
    flows = []
    for bridge in sorted({mapping.bridge for mapping in view.node.mappings}):
        from_int = f"in_port={{{names.phy_patch(bridge)}}}"
        flows.append(Flow(bridge, 0, 2, from_int, "drop"))
        flows.append(Flow(bridge, 0, 0, "", "NORMAL"))
    for network in view.networks:
        mapping = view.mappings.get(network.physical_network)
        if mapping is None or network.type not in ("vlan", "flat"):
            continue
        retag = "pop_vlan"
        if network.type == "vlan":
            retag = f"set_field:{names.VLAN_PRESENT + (network.segmentation_id or 0)}->vlan_vid"
        match = f"in_port={{{names.phy_patch(mapping.bridge)}}},dl_vlan={view.vlan(network.name)}"
        flows.append(Flow(mapping.bridge, 0, 4, match, f"{retag},NORMAL"))
    return flows

"""Flows of the provider bridges: the local VLAN becomes the network's on the way out; unknown local VLANs stay in.

What does not belong here: the way in, which br-int translates (``flows_int.py``).
"""

from __future__ import annotations

from ....state.openflow import Flow
from ...node_view import NodeView
from . import names


def provider_flows(view: NodeView) -> list[Flow]:
    """Every flow of every provider bridge of the node."""
    found = []
    for bridge in sorted({mapping.bridge for mapping in view.node.mappings}):
        from_int = f"in_port={{{names.phy_patch(bridge)}}}"
        found.append(Flow(bridge, 0, 2, from_int, "drop"))
        found.append(Flow(bridge, 0, 0, "", "NORMAL"))
    for network in view.networks:
        mapping = view.mappings.get(network.physical_network)
        if mapping is None or network.type not in ("vlan", "flat"):
            continue
        retag = "pop_vlan"
        if network.type == "vlan":
            retag = f"set_field:{names.VLAN_PRESENT + (network.segmentation_id or 0)}->vlan_vid"
        match = f"in_port={{{names.phy_patch(mapping.bridge)}}},dl_vlan={view.vlan(network.name)}"
        found.append(Flow(mapping.bridge, 0, 4, match, f"{retag},NORMAL"))
    return found

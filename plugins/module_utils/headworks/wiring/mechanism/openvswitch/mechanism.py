"""Mechanism ``openvswitch``: the sections of a node state that it fills, and their records."""

from __future__ import annotations

from ....plan.cloud import Port
from ....state.openflow import Flow
from ...node_view import NodeView
from ..interface import Sections
from .flows_int import int_flows
from .flows_provider import provider_flows
from .flows_tun import tun_flows
from .flows_underlay import underlay_flows
from .host_nft import host_tables
from .ports import bridges, ports, underlay


class OpenVSwitch:
    """Switches by flows on br-int, br-tun and the provider bridges."""

    name = "openvswitch"
    vif_type = "ovs"

    def master(self, view: NodeView, port: Port) -> str:
        """Return "": the device is a port of br-int and in no Linux bridge."""
        return ""

    def sections(self, view: NodeView) -> Sections:
        """Return bridges, ports, NICs and flows, and the nftables tables between the node's kernel and guests'
        networks."""
        return {
            "ovs_bridges": bridges(view),
            "ovs_ports": ports(view),
            "underlay": underlay(view),
            "flows": _flows(view),
            "nft": host_tables(view),
        }


def _flows(view: NodeView) -> list[Flow]:
    if not view.carries_network:
        return []
    return [*int_flows(view), *tun_flows(view), *provider_flows(view), *underlay_flows(view)]

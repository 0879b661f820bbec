"""Mechanism ``openvswitch``: which sections of a node state it fills, and with what."""

from __future__ import annotations

from ....plan.cloud import Port
from ....state.openflow import Flow
from ...node_view import NodeView
from ..interface import Sections
from .flows_int import int_flows
from .flows_provider import provider_flows
from .flows_tun import tun_flows
from .host_nft import host_tables
from .ports import bridges, ports, underlay


class OpenVSwitch:
    """br-int, br-tun and provider bridges, steered by flows."""

    name = "openvswitch"
    vif_type = "ovs"

    def master(self, view: NodeView, port: Port) -> str:
        """No Linux bridge: the device is a port of br-int."""
        return ""

    def sections(self, view: NodeView) -> Sections:
        """Bridges, ports, NICs and flows, and the tables that keep the node's kernel out of guests' networks."""
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
    return [*int_flows(view), *tun_flows(view), *provider_flows(view)]

"""``wire``: the resolved cloud → one node state document per node. Pure; sections are made in ``wiring/``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..plan.cloud import Cloud
from ..state.codec import encode
from .compute import disks, domains, images
from .dhcp import dhcp_l3, dhcp_networks
from .host_nft import host_tables
from .links import links, namespaces
from .mechanism.openvswitch.flows_int import int_flows
from .mechanism.openvswitch.flows_provider import provider_flows
from .mechanism.openvswitch.flows_tun import tun_flows
from .mechanism.openvswitch.ports import bridges, ports, underlay
from .metadata import instance_metadata, metadata_proxies
from .node_view import Index, NodeView
from .router import router_l3
from .router_nft import router_tables

VERSION = 1


def wire(cloud: Cloud) -> dict[str, dict[str, Any]]:
    """The node state document of every node, by node name.

    A document is ``{"version": 1, "cloud": …, "node": …, "sections": {name: [record as a plain dict, …]}}``; every
    section is there, though it be empty, so that what a node no longer needs goes. The one exception is ``underlay``
    of a userspace node whose tunnel NIC is unknown: left out, it is left alone.

    :raises WiringError: the cloud contradicts itself.
    """
    index = Index.of(cloud)
    return {name: wire_node(index, name) for name in sorted(cloud.nodes)}


def wire_node(index: Index, name: str) -> dict[str, Any]:
    """The document of one node, for callers that need only some of them."""
    view = NodeView(index, index.cloud.nodes[name])
    sections = {section: make(view) for section, make in _SECTIONS.items()}
    return {
        "version": VERSION,
        "cloud": index.cloud.name,
        "node": name,
        "sections": {section: encode(records) for section, records in sections.items() if records is not None},
    }


def _flows(view: NodeView) -> list[Any]:
    return [*int_flows(view), *tun_flows(view), *provider_flows(view)] if view.carries_network else []


def _l3(view: NodeView) -> list[Any]:
    return sorted([*router_l3(view), *dhcp_l3(view)], key=lambda one: one.name)


def _nft(view: NodeView) -> list[Any]:
    return [*host_tables(view), *router_tables(view)]


_SECTIONS: Mapping[str, Callable[[NodeView], Sequence[Any] | None]] = {
    "netns": namespaces,
    "links": links,
    "ovs_bridges": bridges,
    "ovs_ports": ports,
    "underlay": underlay,
    "flows": _flows,
    "l3": _l3,
    "nft": _nft,
    "dhcp": dhcp_networks,
    "metadata_proxies": metadata_proxies,
    "metadata": instance_metadata,
    "images": images,
    "disks": disks,
    "domains": domains,
}

"""``wire``: the resolved cloud → one node state document per node. Pure. The other files here make the records."""

from __future__ import annotations

from typing import Any

from ..plan.cloud import Cloud
from ..state.codec import encode
from ..state.document import SECTIONS, VERSION
from .compute import disks, domains, images
from .dhcp import dhcp_l3, dhcp_networks
from .firewall.registry import FIREWALLS, firewall_of
from .links import links, namespaces
from .mechanism.interface import Sections
from .mechanism.registry import MECHANISMS, mechanism_of
from .metadata import instance_metadata, metadata_proxies
from .node_view import Index, NodeView
from .router import router_l3
from .router_nft import router_tables

# What the registries have, for the plan: it refuses other values before any node is touched.
AVAILABLE = {"cloud_l2_mechanism": tuple(MECHANISMS), "cloud_firewall_driver": tuple(FIREWALLS)}


def wire(cloud: Cloud) -> dict[str, dict[str, Any]]:
    """The node state document of every node, by node name.

    A document is ``{"version": …, "cloud": …, "node": …, "sections": {name: [record as a plain dict, …]}}``. Every
    section is there, also when it is empty, so that the node removes what it no longer needs. The one exception is a
    section whose content the mechanism does not know (``underlay`` of a userspace node whose tunnel NIC is unknown): it
    is left out, and the node then leaves that subsystem alone.

    :raises WiringError: the cloud contradicts itself.
    """
    index = Index.of(cloud)
    return {name: wire_node(index, name) for name in sorted(cloud.nodes)}


def wire_node(index: Index, name: str) -> dict[str, Any]:
    """The document of one node, for callers that need only some of them."""
    sections = _merged(_parts(NodeView(index, index.cloud.nodes[name])))
    return {
        "version": VERSION,
        "cloud": index.cloud.name,
        "node": name,
        "sections": {section: encode(records) for section, records in sections.items()},
    }


def _parts(view: NodeView) -> list[Sections]:
    """What each part of the wiring adds to the node state."""
    return [
        {"netns": namespaces(view), "links": links(view)},
        mechanism_of(view.cloud).sections(view),
        {"nft": firewall_of(view.cloud).nft_tables(view)},
        {"l3": sorted([*router_l3(view), *dhcp_l3(view)], key=lambda config: config.name)},
        {"nft": router_tables(view)},
        {"dhcp": dhcp_networks(view)},
        {"metadata_proxies": metadata_proxies(view), "metadata": instance_metadata(view)},
        {"images": images(view), "disks": disks(view), "domains": domains(view)},
    ]


def _merged(parts: list[Sections]) -> dict[str, list[Any]]:
    """All sections in order, each with the records of all parts; without the sections that a part does not know."""
    found: dict[str, list[Any]] = {section: [] for section in SECTIONS}
    unknown = {section for part in parts for section, records in part.items() if records is None}
    for part in parts:
        for section, records in part.items():
            found[section] += records or ()
    return {section: records for section, records in found.items() if section not in unknown}

"""``wire``: the resolved cloud → one node state document per node. Pure.

What does not belong here: the records in the documents, which the other files of this package make.
"""

from __future__ import annotations

from typing import Any

from ..plan.cloud import Cloud
from ..state.codec import encode
from ..state.document import SECTIONS, VERSION
from .compute import disks, domains, images, retention
from .dhcp import dhcp_l3, dhcp_networks
from .dhcp_nft import dhcp_tables
from .firewall.registry import FIREWALLS, firewall_of
from .links import links, namespaces
from .mechanism.interface import Sections
from .mechanism.registry import MECHANISMS, mechanism_of
from .metadata import instance_metadata, metadata_proxies
from .node_view import Index, NodeView
from .router import router_l3
from .router_nft import router_tables

# The values that the registries have. The plan refuses other values before a node is changed.
AVAILABLE = {"cloud_l2_mechanism": tuple(MECHANISMS), "cloud_firewall_driver": tuple(FIREWALLS)}


def wire(cloud: Cloud) -> dict[str, dict[str, Any]]:
    """Return the node state document of every node, by node name.

    A document is ``{"version": …, "cloud": …, "node": …, "sections": {name: [record as a plain dict, …]}}``. A
    document has every section, also an empty section, so that the node removes what it no longer needs. There is one
    exception: if the mechanism does not know the content of a section (``underlay`` of a userspace node whose tunnel
    NIC is unknown), the document lacks the section. The node then does not change anything of this section.

    :raises WiringError: the cloud contradicts itself.
    """
    index = Index.of(cloud)
    return {name: wire_node(index, name) for name in sorted(cloud.nodes)}


def wire_node(index: Index, name: str) -> dict[str, Any]:
    """Return the document of one node, for callers that do not need all documents."""
    sections = _merged(_parts(NodeView(index, index.cloud.nodes[name])))
    return {
        "version": VERSION,
        "cloud": index.cloud.name,
        "node": name,
        "sections": {section: encode(records) for section, records in sections.items()},
    }


def _parts(view: NodeView) -> list[Sections]:
    """Return the sections of each part of the wiring, in order."""
    return [
        {"netns": namespaces(view), "links": links(view)},
        mechanism_of(view.cloud).sections(view),
        {"nft": firewall_of(view.cloud).nft_tables(view)},
        {"l3": sorted([*router_l3(view), *dhcp_l3(view)], key=lambda config: config.name)},
        {"nft": router_tables(view)},
        {"dhcp": dhcp_networks(view), "nft": dhcp_tables(view)},
        {"metadata_proxies": metadata_proxies(view), "metadata": instance_metadata(view)},
        {"images": images(view), "retention": retention(view), "disks": disks(view), "domains": domains(view)},
    ]


def _merged(parts: list[Sections]) -> dict[str, list[Any]]:
    """Return all sections in order, with the records of all parts, and without sections that a part does not know."""
    merged: dict[str, list[Any]] = {section: [] for section in SECTIONS}
    unknown = {section for part in parts for section, records in part.items() if records is None}
    for part in parts:
        for section, records in part.items():
            merged[section] += records or ()
    return {section: records for section, records in merged.items() if section not in unknown}

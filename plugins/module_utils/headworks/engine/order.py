"""Which subsystems there are, and the order in which things are made on a node (and unmade, backwards).

A section of the node state (``{"sections": {"netns": […], …}}``) bears the name used here. What a section's items look
like is the record at the top of the subsystem's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..node.compute.base_images import ImageSubsystem
from ..node.compute.disks import DiskSubsystem
from ..node.compute.domains import DomainSubsystem
from ..node.l3.namespaces import L3Subsystem
from ..node.links.links import LinkSubsystem
from ..node.links.namespaces import NetnsSubsystem
from ..node.nft.tables import NftSubsystem
from ..node.openflow.flows import FlowSubsystem
from ..node.ovs.bridges import OvsBridgeSubsystem
from ..node.ovs.ports import OvsPortSubsystem
from ..node.services.dhcp.dnsmasq import DhcpSubsystem
from ..node.services.metadata.proxy import MetadataProxySubsystem
from ..node.services.metadata.served import MetadataSubsystem
from ..node.subsystem import Subsystem
from ..node.underlay.nics import UnderlaySubsystem
from ..state.codec import decode
from ..state.distribution import Distribution
from ..state.document import upgrade
from .boot import BootSubsystem

ORDER: tuple[tuple[str, type[Subsystem[Any]]], ...] = (
    ("boot", BootSubsystem),  # the engine first: it completes a run that is killed after this
    ("netns", NetnsSubsystem),  # before the links: their far ends are created in namespaces
    ("links", LinkSubsystem),
    ("ovs_bridges", OvsBridgeSubsystem),
    ("ovs_ports", OvsPortSubsystem),
    ("flows", FlowSubsystem),  # bridges are fail-secure: nothing passes before this
    ("underlay", UnderlaySubsystem),  # so a NIC goes in only now, or the node would be cut off for a moment
    ("nft", NftSubsystem),  # the filter is in before the addresses it guards
    ("l3", L3Subsystem),
    ("dhcp", DhcpSubsystem),
    ("metadata", MetadataSubsystem),
    ("metadata_proxies", MetadataProxySubsystem),
    ("images", ImageSubsystem),
    ("disks", DiskSubsystem),
    ("domains", DomainSubsystem),  # guests last: their network is in place
)


def pipeline(state: Mapping[str, Any]) -> list[tuple[Subsystem[Any], dict[str, Any]]]:
    """The (subsystem, desired objects) pairs of a node state, for ``converge``. A section that is missing leaves its
    subsystem alone; an empty one removes all that is ours. The document of an older version is upgraded first.

    :raises ValueError: an unknown version or section, or an item with an unknown or missing field.
    """
    state = upgrade(state)
    distribution = distribution_of(state)
    sections = state.get("sections", {})
    unknown = set(sections) - {name for name, _ in ORDER}
    if unknown:
        raise ValueError(f"state.sections: {', '.join(sorted(unknown))}: no such section")
    built = []
    for name, kind in ORDER:
        if name not in sections:
            continue
        try:
            built.append((kind.of_node(str(state["cloud"]), distribution), kind.load(sections[name])))
        except ValueError as error:
            raise ValueError(f"state.sections.{name}: {error}") from error
    return built


def distribution_of(state: Mapping[str, Any]) -> Distribution:
    """The distribution of a node state of the present version.

    :raises ValueError: it is missing, or one of its fields is unknown, missing or no name.
    """
    try:
        return decode(Distribution, state.get("distribution") or {})
    except ValueError as error:
        raise ValueError(f"state.distribution: {error}") from error

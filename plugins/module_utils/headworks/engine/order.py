"""The list of subsystems, in the order in which objects are created on a node. Objects are removed in reverse order.

The names in the list are the names of the node state's sections (``{"sections": {"netns": […], …}}``). What does not
belong here: the records of a section (``state/``), and the walk through the subsystems (``converge.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..node.compute.base_images import ImageSubsystem
from ..node.compute.disks import DiskSubsystem
from ..node.compute.domains import DomainSubsystem
from ..node.compute.retention import RetentionSubsystem
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
    ("boot", BootSubsystem),  # first: at boot the engine completes a run that was killed after this
    ("netns", NetnsSubsystem),  # before the links: the peers of veths are created inside namespaces
    ("links", LinkSubsystem),
    ("ovs_bridges", OvsBridgeSubsystem),
    ("ovs_ports", OvsPortSubsystem),
    ("flows", FlowSubsystem),  # a bridge is fail-secure: it drops all packets until it has flows
    ("underlay", UnderlaySubsystem),  # after the flows: otherwise the node would be unreachable through its NIC
    ("nft", NftSubsystem),  # before the addresses that the filter protects
    ("l3", L3Subsystem),
    ("dhcp", DhcpSubsystem),
    ("metadata", MetadataSubsystem),
    ("metadata_proxies", MetadataProxySubsystem),
    ("images", ImageSubsystem),
    ("retention", RetentionSubsystem),
    ("disks", DiskSubsystem),
    ("domains", DomainSubsystem),  # last: guests start when their network is complete
)


def pipeline(state: Mapping[str, Any]) -> list[tuple[Subsystem[Any], dict[str, Any]]]:
    """Return the (subsystem, desired objects) pairs of a node state, for ``converge``. The subsystem of a missing
    section is skipped; for an empty section all our objects are removed. A document of an older version is upgraded.

    :raises ValueError: the version or a section is unknown, or an item has an unknown or missing field.
    """
    state = upgrade(state)
    distribution = distribution_of(state)
    sections = state.get("sections", {})
    unknown = set(sections) - {name for name, _ in ORDER}
    if unknown:
        raise ValueError(f"state.sections: {', '.join(sorted(unknown))}: no such section")
    steps = []
    for name, subsystem in ORDER:
        if name not in sections:
            continue
        try:
            steps.append((subsystem.of_document(state, distribution), subsystem.load(sections[name])))
        except ValueError as error:
            raise ValueError(f"state.sections.{name}: {error}") from error
    return steps


def distribution_of(state: Mapping[str, Any]) -> Distribution:
    """Return the distribution of a node state of the present version.

    :raises ValueError: the distribution is missing, or a field is unknown, missing or not a name.
    """
    try:
        return decode(Distribution, state.get("distribution") or {})
    except ValueError as error:
        raise ValueError(f"state.distribution: {error}") from error

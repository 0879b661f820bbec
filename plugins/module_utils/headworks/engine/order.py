"""The list of subsystems, in the order in which objects are created on a node. Objects are removed in reverse order.

The names in the list are the names of the node state's sections (``{"sections": {"netns": […], …}}``). What does not
belong here: the records of a section (``state/``), and the walk through the subsystems (``converge.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from ..node.subsystem import Subsystem
from ..state.codec import decode
from ..state.distribution import Distribution
from ..state.document import upgrade

SubsystemClass = type[Subsystem[Any]]


# A subsystem is imported when its section is in play, because a repair must start fast. Ansible and lint-imports find
# imports inside functions, too.
def _boot() -> SubsystemClass:
    from .boot import BootSubsystem

    return BootSubsystem


def _netns() -> SubsystemClass:
    from ..node.links.namespaces import NetnsSubsystem

    return NetnsSubsystem


def _links() -> SubsystemClass:
    from ..node.links.links import LinkSubsystem

    return LinkSubsystem


def _ovs_bridges() -> SubsystemClass:
    from ..node.ovs.bridges import OvsBridgeSubsystem

    return OvsBridgeSubsystem


def _ovs_ports() -> SubsystemClass:
    from ..node.ovs.ports import OvsPortSubsystem

    return OvsPortSubsystem


def _flows() -> SubsystemClass:
    from ..node.openflow.flows import FlowSubsystem

    return FlowSubsystem


def _underlay() -> SubsystemClass:
    from ..node.underlay.nics import UnderlaySubsystem

    return UnderlaySubsystem


def _nft() -> SubsystemClass:
    from ..node.nft.tables import NftSubsystem

    return NftSubsystem


def _l3() -> SubsystemClass:
    from ..node.l3.namespaces import L3Subsystem

    return L3Subsystem


def _dhcp() -> SubsystemClass:
    from ..node.services.dhcp.dnsmasq import DhcpSubsystem

    return DhcpSubsystem


def _metadata() -> SubsystemClass:
    from ..node.services.metadata.served import MetadataSubsystem

    return MetadataSubsystem


def _metadata_proxies() -> SubsystemClass:
    from ..node.services.metadata.proxy import MetadataProxySubsystem

    return MetadataProxySubsystem


def _images() -> SubsystemClass:
    from ..node.compute.base_images import ImageSubsystem

    return ImageSubsystem


def _retention() -> SubsystemClass:
    from ..node.compute.retention import RetentionSubsystem

    return RetentionSubsystem


def _disks() -> SubsystemClass:
    from ..node.compute.disks import DiskSubsystem

    return DiskSubsystem


def _domains() -> SubsystemClass:
    from ..node.compute.domains import DomainSubsystem

    return DomainSubsystem


# Section → its subsystem.
ORDER: tuple[tuple[str, Callable[[], SubsystemClass]], ...] = (
    ("boot", _boot),  # first: at boot the engine completes a run that was killed after this
    ("netns", _netns),  # before the links: the peers of veths are created inside namespaces
    ("links", _links),
    ("ovs_bridges", _ovs_bridges),
    ("ovs_ports", _ovs_ports),
    ("flows", _flows),  # a bridge is fail-secure: it drops all packets until it has flows
    ("underlay", _underlay),  # after the flows: otherwise the node would be unreachable through its NIC
    ("nft", _nft),  # before the addresses that the filter protects
    ("l3", _l3),
    ("dhcp", _dhcp),
    ("metadata", _metadata),
    ("metadata_proxies", _metadata_proxies),
    ("images", _images),
    ("retention", _retention),
    ("disks", _disks),
    ("domains", _domains),  # last: guests start when their network is complete
)


def pipeline(
    state: Mapping[str, Any], only: Collection[str] | None = None
) -> list[tuple[Subsystem[Any], dict[str, Any]]]:
    """Return the (subsystem, desired objects) pairs of a node state, for ``converge``. The subsystem of a missing
    section is skipped; for an empty section all our objects are removed. A document of an older version is upgraded.

    :param only: the sections that are in play; None: all sections of the node state.
    :raises ValueError: the version or a section is unknown, or an item has an unknown or missing field.
    """
    state = upgrade(state)
    distribution = distribution_of(state)
    sections = state.get("sections", {})
    unknown = {*sections, *(only or ())} - {name for name, _ in ORDER}
    if unknown:
        raise ValueError(f"state.sections: {', '.join(sorted(unknown))}: no such section")
    steps = []
    for name, imported in ORDER:
        if name not in sections or (only is not None and name not in only):
            continue
        try:
            subsystem = imported()
            steps.append((subsystem.of_document(state, distribution), subsystem.load(sections[name])))
        except ValueError as error:
            raise ValueError(f"state.sections.{name}: {error}") from error
    return steps


def distribution_of(state: Mapping[str, Any]) -> Distribution:
    """Return the distribution of a node state of the present version.

    :raises ValueError: the distribution is missing, or a field is unknown, missing or not a name.
    """
    names = state.get("distribution") or {}
    if not isinstance(names, Mapping):
        raise ValueError(f"state.distribution: {names!r}: must be a dict")
    try:
        return decode(Distribution, names)
    except ValueError as error:
        raise ValueError(f"state.distribution: {error}") from error

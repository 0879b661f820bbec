"""The node state document: its version, the names of its sections, and the steps that bring an older document to it.

A document is ``{"version": …, "cloud": …, "node": …, "distribution": {…}, "sections": {name: [record as a plain dict,
…]}}``. Optional keys say from which plan it is: ``lineage`` (a name that all plans with one allocations file share),
``serial`` (it grows with every plan), ``digest``, ``allocations`` (what the plan assigned to this node; a node only
keeps it), and ``removals`` (the uuids of the guests that this document may remove). A node keeps the document of its
last run, and restores itself from it at boot: an engine must read what an older one kept. What does not belong here:
the records of a section and of the distribution (the other files of this package), and which subsystem makes a section
(``engine/order.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

VERSION = 3

# In the order of ``ORDER`` in ``engine/order.py``. Section ``boot`` is missing here, because the engine adds it itself.
SECTIONS = (
    "netns",
    "links",
    "ovs_bridges",
    "ovs_ports",
    "flows",
    "underlay",
    "nft",
    "l3",
    "dhcp",
    "metadata",
    "metadata_proxies",
    "images",
    "retention",
    "disks",
    "domains",
)

# The types of the optional keys.
OPTIONAL: Mapping[str, type] = {"lineage": str, "serial": int, "digest": str, "allocations": dict, "removals": list}

Step = Callable[[dict[str, Any]], dict[str, Any]]


def upgrade(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document in version ``VERSION``. A damaged record stays damaged: the loader of its section refuses it
    and names the section.

    :raises ValueError: the document has no version, or a version that this code does not know, or an optional key has a
        value of another type.
    """
    version = document.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= VERSION:
        known = ", ".join(str(number) for number in range(1, VERSION + 1))
        raise ValueError(f"state.version: {version!r}: must be one of {known}, which this engine understands")
    for key, expected in OPTIONAL.items():
        if key in document and (not isinstance(document[key], expected) or isinstance(document[key], bool)):
            raise ValueError(f"state.{key}: {document[key]!r}: must be a {expected.__name__}")
    upgraded = dict(document)
    for older in range(version, VERSION):
        for step in _STEPS[older]:
            upgraded = step(upgraded)
    return {**upgraded, "version": VERSION}


def older_than_kept(document: Mapping[str, Any], kept: Mapping[str, Any]) -> str:
    """Return why a node that keeps the document ``kept`` must not be converged to ``document``: it is of another cloud
    or another lineage, or of an older plan. "" if it may."""
    if document.get("cloud") != kept.get("cloud"):
        return (
            f"state.cloud: {document.get('cloud')!r}: this node belongs to cloud {kept.get('cloud')!r}. If cloud_name "
            "was changed by mistake, set it back"
        )
    lineage = kept.get("lineage")
    if lineage and document.get("lineage") != lineage:
        return (
            f"state.lineage: {document.get('lineage', '')!r}: this node was converged with the allocations of lineage "
            f"{lineage!r}. This run has another allocations file: use the one of the last run"
        )
    if document.get("serial", 0) < kept.get("serial", 0):
        return (
            f"state.serial: {document.get('serial', 0)}: this node was converged with serial {kept['serial']}. This "
            "run is of an older inventory or allocations file: use the one of the last run"
        )
    return ""


def _disks_of_domains(document: dict[str, Any]) -> dict[str, Any]:
    """Give each domain a list of disks and the path of its console log. In version 1 a domain has the path of its root
    disk, and its console log is in the same directory."""
    sections = document.get("sections", {})
    if "domains" not in sections:
        return document
    domains = [_with_disks(domain) if "disk" in domain else domain for domain in sections["domains"]]
    return {**document, "sections": {**sections, "domains": domains}}


def _with_disks(domain: Mapping[str, Any]) -> dict[str, Any]:
    path = str(domain["disk"])
    return {
        **{name: value for name, value in domain.items() if name != "disk"},
        "disks": [{"path": path, "target": "vda"}],
        "console_log": f"{path.rpartition('/')[0]}/console.log",
    }


def _distribution(document: dict[str, Any]) -> dict[str, Any]:
    """Add the names of the distribution. In version 1 the distribution is always Debian."""
    debian = {
        "nginx_user": "www-data",
        "nginx_group": "www-data",
        "haproxy_user": "haproxy",
        "haproxy_group": "haproxy",
        "dnsmasq_user": "dnsmasq",
        "openvswitch_service": "openvswitch-switch.service",
        "libvirt_service": "libvirtd.service",
        "nftables_service": "nftables.service",
    }
    return {**document, "distribution": debian}


def _units_of_daemons(document: dict[str, Any]) -> dict[str, Any]:
    """Add the names of units that version 2 does not have. A document of version 2 can only be of Debian."""
    debian = {
        "ovsdb_service": "ovsdb-server.service",
        "vswitchd_service": "ovs-vswitchd.service",
        "libvirt_guests_service": "libvirt-guests.service",
    }
    distribution = document.get("distribution")
    if not isinstance(distribution, dict):
        return document
    return {**document, "distribution": {**debian, **distribution}}


# Version → the steps that upgrade a document of that version to the next version, in order. A step returns a new
# document and does not change its argument.
_STEPS: Mapping[int, tuple[Step, ...]] = {
    1: (_disks_of_domains, _distribution),
    2: (_units_of_daemons,),
}

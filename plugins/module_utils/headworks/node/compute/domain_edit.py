"""Change the XML of an existing domain to a record. Device addresses and all that an operator has added stay.

What does not belong here: building and parsing XML (``domain_xml.py``), and calls to libvirt (``domains.py``).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

from ...state.domains import Domain, Nic
from .domain_xml import (
    MARK,
    all_disks,
    build_disk,
    build_mark,
    build_nic,
    our_disks,
    our_nics,
    parse_nic,
    switch_offload_off,
)


def with_desired(text: str, domain: Domain) -> str:
    """Return the domain's XML ``text`` with title, mark, vcpus, memory, type, disks and NICs as in ``domain``.

    The file of a disk that exists stays: an external snapshot or a copy by hand has put the guest's data there.
    """
    root = ET.fromstring(text)
    root.set("type", domain.virt_type)
    for tag, value in (("title", domain.title), ("vcpu", str(domain.vcpus))):
        element = root.find(tag)
        if element is None:
            element = ET.Element(tag)
            root.insert(2, element)
        element.text = value
        element.attrib.pop("current", None)
    for tag in ("memory", "currentMemory"):
        element = root.find(tag)
        if element is not None:
            element.text, element.attrib = str(domain.memory_mb), {"unit": "MiB"}
    _set_disks(root, domain)
    _set_nics(root, domain)
    _set_mark(root, domain)
    return ET.tostring(root, encoding="unicode")


def with_name(text: str, name: str) -> str:
    """Return the domain's XML with libvirt's name ``name``. Only a domain that is not defined yet can be renamed so."""
    root = ET.fromstring(text)
    element = root.find("name")
    if element is not None:
        element.text = name
    return ET.tostring(root, encoding="unicode")


def _set_disks(root: ET.Element, domain: Domain) -> None:
    existing, ours = all_disks(root), our_disks(root)
    targets = {disk.target for disk in domain.disks}
    _devices(root).extend(build_disk(disk) for disk in domain.disks if disk.target not in existing)
    for target in set(ours) - targets:
        _devices(root).remove(ours[target])


def _set_nics(root: ET.Element, domain: Domain) -> None:
    existing = our_nics(root)
    for nic in domain.nics:
        if nic.tap not in existing:
            _devices(root).append(build_nic(nic))
        else:
            _set_nic(existing[nic.tap], nic)
    for tap in set(existing) - {nic.tap for nic in domain.nics}:
        _devices(root).remove(existing[tap])


def _set_nic(interface: ET.Element, nic: Nic) -> None:
    actual = parse_nic(interface)
    if actual.mac.lower() != nic.mac.lower():
        _child(interface, "mac").set("address", nic.mac)
    if actual.mtu != nic.mtu:
        _child(interface, "mtu").set("size", str(nic.mtu))
    if actual.offload != nic.offload:
        driver = _child(interface, "driver")
        for offloads in (*driver.findall("host"), *driver.findall("guest")):
            driver.remove(offloads)
        if not nic.offload:
            switch_offload_off(driver)


def _set_mark(root: ET.Element, domain: Domain) -> None:
    """Set the mark as in ``domain``. What ``domain`` leaves open (the cloud, the protection) stays as it is."""
    existing = root.find(f"metadata/{MARK}")
    kept = {} if existing is None else existing.attrib
    protected = kept.get("protected") == "true" if domain.protected is None else domain.protected
    mark = build_mark(replace(domain, cloud=domain.cloud or kept.get("cloud", ""), protected=protected))
    if existing is not None:
        existing.attrib = mark.attrib
    elif any(mark.attrib.values()):  # a foreign domain that a module changes gets no mark
        _child(root, "metadata").append(mark)


def _child(parent: ET.Element, tag: str) -> ET.Element:
    """Return the first child ``tag``, which is added if it is missing."""
    child = parent.find(tag)
    return ET.SubElement(parent, tag) if child is None else child


def _devices(root: ET.Element) -> ET.Element:
    return _child(root, "devices")

"""Convert domain records to libvirt XML and back. What does not belong here: calls to libvirt (``domains.py``)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import replace

from ...state.domains import ROOT_TARGET, Domain, DomainDisk, Nic

METADATA_URI = "https://headworks.invalid/xmlns/instance/1"
_MARK = f"{{{METADATA_URI}}}instance"
ET.register_namespace("headworks", METADATA_URI)

_HOST_OFFLOADS = ("csum", "gso", "tso4", "tso6", "ecn", "ufo")
_GUEST_OFFLOADS = ("csum", "tso4", "tso6", "ecn", "ufo")


def build(domain: Domain) -> str:
    """Return the XML that defines ``domain``."""
    root = ET.Element("domain", type=domain.virt_type)
    _texts(root, (("name", domain.domain), ("uuid", domain.name), ("title", domain.title)))
    metadata = ET.SubElement(root, "metadata")
    metadata.append(build_mark(domain))
    ET.SubElement(root, "memory", unit="MiB").text = str(domain.memory_mb)
    ET.SubElement(root, "vcpu").text = str(domain.vcpus)
    system = ET.SubElement(root, "os")
    kind = ET.SubElement(system, "type")  # without an architecture: libvirt takes the node's own
    kind.text = "hvm"
    if domain.machine:
        kind.set("machine", domain.machine)
    ET.SubElement(system, "boot", dev="hd")
    features = ET.SubElement(root, "features")
    ET.SubElement(features, "acpi")
    ET.SubElement(features, "apic")
    if domain.virt_type == "kvm":
        ET.SubElement(root, "cpu", mode="host-model")
    ET.SubElement(root, "clock", offset="utc")
    _texts(root, (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")))
    root.append(_devices(domain))
    return ET.tostring(root, encoding="unicode")


def _texts(parent: ET.Element, pairs: Iterable[tuple[str, str]]) -> None:
    for tag, text in pairs:
        ET.SubElement(parent, tag).text = text


def _devices(domain: Domain) -> ET.Element:
    devices = ET.Element("devices")
    devices.extend(build_disk(disk) for disk in domain.disks)
    devices.extend(build_nic(nic) for nic in domain.nics)
    serial = ET.SubElement(devices, "serial", type="pty")
    if domain.console_log:
        ET.SubElement(serial, "log", file=domain.console_log, append="off")
    ET.SubElement(serial, "target", port="0")
    rng = ET.SubElement(devices, "rng", model="virtio")
    ET.SubElement(rng, "backend", model="random").text = "/dev/urandom"
    video = ET.SubElement(devices, "video")
    ET.SubElement(video, "model", type="none")
    return devices


def build_mark(domain: Domain) -> ET.Element:
    """Return the metadata element that marks a domain as ours. It lists our disks, unless the root disk is the only
    one. A disk that an operator attached is not listed, is not in the record, and is never changed."""
    mark = ET.Element(_MARK, cloud=domain.cloud)
    targets = [disk.target for disk in domain.disks]
    if targets != [ROOT_TARGET]:
        mark.set("disks", " ".join(targets))
    return mark


def build_disk(disk: DomainDisk) -> ET.Element:
    """Return the ``<disk>`` of a disk in a file."""
    element = ET.Element("disk", type="file", device="disk")
    ET.SubElement(element, "driver", name="qemu", type=disk.format, discard="unmap")
    ET.SubElement(element, "source", file=disk.path)
    ET.SubElement(element, "target", dev=disk.target, bus=disk.bus)
    return element


def build_nic(nic: Nic) -> ET.Element:
    """Return the ``<interface>`` of a virtio NIC. ``managed='no'``: the tap exists already and is a port of a bridge,
    so libvirt must not create it."""
    interface = ET.Element("interface", type="ethernet")
    ET.SubElement(interface, "mac", address=nic.mac)
    ET.SubElement(interface, "target", dev=nic.tap, managed="no")
    ET.SubElement(interface, "model", type="virtio")
    ET.SubElement(interface, "mtu", size=str(nic.mtu))
    if not nic.offload:
        driver = ET.SubElement(interface, "driver", name="qemu")
        ET.SubElement(driver, "host", dict.fromkeys(_HOST_OFFLOADS, "off"))
        ET.SubElement(driver, "guest", dict.fromkeys(_GUEST_OFFLOADS, "off"))
    return interface


def parse(text: str, state: str) -> Domain:
    """Return the record of a domain from its XML as libvirt prints it. The XML does not have ``state``."""
    root = ET.fromstring(text)
    mark, log = root.find(f"metadata/{_MARK}"), root.find("devices/serial/log")
    return Domain(
        name=root.findtext("uuid", ""),
        domain=root.findtext("name", ""),
        title=root.findtext("title", ""),
        vcpus=int(root.findtext("vcpu", "0")),
        memory_mb=_mebibytes(root.find("memory")),
        disks=tuple(parse_disk(element) for element in _our_disks(root).values()),
        state=state,
        virt_type=root.get("type", ""),
        machine=_machine(root),
        nics=tuple(parse_nic(interface) for interface in root.findall("devices/interface")),
        cloud="" if mark is None else mark.get("cloud", ""),
        console_log="" if log is None else log.get("file", ""),
    )


def parse_disk(element: ET.Element) -> DomainDisk:
    """Return the record of a ``<disk>``."""
    source, target, driver = element.find("source"), element.find("target"), element.find("driver")
    return DomainDisk(
        path="" if source is None else source.get("file", ""),
        target=_target(element),
        bus="" if target is None else target.get("bus", ""),
        format="" if driver is None else driver.get("type", ""),
    )


def parse_nic(interface: ET.Element) -> Nic:
    """Return the record of an ``<interface>``."""
    target, mac, mtu = interface.find("target"), interface.find("mac"), interface.find("mtu")
    host = interface.find("driver/host")
    return Nic(
        tap="" if target is None else target.get("dev", ""),
        mac="" if mac is None else mac.get("address", ""),
        mtu=1500 if mtu is None else int(mtu.get("size", "1500")),
        offload=host is None or host.get("csum", "on") != "off",
    )


def find_nic(text: str, tap: str) -> str:
    """Return the ``<interface>`` of ``tap`` in a domain's XML. libvirt needs it to detach the NIC.

    :raises KeyError: the domain has no NIC on ``tap``.
    """
    for interface in ET.fromstring(text).findall("devices/interface"):
        if parse_nic(interface).tap == tap:
            return ET.tostring(interface, encoding="unicode")
    raise KeyError(tap)


def disk_paths(text: str) -> dict[str, str]:
    """Return device → file of all disks in a domain's XML, also of disks that are not ours."""
    return {target: parse_disk(element).path for target, element in _disks(ET.fromstring(text)).items()}


def find_disk(text: str, target: str) -> str | None:
    """Return the ``<disk>`` of device ``target`` in a domain's XML, or None if the domain has no such disk."""
    element = _disks(ET.fromstring(text)).get(target)
    return None if element is None else ET.tostring(element, encoding="unicode")


def with_scalars(text: str, domain: Domain) -> str:
    """Return the domain's XML ``text`` with title, mark, vcpus, memory, type and disks as in ``domain``. Device
    addresses and all that an operator has added stay."""
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
    _set_mark(root, domain)
    return ET.tostring(root, encoding="unicode")


def _set_disks(root: ET.Element, domain: Domain) -> None:
    """Set our disks as in ``domain``. For another file only the source is changed, so that the device keeps its
    address."""
    devices, existing, ours = root.find("devices"), _disks(root), _our_disks(root)
    assert devices is not None  # libvirt always prints <devices>
    for disk in domain.disks:
        element = existing.get(disk.target)
        if element is None:
            devices.append(build_disk(disk))
        elif (source := element.find("source")) is not None:
            source.set("file", disk.path)
    for target in set(ours) - {disk.target for disk in domain.disks}:
        devices.remove(ours[target])


def _set_mark(root: ET.Element, domain: Domain) -> None:
    """Set the mark as in ``domain``. If ``domain`` has no cloud, the cloud in the existing mark stays."""
    existing = root.find(f"metadata/{_MARK}")
    mark = build_mark(replace(domain, cloud=domain.cloud or ("" if existing is None else existing.get("cloud", ""))))
    if existing is not None:
        existing.attrib = mark.attrib
    elif any(mark.attrib.values()):  # a foreign domain that a module changes gets no mark
        metadata = root.find("metadata")
        (ET.SubElement(root, "metadata") if metadata is None else metadata).append(mark)


def _disks(root: ET.Element) -> dict[str, ET.Element]:
    """Return device → element of the disks, without CD-ROMs and floppies, in their order."""
    return {_target(element): element for element in root.findall("devices/disk[@device='disk']")}


def _our_disks(root: ET.Element) -> dict[str, ET.Element]:
    mark = root.find(f"metadata/{_MARK}")
    targets = (ROOT_TARGET if mark is None else mark.get("disks", ROOT_TARGET)).split()
    return {target: element for target, element in _disks(root).items() if target in targets}


def _target(disk: ET.Element) -> str:
    target = disk.find("target")
    return "" if target is None else target.get("dev", "")


def _mebibytes(element: ET.Element | None) -> int:
    """Return an amount of memory in MiB. libvirt prints KiB; only XML from elsewhere has other units."""
    if element is None or not element.text:
        return 0
    scale = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "b": 1, "bytes": 1}[element.get("unit", "KiB")]
    return int(element.text) * scale // (1 << 20)


def _machine(root: ET.Element) -> str:
    kind = root.find("os/type")
    return "" if kind is None else kind.get("machine", "")

"""Convert domain records to libvirt XML and back.

What does not belong here: changes of an existing XML (``domain_edit.py``), and calls to libvirt (``domains.py``).
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterable

from ...state.domains import ROOT_TARGET, Domain, DomainDisk, Live, Nic

METADATA_URI = "https://headworks.invalid/xmlns/instance/1"
MARK = f"{{{METADATA_URI}}}instance"
MARK_PREFIX = "headworks"
ET.register_namespace(MARK_PREFIX, METADATA_URI)

# The taps of a cloud's ports, and the taps that module instance names itself: ``tap`` and the start of a UUID.
_OUR_TAP = re.compile(r"tap[0-9a-f]{8}-[0-9a-f]{2}")

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
    mark = ET.Element(MARK, cloud=domain.cloud)
    targets = [disk.target for disk in domain.disks]
    if targets != [ROOT_TARGET]:
        mark.set("disks", " ".join(targets))
    if domain.protected:
        mark.set("protected", "true")
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
        switch_offload_off(ET.SubElement(interface, "driver", name="qemu"))
    return interface


def switch_offload_off(driver: ET.Element) -> None:
    """Add the elements that switch a NIC's offloads off to its ``<driver>``."""
    ET.SubElement(driver, "host", dict.fromkeys(_HOST_OFFLOADS, "off"))
    ET.SubElement(driver, "guest", dict.fromkeys(_GUEST_OFFLOADS, "off"))


def parse(text: str, state: str) -> Domain:
    """Return the record of a domain from its XML as libvirt prints it, without ``live``. The XML does not have
    ``state``."""
    root = ET.fromstring(text)
    mark, log = root.find(f"metadata/{MARK}"), root.find("devices/serial/log")
    return Domain(
        name=root.findtext("uuid", ""),
        domain=root.findtext("name", ""),
        title=root.findtext("title", ""),
        vcpus=int(root.findtext("vcpu", "0")),
        memory_mb=_mebibytes(root.find("memory")),
        disks=tuple(parse_disk(element) for element in our_disks(root).values()),
        state=state,
        virt_type=root.get("type", ""),
        machine=_machine(root),
        nics=tuple(parse_nic(interface) for interface in our_nics(root).values()),
        cloud="" if mark is None else mark.get("cloud", ""),
        console_log="" if log is None else log.get("file", ""),
        protected=mark is not None and mark.get("protected") == "true",
    )


def parse_live(text: str, taps: Collection[str], targets: Collection[str]) -> Live:
    """Return what a running guest has, from its live XML, without ``dead``.

    A NIC counts if its tap is in ``taps`` or has a name of ours, a disk if its device is in ``targets`` or in the list
    of the live mark. Everything else was attached by hand and is not ours.
    """
    root = ET.fromstring(text)
    nics = [parse_nic(interface) for interface in our_nics(root).values()]
    ours = {*targets, *our_disks(root)}
    return Live(
        vcpus=int(root.findtext("vcpu", "0")),
        memory_mb=_mebibytes(root.find("memory")),
        virt_type=root.get("type", ""),
        nics=tuple(nic for nic in nics if nic.tap in taps or _OUR_TAP.fullmatch(nic.tap)),
        disks=tuple(target for target in all_disks(root) if target in ours),
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


def switched_off_nics(text: str) -> frozenset[str]:
    """Return the taps of our NICs whose link an operator has switched off (``virsh domif-setlink``)."""
    nics = our_nics(ET.fromstring(text))
    return frozenset(tap for tap, nic in nics.items() if nic.find("link[@state='down']") is not None)


def find_nic(text: str, tap: str) -> str | None:
    """Return our ``<interface>`` on ``tap`` in a domain's XML, or None if the domain has no such NIC."""
    element = our_nics(ET.fromstring(text)).get(tap)
    return None if element is None else ET.tostring(element, encoding="unicode")


def find_disk(text: str, target: str) -> str | None:
    """Return the ``<disk>`` of device ``target`` in a domain's XML, or None if the domain has no such disk."""
    element = all_disks(ET.fromstring(text)).get(target)
    return None if element is None else ET.tostring(element, encoding="unicode")


def without_address(element: str) -> str:
    """Return the XML of a device without its address, so that libvirt chooses one."""
    device = ET.fromstring(element)
    for address in device.findall("address"):
        device.remove(address)
    return ET.tostring(device, encoding="unicode")


def our_nics(root: ET.Element) -> dict[str, ET.Element]:
    """Return tap → ``<interface>`` of the NICs on a tap that libvirt does not manage, as we build them. An operator's
    NIC on a network or a bridge of libvirt is not ours."""
    found = {}
    for interface in root.findall("devices/interface[@type='ethernet']"):
        target = interface.find("target")
        if target is not None and target.get("managed") == "no":
            found[target.get("dev", "")] = interface
    return found


def all_disks(root: ET.Element) -> dict[str, ET.Element]:
    """Return device → element of the disks, without CD-ROMs and floppies, in their order."""
    return {_target(element): element for element in root.findall("devices/disk[@device='disk']")}


def our_disks(root: ET.Element) -> dict[str, ET.Element]:
    """Return device → element of the disks that the mark lists. Without a list it is the root disk."""
    mark = root.find(f"metadata/{MARK}")
    targets = (ROOT_TARGET if mark is None else mark.get("disks", ROOT_TARGET)).split()
    return {target: element for target, element in all_disks(root).items() if target in targets}


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

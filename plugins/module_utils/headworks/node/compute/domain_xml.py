"""Domain records to libvirt XML and back. Talking to libvirt is ``domains.py``."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

from ...state.domains import Domain, Nic

METADATA_URI = "https://headworks.invalid/xmlns/instance/1"
ET.register_namespace("headworks", METADATA_URI)

_HOST_OFFLOADS = ("csum", "gso", "tso4", "tso6", "ecn", "ufo")
_GUEST_OFFLOADS = ("csum", "tso4", "tso6", "ecn", "ufo")


def build(domain: Domain) -> str:
    """The XML that defines ``domain``."""
    root = ET.Element("domain", type=domain.virt_type)
    _texts(root, (("name", domain.domain), ("uuid", domain.name), ("title", domain.title)))
    metadata = ET.SubElement(root, "metadata")
    metadata.append(ET.fromstring(build_mark(domain)))
    ET.SubElement(root, "memory", unit="MiB").text = str(domain.memory_mb)
    ET.SubElement(root, "vcpu").text = str(domain.vcpus)
    system = ET.SubElement(root, "os")
    kind = ET.SubElement(system, "type", arch="x86_64")
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
    disk = ET.SubElement(devices, "disk", type="file", device="disk")
    ET.SubElement(disk, "driver", name="qemu", type="qcow2", discard="unmap")
    ET.SubElement(disk, "source", file=domain.disk)
    ET.SubElement(disk, "target", dev="vda", bus="virtio")
    for nic in domain.nics:
        devices.append(build_nic(nic))
    serial = ET.SubElement(devices, "serial", type="pty")
    ET.SubElement(serial, "log", file=str(console_log(domain)), append="off")
    ET.SubElement(serial, "target", port="0")
    rng = ET.SubElement(devices, "rng", model="virtio")
    ET.SubElement(rng, "backend", model="random").text = "/dev/urandom"
    video = ET.SubElement(devices, "video")
    ET.SubElement(video, "model", type="none")
    return devices


def console_log(domain: Domain) -> Path:
    """Where the guest's console goes: beside its disk."""
    return Path(domain.disk).parent / "console.log"


def build_mark(domain: Domain) -> str:
    """The metadata element by which a domain is known as ours."""
    return ET.tostring(ET.Element(f"{{{METADATA_URI}}}instance", cloud=domain.cloud), encoding="unicode")


def build_nic(nic: Nic) -> ET.Element:
    """A virtio NIC on a tap that is already there and already a port of the bridge (so ``managed='no'``)."""
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
    """What a domain's XML (as libvirt prints it) means, in our record; ``state`` is added from elsewhere."""
    root = ET.fromstring(text)
    mark = root.find(f"metadata/{{{METADATA_URI}}}instance")
    source = root.find("devices/disk[@device='disk']/source")
    return Domain(
        name=root.findtext("uuid", ""),
        domain=root.findtext("name", ""),
        title=root.findtext("title", ""),
        vcpus=int(root.findtext("vcpu", "0")),
        memory_mb=_mebibytes(root.find("memory")),
        disk="" if source is None else source.get("file", ""),
        state=state,
        virt_type=root.get("type", ""),
        machine=_machine(root),
        nics=tuple(parse_nic(one) for one in root.findall("devices/interface")),
        cloud="" if mark is None else mark.get("cloud", ""),
    )


def parse_nic(interface: ET.Element) -> Nic:
    """One ``<interface>``."""
    target, mac, mtu = interface.find("target"), interface.find("mac"), interface.find("mtu")
    host = interface.find("driver/host")
    return Nic(
        tap="" if target is None else target.get("dev", ""),
        mac="" if mac is None else mac.get("address", ""),
        mtu=1500 if mtu is None else int(mtu.get("size", "1500")),
        offload=host is None or host.get("csum", "on") != "off",
    )


def find_nic(text: str, tap: str) -> str:
    """The ``<interface>`` of ``tap`` in a domain's XML, as XML (what detaching needs).

    :raises KeyError: the domain has no such NIC.
    """
    for interface in ET.fromstring(text).findall("devices/interface"):
        if parse_nic(interface).tap == tap:
            return ET.tostring(interface, encoding="unicode")
    raise KeyError(tap)


def with_scalars(text: str, domain: Domain) -> str:
    """The domain's own XML with name-independent scalars (title, mark, vcpus, memory, disk, type) as in ``domain``;
    device addresses and everything else an operator may have added stay."""
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
    source = root.find("devices/disk[@device='disk']/source")
    if source is not None:
        source.set("file", domain.disk)
    return ET.tostring(root, encoding="unicode")


def _mebibytes(element: ET.Element | None) -> int:
    """libvirt prints KiB; other units only come from hand-written XML."""
    if element is None or not element.text:
        return 0
    scale = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "b": 1, "bytes": 1}[element.get("unit", "KiB")]
    return int(element.text) * scale // (1 << 20)


def _machine(root: ET.Element) -> str:
    kind = root.find("os/type")
    return "" if kind is None else kind.get("machine", "")

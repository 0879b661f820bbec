"""Guests with real libvirt (TCG), and what the tests of guests ask libvirt about them."""

from __future__ import annotations

import shutil
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from xml.etree import ElementTree

import libvirt
import pytest
from headworks.engine.converge import Result, converge
from headworks.node.compute.disks import DiskSubsystem
from headworks.node.compute.domain_xml import all_disks, our_nics
from headworks.node.compute.domains import DomainSubsystem
from headworks.state.disks import Disk
from headworks.state.domains import Domain, DomainDisk, Nic

OWNER = "functional-domains"
BASE = Path("/var/tmp") / f"base-{uuid.uuid4().hex[:8]}"
INSTANCES = BASE / "instances"


def ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True)


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory with a blank base image. A guest on it stops at the BIOS's 'no bootable device', which suffices."""
    BASE.mkdir()
    BASE.chmod(0o755)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(BASE / ("b" * 64)), "16M"], check=True)
    yield BASE
    shutil.rmtree(BASE)


@pytest.fixture
def guest(base: Path) -> Iterator[Domain]:
    """A guest whose disk and tap exist. After the test it is undefined in any case."""
    identity = str(uuid.uuid4())
    disk = Disk(identity, "vm1", "b" * 64)
    converge([(DiskSubsystem(OWNER, INSTANCES, base), {identity: disk})])
    tap = f"tap{identity[:11]}"
    ip("tuntap", "add", "dev", tap, "mode", "tap")
    ip("link", "set", tap, "up")
    nic = Nic(tap, "fa:16:3e:aa:bb:01", 1458, offload=False)
    yield Domain(
        identity,
        f"instance-{identity[:8]}",
        "vm1",
        1,
        64,
        (DomainDisk(str(INSTANCES / identity / "disk"), "vda"),),
        nics=(nic,),
        cloud=OWNER,
        console_log=str(INSTANCES / identity / "console.log"),
    )
    connection = libvirt.open("qemu:///system")
    for handle in connection.listAllDomains():
        if handle.UUIDString() == identity:
            if handle.isActive():
                handle.destroy()
            handle.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
    connection.close()
    subprocess.run(["ip", "link", "del", tap], check=False)


@pytest.fixture
def data_disk(base: Path) -> DomainDisk:
    """A second disk, which no guest has yet."""
    path = base / "data"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "8M"], check=True)
    return DomainDisk(str(path), "vdb")


def run(*guests: Domain, check: bool = False):
    subsystem = DomainSubsystem(OWNER, instances_dir=INSTANCES)
    return converge([(subsystem, {guest.name: guest for guest in guests})], check=check)


@contextmanager
def releasing(guest: Domain) -> Iterator[None]:
    """Let the guest release devices: without a system it only does so when it is reset, so it is reset all the time."""
    done = threading.Event()

    def reset() -> None:
        connection = libvirt.open("qemu:///system")
        while not done.wait(0.3):
            with suppress(libvirt.libvirtError):
                connection.lookupByUUIDString(guest.name).reset()
        connection.close()

    thread = threading.Thread(target=reset)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def process_id(guest: Domain) -> int:
    text = Path(f"/run/libvirt/qemu/{guest.domain}.pid").read_text()
    return int(text)


def live_taps(guest: Domain) -> set[str]:
    """Return the taps of the NICs that the running guest has."""
    return set(our_nics(ElementTree.fromstring(running(guest))))


def running(guest: Domain) -> str:
    """Return what libvirt says that the running guest has now."""
    connection = libvirt.open("qemu:///system")
    try:
        return connection.lookupByUUIDString(guest.name).XMLDesc()
    finally:
        connection.close()


def definition(guest: Domain) -> str:
    """Return the guest's definition from libvirt."""
    connection = libvirt.open("qemu:///system")
    try:
        return connection.lookupByUUIDString(guest.name).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    finally:
        connection.close()


def texts(result: Result) -> list[str]:
    return [note.text for note in result.notes]


def recreate(tap: str) -> None:
    ip("link", "del", tap)
    ip("tuntap", "add", "dev", tap, "mode", "tap")
    ip("link", "set", tap, "up")


def block_devices(guest: Domain) -> set[str]:
    """Return the devices of the disks that the running guest has."""
    connection = libvirt.open("qemu:///system")
    try:
        text = connection.lookupByUUIDString(guest.name).XMLDesc()
    finally:
        connection.close()
    return set(all_disks(ElementTree.fromstring(text)))

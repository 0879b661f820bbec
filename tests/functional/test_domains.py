"""DomainSubsystem with real libvirt (TCG): guests are defined, started, changed without a restart, and removed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import libvirt
import pytest
from headworks.engine.converge import ConvergeError, converge
from headworks.node.compute.disks import DiskSubsystem
from headworks.node.compute.domain_xml import build_disk, disk_paths
from headworks.node.compute.domains import DomainSubsystem
from headworks.state.disks import Disk
from headworks.state.domains import Domain, DomainDisk, Nic

OWNER = "functional-domains"


def ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True)


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory with a blank base image. A guest on it stops at the BIOS's 'no bootable device', which suffices."""
    directory = Path("/var/tmp") / f"base-{uuid.uuid4().hex[:8]}"
    directory.mkdir()
    directory.chmod(0o755)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(directory / ("b" * 64)), "16M"], check=True)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def guest(base: Path) -> Iterator[Domain]:
    """A guest whose disk and tap exist. After the test it is undefined in any case."""
    identity = str(uuid.uuid4())
    instances = base / "instances"
    disk = Disk(identity, "vm1", "b" * 64)
    converge([(DiskSubsystem(OWNER, instances, base), {identity: disk})])
    tap = f"tapf{identity[:7]}"
    ip("tuntap", "add", "dev", tap, "mode", "tap")
    ip("link", "set", tap, "up")
    nic = Nic(tap, "fa:16:3e:aa:bb:01", 1458, offload=False)
    yield Domain(
        identity,
        f"instance-{identity[:8]}",
        "vm1",
        1,
        64,
        (DomainDisk(str(instances / identity / "disk"), "vda"),),
        nics=(nic,),
        cloud=OWNER,
        console_log=str(instances / identity / "console.log"),
    )
    connection = libvirt.open("qemu:///system")
    for handle in connection.listAllDomains():
        if handle.UUIDString() == identity:
            if handle.isActive():
                handle.destroy()
            handle.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
    connection.close()
    ip("link", "del", tap)


def run(*guests: Domain, check: bool = False):
    return converge([(DomainSubsystem(OWNER), {guest.name: guest for guest in guests})], check=check)


def process_id(guest: Domain) -> int:
    text = Path(f"/run/libvirt/qemu/{guest.domain}.pid").read_text()
    return int(text)


def test_a_guest_starts_and_a_second_run_changes_nothing(guest: Domain) -> None:
    assert [change["verb"] for change in run(guest).changes] == ["add"]
    before = process_id(guest)
    assert run(guest).changes == []
    assert process_id(guest) == before


def test_check_mode_defines_nothing(guest: Domain) -> None:
    assert [change["name"] for change in run(guest, check=True).changes] == [guest.name]
    assert run(guest, check=True).changes != []


@pytest.mark.parametrize("state", ["stopped", "paused", "suspended"])
def test_every_state_is_reached_and_left_again(guest: Domain, state: str) -> None:
    run(guest)
    resting = replace(guest, state=state)
    run(resting)
    assert run(resting).changes == []
    run(guest)
    assert run(guest).changes == []


def test_more_memory_takes_effect_at_the_next_start_and_a_note_says_so(guest: Domain) -> None:
    run(guest)
    before = process_id(guest)
    result = run(replace(guest, memory_mb=96))
    assert result.changed
    again = run(replace(guest, memory_mb=96))
    assert again.changes == []
    assert "vm1" in again.notes[0].text
    assert "next start" in again.notes[0].text
    assert process_id(guest) == before


def test_a_nic_is_added_and_removed_while_the_guest_runs(guest: Domain) -> None:
    run(guest)
    before = process_id(guest)
    tap = f"{guest.nics[0].tap[:-1]}x"
    ip("tuntap", "add", "dev", tap, "mode", "tap")
    try:
        more = replace(guest, nics=(*guest.nics, Nic(tap, "fa:16:3e:aa:bb:02", 1458, offload=False)))
        run(more)
        assert run(more).changes == []
        run(guest)
        assert run(guest).changes == []
        assert process_id(guest) == before
    finally:
        time.sleep(0.1)
        ip("link", "del", tap)


def defined_earlier(guest: Domain) -> str:
    """Return the XML with which versions before the list of disks defined a guest."""
    (nic,), (disk,) = guest.nics, guest.disks
    offloads = 'csum="off" tso4="off" tso6="off" ecn="off" ufo="off"'
    return (
        '<domain xmlns:headworks="https://headworks.invalid/xmlns/instance/1" type="qemu">'
        f"<name>{guest.domain}</name><uuid>{guest.name}</uuid><title>{guest.title}</title>"
        f'<metadata><headworks:instance cloud="{guest.cloud}" /></metadata>'
        f'<memory unit="MiB">{guest.memory_mb}</memory><vcpu>{guest.vcpus}</vcpu>'
        '<os><type arch="x86_64">hvm</type><boot dev="hd" /></os><features><acpi /><apic /></features>'
        '<clock offset="utc" /><on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot>'
        '<on_crash>destroy</on_crash><devices><disk type="file" device="disk">'
        f'<driver name="qemu" type="qcow2" discard="unmap" /><source file="{disk.path}" />'
        f'<target dev="vda" bus="virtio" /></disk><interface type="ethernet"><mac address="{nic.mac}" />'
        f'<target dev="{nic.tap}" managed="no" /><model type="virtio" /><mtu size="{nic.mtu}" />'
        f'<driver name="qemu"><host gso="off" {offloads} /><guest {offloads} /></driver></interface>'
        f'<serial type="pty"><log file="{Path(disk.path).parent}/console.log" append="off" /><target port="0" />'
        '</serial><rng model="virtio"><backend model="random">/dev/urandom</backend></rng>'
        '<video><model type="none" /></video></devices></domain>'
    )


def definition(guest: Domain) -> str:
    """Return the guest's definition from libvirt."""
    connection = libvirt.open("qemu:///system")
    try:
        return connection.lookupByUUIDString(guest.name).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    finally:
        connection.close()


def test_a_running_guest_that_an_earlier_version_defined_is_not_changed(guest: Domain) -> None:
    connection = libvirt.open("qemu:///system")
    connection.defineXML(defined_earlier(guest)).create()
    connection.close()
    before, process = definition(guest), process_id(guest)
    assert run(guest, check=True).changes == []
    assert run(guest).changes == []
    assert (definition(guest), process_id(guest)) == (before, process)


def test_a_guest_is_defined_as_an_earlier_version_defined_it_and_has_the_nodes_architecture(guest: Domain) -> None:
    connection = libvirt.open("qemu:///system")
    connection.defineXML(defined_earlier(guest))
    before = definition(guest)
    connection.lookupByUUIDString(guest.name).undefine()
    connection.close()
    run(replace(guest, state="stopped"))
    assert definition(guest) == before
    assert f"arch='{os.uname().machine}'" in before


@pytest.fixture
def data_disk(base: Path) -> DomainDisk:
    """A second disk, which no guest has yet."""
    path = base / "data"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "8M"], check=True)
    return DomainDisk(str(path), "vdb")


def block_devices(guest: Domain) -> set[str]:
    """Return the devices of the disks that the running guest has."""
    connection = libvirt.open("qemu:///system")
    try:
        text = connection.lookupByUUIDString(guest.name).XMLDesc()
    finally:
        connection.close()
    return set(disk_paths(text))


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_a_second_disk_is_added_and_removed_and_a_second_run_changes_nothing(
    guest: Domain, data_disk: DomainDisk, state: str
) -> None:
    one_disk = replace(guest, state=state)
    two_disks = replace(one_disk, disks=(*guest.disks, data_disk))
    run(one_disk)
    process = process_id(guest) if state == "running" else None
    assert [change["verb"] for change in run(two_disks).changes] == ["change"]
    again = run(two_disks)
    assert (again.changes, again.notes) == ([], [])
    assert data_disk.path in definition(guest)
    if process:
        assert block_devices(guest) == {"vda", "vdb"}
    run(one_disk)
    assert run(one_disk).changes == []
    assert data_disk.path not in definition(guest)
    if process:
        assert process_id(guest) == process
    assert Path(data_disk.path).exists()


def test_a_disk_that_a_killed_run_has_attached_is_not_attached_again(guest: Domain, data_disk: DomainDisk) -> None:
    run(guest)
    connection = libvirt.open("qemu:///system")
    element = ElementTree.tostring(build_disk(data_disk), encoding="unicode")
    connection.lookupByUUIDString(guest.name).attachDeviceFlags(element, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    connection.close()
    two_disks = replace(guest, disks=(*guest.disks, data_disk))
    run(two_disks)
    assert run(two_disks).changes == []


def test_a_disk_that_an_operator_attached_is_not_changed(guest: Domain, data_disk: DomainDisk) -> None:
    run(guest)
    connection = libvirt.open("qemu:///system")
    element = ElementTree.tostring(build_disk(data_disk), encoding="unicode")
    flags = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
    connection.lookupByUUIDString(guest.name).attachDeviceFlags(element, flags)
    connection.close()
    assert run(guest).changes == []
    run(replace(guest, memory_mb=96))
    assert data_disk.path in definition(guest)


def test_a_removed_guest_leaves_no_domain_and_no_directory(guest: Domain) -> None:
    run(guest)
    instances = Path(guest.disks[0].path).parent.parent
    removed = converge([(DiskSubsystem(OWNER, instances), {}), (DomainSubsystem(OWNER), {})])
    assert {change["verb"] for change in removed.changes} == {"remove"}
    assert list(instances.iterdir()) == []
    assert run().changes == []


def test_a_foreign_domain_is_not_changed(guest: Domain) -> None:
    foreign = str(uuid.uuid4())
    connection = libvirt.open("qemu:///system")
    handle = connection.defineXML(
        f"<domain type='qemu'><name>foreign-{foreign[:8]}</name><uuid>{foreign}</uuid><memory>65536</memory>"
        "<os><type>hvm</type></os></domain>"
    )
    try:
        run(guest)
        run()
        assert connection.lookupByUUIDString(foreign).name() == f"foreign-{foreign[:8]}"
    finally:
        handle.undefine()
        connection.close()


def test_an_error_names_the_guest_that_failed_and_the_other_guests_start(guest: Domain) -> None:
    bad = replace(
        guest,
        name=str(uuid.uuid4()),
        domain="instance-bad",
        title="broken",
        disks=(DomainDisk("/nowhere/disk", "vda"),),
        nics=(),
        console_log="",  # libvirt lets only one of two guests open the same console log
    )
    with pytest.raises(ConvergeError, match="instance broken:"):
        run(bad, guest)
    try:
        assert run(guest, check=True).changes[0]["name"] != guest.name
    finally:
        run(guest)

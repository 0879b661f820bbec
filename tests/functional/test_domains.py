"""Guests on real libvirt (TCG): defined, started, changed without being destroyed, removed without a trace."""

from __future__ import annotations

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
    """A base image that boots into the BIOS's 'no bootable device' and stays there: enough for libvirt."""
    directory = Path("/var/tmp") / f"base-{uuid.uuid4().hex[:8]}"
    directory.mkdir()
    directory.chmod(0o755)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(directory / ("b" * 64)), "16M"], check=True)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def guest(base: Path) -> Iterator[Domain]:
    """A guest with its disk made and its tap there; undefined afterwards, whatever happened."""
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
    for one in connection.listAllDomains():
        if one.UUIDString() == identity:
            if one.isActive():
                one.destroy()
            one.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
    connection.close()
    ip("link", "del", tap)


def settle(*guests: Domain, check: bool = False):
    return converge([(DomainSubsystem(OWNER), {one.name: one for one in guests})], check=check)


def process_id(guest: Domain) -> int:
    text = Path(f"/run/libvirt/qemu/{guest.domain}.pid").read_text()
    return int(text)


def test_a_guest_starts_and_a_second_run_changes_nothing(guest: Domain) -> None:
    assert [one["verb"] for one in settle(guest).changes] == ["add"]
    before = process_id(guest)
    assert settle(guest).changes == []
    assert process_id(guest) == before


def test_check_mode_defines_nothing(guest: Domain) -> None:
    assert [one["name"] for one in settle(guest, check=True).changes] == [guest.name]
    assert settle(guest, check=True).changes != []


@pytest.mark.parametrize("state", ["stopped", "paused", "suspended"])
def test_every_state_is_reached_and_left_again(guest: Domain, state: str) -> None:
    settle(guest)
    resting = replace(guest, state=state)
    settle(resting)
    assert settle(resting).changes == []
    settle(guest)
    assert settle(guest).changes == []


def test_more_memory_waits_for_the_next_start_and_is_said(guest: Domain) -> None:
    settle(guest)
    before = process_id(guest)
    result = settle(replace(guest, memory_mb=96))
    assert result.changed
    again = settle(replace(guest, memory_mb=96))
    assert again.changes == []
    assert "vm1" in again.notes[0].text
    assert "next start" in again.notes[0].text
    assert process_id(guest) == before


def test_a_nic_is_added_and_taken_away_while_the_guest_runs(guest: Domain) -> None:
    settle(guest)
    before = process_id(guest)
    tap = f"{guest.nics[0].tap[:-1]}x"
    ip("tuntap", "add", "dev", tap, "mode", "tap")
    try:
        more = replace(guest, nics=(*guest.nics, Nic(tap, "fa:16:3e:aa:bb:02", 1458, offload=False)))
        settle(more)
        assert settle(more).changes == []
        settle(guest)
        assert settle(guest).changes == []
        assert process_id(guest) == before
    finally:
        time.sleep(0.1)
        ip("link", "del", tap)


def defined_earlier(guest: Domain) -> str:
    """The XML by which versions before the list of disks defined a guest."""
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
    """The guest's definition as libvirt has it."""
    connection = libvirt.open("qemu:///system")
    try:
        return connection.lookupByUUIDString(guest.name).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    finally:
        connection.close()


def test_a_running_guest_of_an_earlier_version_is_left_as_it_is(guest: Domain) -> None:
    connection = libvirt.open("qemu:///system")
    connection.defineXML(defined_earlier(guest)).create()
    connection.close()
    before, process = definition(guest), process_id(guest)
    assert settle(guest, check=True).changes == []
    assert settle(guest).changes == []
    assert (definition(guest), process_id(guest)) == (before, process)


@pytest.fixture
def data_disk(base: Path) -> DomainDisk:
    """A second disk."""
    path = base / "data"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "8M"], check=True)
    return DomainDisk(str(path), "vdb")


def block_devices(guest: Domain) -> set[str]:
    """The disks that the running guest has now."""
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
    alone = replace(guest, state=state)
    both = replace(alone, disks=(*guest.disks, data_disk))
    settle(alone)
    process = process_id(guest) if state == "running" else None
    assert [one["verb"] for one in settle(both).changes] == ["change"]
    again = settle(both)
    assert (again.changes, again.notes) == ([], [])
    assert data_disk.path in definition(guest)
    if process:
        assert block_devices(guest) == {"vda", "vdb"}
    settle(alone)
    assert settle(alone).changes == []
    assert data_disk.path not in definition(guest)
    if process:
        assert process_id(guest) == process
    assert Path(data_disk.path).exists()


def test_a_disk_that_a_killed_run_attached_already_is_no_obstacle(guest: Domain, data_disk: DomainDisk) -> None:
    settle(guest)
    connection = libvirt.open("qemu:///system")
    element = ElementTree.tostring(build_disk(data_disk), encoding="unicode")
    connection.lookupByUUIDString(guest.name).attachDeviceFlags(element, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    connection.close()
    both = replace(guest, disks=(*guest.disks, data_disk))
    settle(both)
    assert settle(both).changes == []


def test_a_disk_that_an_operator_attached_is_never_touched(guest: Domain, data_disk: DomainDisk) -> None:
    settle(guest)
    connection = libvirt.open("qemu:///system")
    element = ElementTree.tostring(build_disk(data_disk), encoding="unicode")
    flags = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
    connection.lookupByUUIDString(guest.name).attachDeviceFlags(element, flags)
    connection.close()
    assert settle(guest).changes == []
    settle(replace(guest, memory_mb=96))
    assert data_disk.path in definition(guest)


def test_a_removed_guest_leaves_neither_domain_nor_directory(guest: Domain) -> None:
    settle(guest)
    instances = Path(guest.disks[0].path).parent.parent
    removed = converge([(DiskSubsystem(OWNER, instances), {}), (DomainSubsystem(OWNER), {})])
    assert {one["verb"] for one in removed.changes} == {"remove"}
    assert list(instances.iterdir()) == []
    assert settle().changes == []


def test_a_domain_made_by_hand_is_never_touched(guest: Domain) -> None:
    foreign = str(uuid.uuid4())
    connection = libvirt.open("qemu:///system")
    made = connection.defineXML(
        f"<domain type='qemu'><name>foreign-{foreign[:8]}</name><uuid>{foreign}</uuid><memory>65536</memory>"
        "<os><type>hvm</type></os></domain>"
    )
    try:
        settle(guest)
        settle()
        assert connection.lookupByUUIDString(foreign).name() == f"foreign-{foreign[:8]}"
    finally:
        made.undefine()
        connection.close()


def test_one_bad_guest_is_named_and_does_not_keep_the_others_back(guest: Domain) -> None:
    nowhere = (DomainDisk("/nowhere/disk", "vda"),)
    bad = replace(guest, name=str(uuid.uuid4()), domain="instance-bad", title="broken", disks=nowhere, nics=())
    with pytest.raises(ConvergeError, match="instance broken:"):
        settle(bad, guest)
    try:
        assert settle(guest, check=True).changes[0]["name"] != guest.name
    finally:
        settle(guest)

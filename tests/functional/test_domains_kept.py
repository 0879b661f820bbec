"""What is kept of guests, with real libvirt (TCG): a removed guest comes back whole, and no guest starts on a disk that
is not its own."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest
from domain_lab import BASE, INSTANCES, OWNER, definition, process_id, run, texts
from headworks.engine.converge import ConvergeError, Result, converge
from headworks.node.compute.disks import DiskSubsystem
from headworks.node.compute.domains import DomainSubsystem
from headworks.state.disks import Disk
from headworks.state.domains import Domain


def test_an_external_snapshot_is_a_note_and_the_guest_keeps_it_through_changes_and_removal(guest: Domain) -> None:
    run(guest)
    overlay = INSTANCES / guest.name / "disk.snap1"
    disks = f"<disks><disk name='vda'><source file='{overlay}'/></disk></disks>"
    xml = f"<domainsnapshot><name>snap1</name>{disks}</domainsnapshot>"
    flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
    connection = libvirt.open("qemu:///system")
    connection.lookupByUUIDString(guest.name).snapshotCreateXML(xml, flags)
    connection.close()
    result = run(guest)
    assert result.changes == []
    assert texts(result) == [
        f"instance vm1: its disk vda is {overlay}, not {guest.disks[0].path} (an external snapshot, or a copy by "
        "hand); headworks changes neither"
    ]
    run(replace(guest, memory_mb=96))
    assert str(overlay) in definition(guest)
    assert run(replace(guest, memory_mb=96)).changes == []
    run()
    run(guest)
    assert str(overlay) in definition(guest)
    assert run(guest).changes == []


def test_a_disk_that_is_the_base_of_an_unused_snapshot_is_not_started(guest: Domain) -> None:
    overlay = INSTANCES / guest.name / "disk.snap1"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", guest.disks[0].path, str(overlay)]
    subprocess.run(command, check=True)
    with pytest.raises(ConvergeError, match=f"instance vm1: {overlay} is an overlay on its disk"):
        run(guest)
    overlay.unlink()
    run(guest)


def test_a_guest_comes_back_from_its_kept_definition_with_what_an_operator_added(guest: Domain) -> None:
    run(guest)
    connection = libvirt.open("qemu:///system")
    connection.defineXML(definition(guest).replace("</devices>", "<watchdog model='i6300esb'/></devices>"))
    connection.close()
    before = definition(guest)
    run()
    changed = replace(guest, domain="instance-0000beef", memory_mb=96)
    assert [change["verb"] for change in run(changed).changes] == ["add"]
    assert "watchdog" in definition(guest)
    assert "instance-0000beef" in definition(guest)
    assert run(changed).changes == []
    run(guest)
    assert definition(guest).replace("instance-0000beef", guest.domain) == before


@pytest.mark.parametrize("content", ["", "<domain", "<domain><uuid>another</uuid></domain>"])
def test_a_guest_with_a_damaged_kept_definition_is_not_defined_without_its_additions(
    guest: Domain, content: str
) -> None:
    kept = INSTANCES / guest.name / "domain.xml"
    kept.write_text(content)
    with pytest.raises(ConvergeError, match=f"instance vm1: its kept definition {kept} is not one of this guest"):
        run(guest)
    kept.unlink()
    run(guest)


def test_a_suspended_guest_comes_back_with_its_memory_unless_its_disk_was_changed(guest: Domain) -> None:
    suspended = replace(guest, state="suspended")
    memory = INSTANCES / guest.name / "memory.save"
    for disk_changed in (False, True):
        run(guest)
        run(suspended)
        run()
        assert memory.exists()
        if disk_changed:
            os.utime(guest.disks[0].path)
        result = run(guest)
        assert bool(texts(result)) == disk_changed
        assert not memory.exists()
        assert run(guest).changes == []


def test_a_guest_whose_directory_is_missing_is_not_removed(guest: Domain) -> None:
    run(guest)
    before, directory = process_id(guest), INSTANCES / guest.name
    directory.rename(BASE / "elsewhere")
    with pytest.raises(ConvergeError, match=f"instance vm1: its directory {directory} is missing"):
        run()
    assert process_id(guest) == before
    (BASE / "elsewhere").rename(directory)
    run()


@pytest.mark.parametrize("defined", [True, False])
def test_a_guest_whose_disk_is_missing_is_named_and_neither_defined_nor_started(guest: Domain, defined: bool) -> None:
    if defined:
        run(replace(guest, state="stopped"))
    disk = Path(guest.disks[0].path)
    disk.rename(BASE / "elsewhere")
    with pytest.raises(ConvergeError, match=f"instance vm1: its disk {disk} is missing: .* is not mounted"):
        run(guest)
    assert run(guest, check=True).changes != []
    (BASE / "elsewhere").rename(disk)
    run(guest)
    assert run(guest).changes == []


def test_a_running_guest_whose_disk_was_deleted_is_told_of_and_goes_on(guest: Domain) -> None:
    run(guest)
    before, disk = process_id(guest), Path(guest.disks[0].path)
    disk.rename(BASE / "elsewhere")
    result = run(guest)
    assert result.changes == []
    assert texts(result)[0].startswith(f"instance vm1: its disk {disk} is missing: it still runs")
    assert process_id(guest) == before
    (BASE / "elsewhere").rename(disk)


def test_a_removed_guest_leaves_no_domain_and_its_definition_in_its_directory(guest: Domain) -> None:
    run(guest)
    before = definition(guest)
    assert {change["verb"] for change in run().changes} == {"remove"}
    assert run().changes == []
    kept = INSTANCES / guest.name / "domain.xml"
    assert kept.read_text() == before
    assert kept.stat().st_mode & 0o777 == 0o600
    assert (INSTANCES / guest.name / "disk").exists()


def together(*guests: Domain) -> Result:
    """Converge disks and domains to ``guests``, as a node state does. The base image of a guest's disk is the blank
    one."""
    disks = {guest.name: Disk(guest.name, guest.title, "b" * 64) for guest in guests}
    domains = {guest.name: guest for guest in guests}
    steps = [
        (DiskSubsystem(OWNER, INSTANCES, BASE, BASE / "removed"), disks),
        (DomainSubsystem(OWNER, instances_dir=INSTANCES), domains),
    ]
    return converge(steps)


@pytest.mark.parametrize("state", ["running", "suspended"])
def test_a_removed_guest_comes_back_with_its_disk_and_its_definition(guest: Domain, state: str) -> None:
    disk, desired = Path(guest.disks[0].path), replace(guest, state=state)
    together(desired)
    inode = disk.stat().st_ino
    connection = libvirt.open("qemu:///system")
    connection.defineXML(definition(guest).replace("</devices>", "<watchdog model='i6300esb'/></devices>"))
    connection.close()
    before = definition(guest)
    together()
    (kept,) = (BASE / "removed").iterdir()
    assert {"disk", "domain.xml", "console.log"} < {path.name for path in kept.iterdir()}
    assert not disk.exists()
    result = together(desired)
    assert [change["verb"] for change in result.changes] == ["add", "add"]
    assert [text for text in texts(result) if "memory" in text] == []
    assert disk.stat().st_ino == inode
    assert definition(guest) == before
    assert together(desired).changes == []


def test_a_guest_that_cannot_be_removed_keeps_its_disk_and_the_others_go(guest: Domain) -> None:
    run(replace(guest, state="stopped"))
    (INSTANCES / guest.name / "domain.xml").unlink()
    (INSTANCES / guest.name / "domain.xml").mkdir()  # it cannot be written
    with pytest.raises(ConvergeError, match="instance vm1: "):
        together()
    assert Path(guest.disks[0].path).exists()
    assert definition(guest)
    (INSTANCES / guest.name / "domain.xml").rmdir()
    together()
    assert not Path(guest.disks[0].path).exists()

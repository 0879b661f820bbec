"""DomainSubsystem with real libvirt (TCG): guests are defined, started, changed without a restart, and removed."""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest
from domain_lab import INSTANCES, OWNER, definition, process_id, run
from headworks.engine.converge import ConvergeError
from headworks.node.compute.domains import DomainSubsystem
from headworks.node.subsystem import Effect, Note
from headworks.state.domains import Domain, DomainDisk
from modules import run_module


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


def test_a_protected_guest_is_read_as_protected_until_the_protection_is_taken_away(guest: Domain) -> None:
    subsystem, protected = DomainSubsystem(OWNER, instances_dir=INSTANCES), replace(guest, protected=True)
    run(guest)
    assert subsystem.read({}).protected == frozenset()
    run(protected)
    assert run(protected).changes == []
    assert subsystem.read({}).protected == {guest.name}
    run(guest)
    assert subsystem.read({}).protected == frozenset()


@pytest.mark.parametrize(
    ("state", "text"),
    [("stopped", "it is shut down"), ("paused", "it is paused"), ("suspended", "it is suspended to disk")],
)
def test_check_mode_and_the_run_tell_what_a_change_of_the_state_interrupts(
    guest: Domain, state: str, text: str
) -> None:
    run(guest)
    resting = replace(guest, state=state)
    for check in (True,) if state == "stopped" else (True, False):  # this guest takes 30 s to be shut down
        assert run(resting, check=check).notes == [Note("domain", guest.name, f"instance vm1: {text}", Effect.OUTAGE)]
    run()


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
    assert process_id(guest)
    assert run(guest).changes == []


def test_the_module_removes_a_protected_guest_only_after_the_protection_is_taken_away(guest: Domain) -> None:
    path = Path(f"/var/lib/headworks/instances/{guest.name}")
    path.mkdir(parents=True)
    shutil.copy(guest.disks[0].path, path / "disk")
    options = {"name": "vm1", "uuid": guest.name, "domain": guest.domain, "state": "stopped"}
    try:
        assert run_module("instance", **options, protected=True)["changed"]
        assert not run_module("instance", **options, protected=True)["changed"]
        assert not run_module("instance", **options)["changed"]
        refused = run_module("instance", **{**options, "state": "absent"})
        assert refused["failed"]
        assert "1 protected guest would be removed: vm1" in refused["msg"]
        assert "protected: false" in refused["msg"]
        assert run_module("instance", **options, protected=False)["changed"]
        assert run_module("instance", **{**options, "state": "absent"})["changed"]
    finally:
        shutil.rmtree(path, ignore_errors=True)

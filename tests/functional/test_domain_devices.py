"""Devices of running guests with real libvirt (TCG): NICs and disks are attached and detached while a guest runs, and
what a guest did not release is found."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import libvirt
import pytest
from domain_lab import block_devices, definition, ip, live_taps, process_id, recreate, releasing, run, running, texts
from headworks.engine.converge import ConvergeError
from headworks.node.compute.domain_edit import with_desired
from headworks.node.compute.domain_xml import build_disk, build_nic, find_nic
from headworks.state.domains import Domain, DomainDisk, Nic


def test_a_nic_that_the_guest_does_not_release_is_a_failure_that_names_it_and_stays_a_difference(guest: Domain) -> None:
    run(guest)
    tap = guest.nics[0].tap
    without = replace(guest, nics=())
    with pytest.raises(ConvergeError, match=f"instance vm1: the guest did not release NIC {tap}"):
        run(without)
    assert live_taps(guest) == {tap}
    assert tap not in definition(guest)
    assert [change["verb"] for change in run(without, check=True).changes] == ["change"]
    with releasing(guest):
        run(without)
    assert live_taps(guest) == set()
    assert run(without).changes == []


def test_a_tap_recreated_under_a_running_guest_is_a_difference_and_its_nic_works_again(guest: Domain) -> None:
    run(guest)
    before, tap = process_id(guest), guest.nics[0].tap
    carrier = Path(f"/sys/class/net/{tap}/carrier")
    assert carrier.read_text().strip() == "1"
    recreate(tap)
    assert carrier.read_text().strip() == "0"
    assert [change["verb"] for change in run(guest, check=True).changes] == ["change"]
    address = "<address type='pci'"
    slot = definition(guest).split("<interface")[1].split(address)[1].split("/>")[0]
    with releasing(guest):
        result = run(guest)
    assert texts(result) == [f"instance vm1: its NIC {tap} lost its tap, and is detached and attached again"]
    assert carrier.read_text().strip() == "1"
    assert slot in running(guest).split("<interface")[1]
    assert run(guest).changes == []
    assert process_id(guest) == before


def test_only_the_dead_nic_of_a_guest_is_attached_again(guest: Domain) -> None:
    tap = f"tap{uuid.uuid4()}"[:14]
    ip("tuntap", "add", "dev", tap, "mode", "tap")
    ip("link", "set", tap, "up")
    try:
        more = replace(guest, nics=(*guest.nics, Nic(tap, "fa:16:3e:aa:bb:02", 1458, offload=False)))
        run(more)
        index = Path(f"/sys/class/net/{tap}/ifindex").read_text()
        recreate(guest.nics[0].tap)
        with releasing(guest):
            run(more)
        for name in (tap, guest.nics[0].tap):
            assert Path(f"/sys/class/net/{name}/carrier").read_text().strip() == "1"
        assert Path(f"/sys/class/net/{tap}/ifindex").read_text() == index
        assert run(more).changes == []
        run()
    finally:
        ip("link", "del", tap)


@pytest.mark.parametrize("changed", [{"mtu": 1400}, {"offload": True}, {"mac": "fa:16:3e:aa:bb:0f"}])
def test_another_mtu_offload_or_mac_changes_the_definition_and_never_unplugs_the_nic(
    guest: Domain, changed: dict[str, object]
) -> None:
    run(guest)
    before, aliases = process_id(guest), running(guest).split("<interface")[1].split("</interface>")[0]
    desired = replace(guest, nics=(replace(guest.nics[0], **changed),))
    expected = texts(run(desired, check=True))
    assert "at its next start" in expected[0]
    result = run(desired)
    assert (texts(result), len(result.changes)) == (expected, 1)
    again = run(desired)
    assert (again.changes, texts(again)) == ([], expected)
    assert running(guest).split("<interface")[1].split("</interface>")[0] == aliases
    assert process_id(guest) == before
    connection = libvirt.open("qemu:///system")
    connection.lookupByUUIDString(guest.name).destroy()
    connection.close()
    run(desired)
    again = run(desired)
    assert (again.changes, texts(again)) == ([], [])


def test_a_nic_attached_by_hand_to_the_running_guest_stays(guest: Domain) -> None:
    run(guest)
    ip("tuntap", "add", "dev", "tap-by-hand", "mode", "tap")
    try:
        connection = libvirt.open("qemu:///system")
        element = ElementTree.tostring(build_nic(Nic("tap-by-hand", "52:54:00:aa:bb:01")), encoding="unicode")
        connection.lookupByUUIDString(guest.name).attachDeviceFlags(element, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        connection.close()
        assert run(guest).changes == []
        run(replace(guest, memory_mb=96))
        assert "tap-by-hand" in live_taps(guest)
        run()
    finally:
        ip("link", "del", "tap-by-hand")


def test_a_disk_that_the_guest_does_not_release_is_a_failure_and_stays_a_difference(
    guest: Domain, data_disk: DomainDisk
) -> None:
    run(guest)
    run(replace(guest, disks=(*guest.disks, data_disk)))
    with pytest.raises(ConvergeError, match="instance vm1: the guest did not release disk vdb"):
        run(guest)
    assert [change["verb"] for change in run(guest, check=True).changes] == ["change"]
    with releasing(guest):
        run(guest)
    assert run(guest).changes == []


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


def test_a_nic_is_added_and_removed_while_the_guest_runs(guest: Domain) -> None:
    run(guest)
    before = process_id(guest)
    tap = f"tap{uuid.uuid4()}"[:14]
    ip("tuntap", "add", "dev", tap, "mode", "tap")
    try:
        more = replace(guest, nics=(*guest.nics, Nic(tap, "fa:16:3e:aa:bb:02", 1458, offload=False)))
        run(more)
        assert live_taps(more) == {nic.tap for nic in more.nics}
        assert run(more).changes == []
        with releasing(guest):
            assert texts(run(guest)) == [f"instance vm1: its NIC {tap} (fa:16:3e:aa:bb:02) is detached"]
        assert live_taps(guest) == {guest.nics[0].tap}
        assert run(guest).changes == []
        assert process_id(guest) == before
    finally:
        time.sleep(0.1)
        ip("link", "del", tap)


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
    with releasing(guest):
        run(one_disk)
    assert run(one_disk).changes == []
    assert data_disk.path not in definition(guest)
    if process:
        assert block_devices(guest) == {"vda"}
        assert process_id(guest) == process
    assert Path(data_disk.path).exists()


def test_a_nic_that_only_the_definition_has_is_attached_to_the_running_guest(guest: Domain) -> None:
    run(replace(guest, nics=()))
    killed_before_the_guest = with_desired(definition(guest), guest)
    connection = libvirt.open("qemu:///system")
    connection.defineXML(killed_before_the_guest)
    connection.close()
    assert [change["verb"] for change in run(guest).changes] == ["change"]
    assert live_taps(guest) == {guest.nics[0].tap}
    assert run(guest).changes == []


def test_a_nic_that_an_operator_switched_off_stays_switched_off(guest: Domain) -> None:
    run(guest)
    connection = libvirt.open("qemu:///system")
    handle = connection.lookupByUUIDString(guest.name)
    nic = find_nic(handle.XMLDesc(), guest.nics[0].tap)
    handle.updateDeviceFlags(nic.replace("</interface>", "<link state='down'/></interface>"))
    connection.close()
    assert run(guest).changes == []
    assert "<link state='down'/>" in running(guest)

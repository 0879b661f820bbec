"""Guests on real libvirt (TCG): defined, started, changed without being destroyed, removed without a trace."""

from __future__ import annotations

import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest
from headworks.engine.converge import ConvergeError, converge
from headworks.node.compute.disks import DiskSubsystem
from headworks.node.compute.domains import DomainSubsystem
from headworks.state.disks import Disk
from headworks.state.domains import Domain, Nic

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
        str(instances / identity / "disk"),
        nics=(nic,),
        cloud=OWNER,
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
        assert process_id(guest) == before
    finally:
        time.sleep(0.1)
        ip("link", "del", tap)


def test_a_removed_guest_leaves_neither_domain_nor_directory(guest: Domain) -> None:
    settle(guest)
    instances = Path(guest.disk).parent.parent
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
    bad = replace(guest, name=str(uuid.uuid4()), domain="instance-bad", title="broken", disk="/nowhere/disk", nics=())
    with pytest.raises(ConvergeError, match="instance broken:"):
        settle(bad, guest)
    try:
        assert settle(guest, check=True).changes[0]["name"] != guest.name
    finally:
        settle(guest)

"""Disks with the real qemu-img and libvirt: whatever happens to a disk or its filesystem, nothing is created over it,
and a run that is killed at any point of a removal or a return loses nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from headworks.engine.converge import ConvergeError, Result, converge
from headworks.node.compute import removed
from headworks.node.compute.disks import DiskSubsystem
from headworks.state.disks import Disk

OWNER = "functional-disks"
BASE = "b" * 64
MARKER = b"precious data of the guest"
EFFECTS = {"os.rename", "os.link", "os.mkdir", "os.remove", "os.chmod", "os.chown", "subprocess.Popen"}


def run(*words: str | Path) -> str:
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout


@dataclass
class Home:
    """A directory with a blank base image, and the subsystem that works in it. ``disk`` is a guest's disk."""

    top: Path
    disks: DiskSubsystem
    disk: Disk

    @property
    def path(self) -> Path:
        return self.disks.instances_dir / self.disk.name / "disk"

    def converge(self, *desired: Disk, check: bool = False, **more: Any) -> Result:
        return converge([(self.disks, {disk.name: disk for disk in desired})], check=check, **more)

    def with_marker(self) -> None:
        """Create the disk and write the marker to it, as a guest does."""
        self.converge(self.disk)
        run("qemu-io", "-f", "qcow2", "-c", "write -P 0x5a 1M 64k", self.path)

    def has_marker(self, path: Path | None = None, format: str = "qcow2") -> bool:
        output = run("qemu-io", "-f", format, "-r", "-c", "read -P 0x5a 1M 64k", path or self.path)
        return "verification failed" not in output


@pytest.fixture
def home() -> Iterator[Home]:
    top = Path("/var/tmp") / f"disks-{uuid.uuid4().hex[:8]}"
    (top / "bases").mkdir(parents=True)
    run("qemu-img", "create", "-q", "-f", "qcow2", top / "bases" / BASE, "16M")
    yield Home(
        top,
        DiskSubsystem(OWNER, top / "instances", top / "bases", top / "removed"),
        Disk(str(uuid.uuid4()), "vm1", BASE),
    )
    shutil.rmtree(top)


def flatten(home: Home) -> None:
    run("qemu-img", "rebase", "-f", "qcow2", "-b", "", home.path)


def make_raw(home: Home) -> None:
    run("qemu-img", "convert", "-O", "raw", home.path, f"{home.path}.raw")
    Path(f"{home.path}.raw").replace(home.path)


def snapshot(home: Home) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", home.path, f"{home.path}.snapshot")


def move_base(home: Home) -> None:
    other = home.top / "other.qcow2"
    shutil.copy(home.top / "bases" / BASE, other)
    run("qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", other, home.path)


def empty_mark(home: Home) -> None:
    (home.path.parent / "headworks.json").write_text("")


def no_mark(home: Home) -> None:
    for mark in home.path.parent.glob("headworks.json*"):
        mark.unlink()


@pytest.mark.parametrize("fault", [flatten, make_raw, snapshot, move_base, empty_mark, no_mark])
def test_a_disk_keeps_its_data_whatever_was_done_to_it(fault: Callable[[Home], None], home: Home) -> None:
    home.with_marker()
    fault(home)
    before = home.path.stat().st_ino
    for _ in range(2):
        result = home.converge(home.disk)
    assert result.changes == []
    assert home.path.stat().st_ino == before
    assert home.has_marker(format="raw" if fault is make_raw else "qcow2")
    assert home.disks.read({}).owned == {home.disk.name}


def test_a_snapshot_keeps_its_base_images_in_use(home: Home) -> None:
    home.with_marker()
    snapshot(home)
    assert BASE in home.disks.bases_in_use()


@pytest.mark.parametrize("kilobytes_free", [0, 16, 128])
def test_a_full_filesystem_gets_no_half_disk(kilobytes_free: int, home: Home) -> None:
    home.disks.instances_dir.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=1M,mode=0711", "tmpfs", home.disks.instances_dir)
    try:
        with (home.disks.instances_dir / "full").open("wb") as full:
            full.write(bytes((1024 - kilobytes_free) << 10))
        with pytest.raises(ConvergeError, match=r"instance vm1.*No space left"):
            home.converge(home.disk)
        assert os.listdir(home.disks.instances_dir) == ["full"]
        (home.disks.instances_dir / "full").unlink()
        home.with_marker()
        assert home.has_marker()
    finally:
        run("umount", home.disks.instances_dir)


def define(home: Home) -> None:
    """Define the guest's domain in libvirt."""
    xml = home.top / "domain.xml"
    xml.write_text(
        f"<domain type='qemu'><name>functional-{home.disk.name[:8]}</name><uuid>{home.disk.name}</uuid>"
        f"<memory>65536</memory><os><type>hvm</type></os><devices><disk type='file'><driver name='qemu' type='qcow2'/>"
        f"<source file='{home.path}'/><target dev='vda' bus='virtio'/></disk></devices></domain>"
    )
    run("virsh", "define", xml)


def test_a_guest_on_a_filesystem_that_is_not_mounted_gets_no_blank_disk(home: Home) -> None:
    home.disks.instances_dir.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=8M,mode=0711", "tmpfs", home.disks.instances_dir)
    mounted = True
    other = Disk(str(uuid.uuid4()), "vm2", BASE)
    try:
        home.with_marker()
        define(home)
        aside = home.top / "aside"
        aside.mkdir()
        run("mount", "--bind", home.disks.instances_dir, aside)
        run("umount", home.disks.instances_dir)
        mounted = False
        for _ in range(2):
            with pytest.raises(ConvergeError, match="instance vm1: left as it is, because its disk is") as failed:
                home.converge(home.disk, other)
            assert not home.path.parent.exists()
            assert {change["name"] for change in failed.value.result.changes} <= {other.name}
        assert (home.disks.instances_dir / other.name / "disk").exists(), "another guest is created"
        assert home.converge(home.disk, other, check=True).changes == []
        run("mount", "--bind", aside, home.disks.instances_dir)
        mounted = True
        run("umount", aside)
        assert home.converge(home.disk, check=True).changes == []
        assert home.has_marker()
    finally:
        if mounted:
            run("umount", home.disks.instances_dir)
        subprocess.run(["umount", str(home.top / "aside")], check=False, capture_output=True)
        run("virsh", "undefine", home.disk.name)


def test_a_removal_to_another_filesystem_is_refused_and_loses_nothing(home: Home) -> None:
    home.with_marker()
    home.disks.removed_dir.mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", home.disks.removed_dir)
    try:
        assert home.converge(home.disk).changes == []
        for check in (True, False):
            with pytest.raises(ConvergeError, match=r"instance vm1: .*different filesystems"):
                home.converge(check=check, removable=[home.disk.name])
        assert home.has_marker()
    finally:
        run("umount", home.disks.removed_dir)


def test_a_removed_guest_comes_back_with_its_data(home: Home) -> None:
    home.with_marker()
    home.converge(removable=[home.disk.name])
    assert not home.path.parent.exists()
    (kept,) = removed.list_removed(home.disks.removed_dir)
    assert home.has_marker(kept.directory / "disk")
    home.converge(home.disk)
    assert home.has_marker()
    assert home.converge(home.disk, check=True).changes == []


def killed(action: Callable[[], object], kill_at: int) -> bool:
    """Run ``action`` in a child that kills itself before its side effect number ``kill_at``. Return whether the child
    got that far."""
    child = os.fork()
    if child == 0:
        effects = 0

        def count(event: str, _args: object) -> None:
            nonlocal effects
            if event in EFFECTS:
                effects += 1
                if effects == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_a_removal_or_return_that_is_killed_at_any_point_loses_nothing_and_is_completed(home: Home) -> None:
    home.with_marker()
    allocations = {"vm1": {"number": 7}}
    points = {"removal": 0, "return": 0}
    for direction in points:
        while True:
            points[direction] += 1
            home.disks.allocations = allocations
            desired = [] if direction == "removal" else [home.disk]
            was_killed = killed(lambda: home.converge(*desired, removable=[home.disk.name]), points[direction])  # noqa: B023
            here, there = home.path, list(home.disks.removed_dir.glob("*/disk"))
            assert [here.exists(), len(there)] in ([True, 0], [False, 1]), f"{direction}, point {points[direction]}"
            assert home.has_marker(here if here.exists() else there[0])
            home.disks.allocations = {}  # the next run knows another allocations file
            home.converge(*desired, removable=[home.disk.name])
            assert home.converge(*desired, removable=[home.disk.name], check=True).changes == []
            if direction == "removal":
                (kept,) = removed.list_removed(home.disks.removed_dir)
                assert kept.complete
                home.disks.allocations = allocations
                home.converge(home.disk)
            assert home.has_marker()
            assert sorted(name for name in os.listdir(home.path.parent) if not name.endswith(".prev")) == [
                "disk", "disk.info", "headworks.json",
            ]  # fmt: skip
            assert os.listdir(home.disks.removed_dir) == []
            if not was_killed:
                break
            if direction == "return":
                home.converge(removable=[home.disk.name])
        if direction == "removal":
            home.converge(removable=[home.disk.name])
    assert min(points.values()) > 5, points


def test_a_creation_that_is_killed_at_any_point_is_completed_with_one_disk(home: Home) -> None:
    point = 0
    while True:
        point += 1
        was_killed = killed(lambda: home.converge(home.disk), point)
        home.converge(home.disk)
        assert home.converge(home.disk, check=True).changes == []
        assert sorted(os.listdir(home.path.parent)) == ["disk", "disk.info", "headworks.json"]
        run("qemu-img", "check", "-q", home.path)
        shutil.rmtree(home.path.parent)
        if not was_killed:
            break
    assert point > 5

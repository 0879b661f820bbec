"""Removed guests: their disks are set aside and come back, and nothing is deleted."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from disk_home import BASE, DISK, instance, labels, texts
from headworks.engine.converge import ConflictError, converge
from headworks.node.compute import removed
from headworks.node.compute.disks import GIB, DiskSubsystem
from test_qcow2 import header


def removals(disks: DiskSubsystem) -> list[str]:
    return sorted(os.listdir(disks.removed_dir)) if disks.removed_dir.is_dir() else []


def test_a_removed_disk_is_set_aside_with_all_its_files_and_what_is_known_of_it(disks: DiskSubsystem) -> None:
    home = instance(disks)
    (home / "console.log").write_text("booted")
    disks.days, disks.allocations = 3, {"vm1": {"number": 7}}
    converge([(disks, {})], removable=["u1"])
    assert not home.exists()
    (kept,) = removed.list_removed(disks.removed_dir)
    assert kept.directory.name == f"u1.{kept.time}"
    assert (kept.name, kept.title, kept.cloud, kept.days) == ("u1", "vm1", "lab", 3)
    assert kept.allocation == {"number": 7}
    assert kept.complete
    assert (kept.directory / "disk").read_bytes() == header(f"/base/{BASE}", GIB)
    assert (kept.directory / "console.log").read_text() == "booted"
    assert stat.S_IMODE(disks.removed_dir.stat().st_mode) == 0o700


def test_a_removed_guest_comes_back_with_its_disk(disks: DiskSubsystem) -> None:
    home = instance(disks)
    (home / "disk").write_bytes(header(f"/base/{BASE}", GIB) + b"marker")
    before = sorted(os.listdir(home))
    converge([(disks, {})], removable=["u1"])
    assert labels(disks, DISK) == ["add u1"]
    (text,) = texts(disks, DISK)
    assert "comes back with its disk" in text
    converge([(disks, {"u1": DISK})], restore=True)
    assert (home / "disk").read_bytes().endswith(b"marker")
    assert sorted(name for name in os.listdir(home) if not name.endswith(".prev")) == before
    assert removals(disks) == []
    assert labels(disks, DISK) == []


def test_of_two_removed_directories_of_a_guest_the_newer_comes_back(disks: DiskSubsystem) -> None:
    for content in (b"older", b"newer"):
        home = instance(disks)
        (home / "disk").write_bytes(content)
        converge([(disks, {})], removable=["u1"])
    assert len(removals(disks)) == 2
    converge([(disks, {"u1": DISK})])
    assert (disks.instances_dir / "u1" / "disk").read_bytes() == b"newer"
    assert len(removals(disks)) == 1


@pytest.mark.parametrize("reclaimed", ["disk", "removed.json", "headworks.json"])
def test_half_of_a_removed_guest_does_not_come_back(reclaimed: str, disks: DiskSubsystem) -> None:
    instance(disks)
    converge([(disks, {})], removable=["u1"])
    (kept,) = removed.list_removed(disks.removed_dir)
    (kept.directory / reclaimed).unlink()
    (text,) = texts(disks, DISK)
    assert "not complete" in text
    assert reclaimed in text
    assert converge([(disks, {"u1": DISK})], restore=True).changes == []
    left = sorted(os.listdir(kept.directory))
    converge([(disks, {"u1": DISK})])
    assert sorted(os.listdir(kept.directory)) == left
    assert (disks.instances_dir / "u1" / "disk").exists()


def test_a_directory_without_a_disk_is_not_filled_while_a_removed_disk_exists(disks: DiskSubsystem) -> None:
    home = instance(disks)
    converge([(disks, {})], removable=["u1"])
    home.mkdir()
    assert labels(disks, DISK) == []
    assert "move" in texts(disks, DISK)[0]


def test_a_removal_that_was_killed_before_the_rename_is_undone_when_the_guest_stays(disks: DiskSubsystem) -> None:
    home = instance(disks)
    (home / "removed.json").write_text('{"name": "vm1"}')
    assert labels(disks, DISK) == ["change u1"]
    converge([(disks, {"u1": DISK})])
    assert not (home / "removed.json").exists()
    assert labels(disks, DISK) == []


def test_a_removal_that_was_killed_before_the_rename_keeps_what_only_that_run_knew(disks: DiskSubsystem) -> None:
    home = instance(disks)
    (home / "removed.json").write_text('{"name": "vm1", "allocation": {"number": 7}}')
    converge([(disks, {})], removable=["u1"])
    assert removed.list_removed(disks.removed_dir)[0].allocation == {"number": 7}


def test_disks_cannot_be_removed_to_another_filesystem(disks: DiskSubsystem, monkeypatch: pytest.MonkeyPatch) -> None:
    home = instance(disks)
    monkeypatch.setattr(removed, "same_filesystem", lambda *_: False)
    assert labels(disks, DISK) == []
    with pytest.raises(ConflictError, match=r"vm1.*different filesystems"):
        converge([(disks, {})], removable=["u1"])
    assert converge([(disks, {})], removable=["u1"], restore=True).changes == []
    assert (home / "disk").exists()


def test_two_paths_are_on_one_filesystem_if_they_have_the_same_mount_point(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    lines = ["1 0 8:1 / / rw - ext4 x rw", f"2 1 8:1 /a {tmp_path}/instances rw - ext4 x rw"]
    mounts.write_text("\n".join(lines[:1]) + "\n")
    instances, aside = tmp_path / "instances", tmp_path / "removed"
    assert removed.same_filesystem(instances, aside, mounts)
    mounts.write_text("\n".join(lines) + "\n")
    assert not removed.same_filesystem(instances, aside, mounts), "a bind mount of the same filesystem"
    assert removed.same_filesystem(tmp_path / "instances2", aside, mounts)

"""Disks: their headers, their notes, and that an existing disk is never recreated."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from headworks.engine import order
from headworks.engine.converge import ConflictError, converge
from headworks.node.compute.disks import GIB, DiskSubsystem, qcow2_header
from headworks.node.subsystem import Reading
from headworks.state.disks import Disk

BASE = "a" * 64


def header(backing: str, size: int) -> bytes:
    head = b"QFI\xfb" + struct.pack(">IQIIQ", 3, 104, len(backing), 16, size)
    return head.ljust(104, b"\0") + backing.encode()


def test_a_header_has_the_backing_file_and_the_virtual_size(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(header(f"/base/{BASE}", 3 * GIB))
    assert qcow2_header(tmp_path / "disk") == (f"/base/{BASE}", 3 * GIB)


def test_a_missing_or_broken_disk_has_no_header(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"QFI")
    assert qcow2_header(tmp_path / "none") == ("", 0)
    assert qcow2_header(tmp_path / "broken") == ("", 0)


def test_a_disk_with_another_base_image_is_kept_with_a_note(tmp_path: Path) -> None:
    instance(tmp_path, "u1", "lab", BASE)
    disks = DiskSubsystem("lab", tmp_path)
    desired = {"u1": Disk("u1", "vm1", base="b" * 64, size_gb=1)}
    reading = disks.read(desired)
    assert disks.diff(desired, reading) == []
    assert [(note.kind, note.name) for note in reading.notes] == [("disk", "u1")]
    assert "vm1" in reading.notes[0].text
    assert "kept" in reading.notes[0].text


def test_a_directory_without_its_disk_is_a_change() -> None:
    disks = DiskSubsystem(owner="lab")
    (change,) = disks.diff({"u1": Disk("u1", "vm1", BASE)}, Reading({"u1": Disk("u1", "vm1", "", "", 0)}))
    assert change.verb == "change"


def test_the_mark_says_whether_a_disk_is_protected(tmp_path: Path) -> None:
    instance(tmp_path, "u1", "lab", BASE)
    disks = DiskSubsystem("lab", tmp_path)
    protected = {"u1": Disk("u1", "vm1", BASE, size_gb=1, protected=True)}
    assert disks.read(protected).protected == frozenset()
    converge([(disks, protected)])
    assert disks.read({}).protected == {"u1"}
    assert converge([(disks, protected)], check=True).changes == []
    assert (tmp_path / "u1" / "disk").read_bytes() == header(f"/base/{BASE}", GIB)
    with pytest.raises(ConflictError, match="vm1"):
        converge([(disks, {})], removable=["u1"])


def test_a_restore_creates_no_disk(tmp_path: Path) -> None:
    disks = DiskSubsystem("lab", tmp_path)
    result = converge([(disks, {"u1": Disk("u1", "vm1", BASE)})], restore=True)
    assert result.changes == []
    assert [(note.name, "vm1" in note.text, str(tmp_path / "u1" / "disk") in note.text) for note in result.notes] == [
        ("u1", True, True)
    ]
    assert not (tmp_path / "u1").exists()


def test_directories_of_another_cloud_and_without_an_owner_file_are_not_owned(tmp_path: Path) -> None:
    for name, mark in (("mine", '{"cloud": "lab"}'), ("other", '{"cloud": "test"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "headworks.json").write_text(mark)
    (tmp_path / "hand").mkdir()
    assert DiskSubsystem("lab", tmp_path).read({}).owned == {"mine"}


def instance(home: Path, name: str, cloud: str, base: str) -> None:
    (home / name).mkdir()
    (home / name / "headworks.json").write_text(f'{{"cloud": "{cloud}"}}')
    (home / name / "disk").write_bytes(header(f"/base/{base}", GIB))


def test_the_base_images_of_remaining_disks_are_in_use(tmp_path: Path) -> None:
    instance(tmp_path, "stays", "lab", "old")
    instance(tmp_path, "goes", "lab", "unwanted")
    instance(tmp_path, "other", "test", "theirs")
    (tmp_path / "hand").mkdir()
    (tmp_path / "hand" / "disk").write_bytes(header("/base/byhand", GIB))
    assert DiskSubsystem("lab", tmp_path).bases_in_use(["goes"]) == {"old", "theirs", "byhand"}


def test_without_instances_no_base_image_is_in_use(tmp_path: Path) -> None:
    assert DiskSubsystem("lab", tmp_path / "none").bases_in_use([]) == frozenset()


def test_a_base_image_that_a_disk_uses_is_kept_when_the_inventory_has_a_newer_image(tmp_path: Path) -> None:
    instances, bases = tmp_path / "instances", tmp_path / "bases"
    instances.mkdir()
    bases.mkdir()
    for name in ("old", "new", "unwanted"):
        (bases / name).touch()
    instance(instances, "u1", "lab", "old")
    image = {"name": "new", "image": "nano", "url": "", "checksum": "sha256:new"}
    state = {
        "version": 1,
        "cloud": "lab",
        "sections": {"images": [image], "disks": [{"name": "u1", "title": "vm1", "base": "new"}]},
    }
    steps = order.pipeline(state)
    (images, _), (disks, _) = steps
    images.base_dir, disks.instances_dir = bases, instances
    changes = converge(steps, check=True).changes
    assert [(change["verb"], change["name"]) for change in changes] == [("remove", "unwanted")]

"""Disks: an existing file is never created over or deleted, whatever its format, backing file, size or mark."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection
from pathlib import Path

import pytest
from disk_home import BASE, DISK, instance, labels, texts
from headworks.engine import order
from headworks.engine.converge import ConflictError, converge
from headworks.node.compute import disks as disks_module
from headworks.node.compute import removed
from headworks.node.compute.disks import GIB, DiskSubsystem
from headworks.state.disks import Disk
from test_qcow2 import header

# What a file named disk can be. None of it is a reason to create a disk.
EXISTING = {
    "an overlay": header(f"/base/{BASE}", GIB),
    "flattened": header("", GIB),
    "raw": bytes(4096),
    "empty": b"",
    "another backing file": header("/srv/other.qcow2", GIB),
    "another size": header(f"/base/{BASE}", 5 * GIB),
    "a torn header": b"QFI\xfb" + b"\xff" * 100,
}


@pytest.mark.parametrize("mark", ["intact", "none", "empty", "torn"])
@pytest.mark.parametrize("content", EXISTING)
def test_an_existing_file_is_never_replaced(content: str, mark: str, disks: DiskSubsystem) -> None:
    home = instance(disks)
    (home / "disk").write_bytes(EXISTING[content])
    if mark == "none":
        (home / "headworks.json").unlink()
    elif mark != "intact":
        (home / "headworks.json").write_text({"empty": "", "torn": '{"cloud": "l'}[mark])
    inode = (home / "disk").stat().st_ino
    expected = [] if mark == "intact" else ["change u1"]
    assert labels(disks, DISK) == expected
    converge([(disks, {"u1": DISK})], removable=[])
    assert (home / "disk").read_bytes() == EXISTING[content]
    assert (home / "disk").stat().st_ino == inode
    written = json.loads((home / "headworks.json").read_text())
    assert {key: written[key] for key in ("cloud", "title", "protected")} == {
        "cloud": "lab", "title": "vm1", "protected": False,
    }  # fmt: skip
    assert labels(disks, DISK) == []


def test_a_link_to_a_file_that_is_not_there_is_not_replaced(disks: DiskSubsystem) -> None:
    home = instance(disks)
    (home / "disk").unlink()
    (home / "disk").symlink_to("/srv/not-mounted/disk")
    assert labels(disks, DISK) == []
    assert os.readlink(home / "disk") == "/srv/not-mounted/disk"


def test_a_disk_that_appears_while_it_is_created_is_not_replaced(
    disks: DiskSubsystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(words: list[str]) -> str:
        Path(words[9]).write_bytes(b"blank")
        (disks.instances_dir / "u1" / "disk").write_bytes(b"precious")
        return ""

    monkeypatch.setattr(disks_module, "run", create)
    with pytest.raises(Exception, match=r"instance vm1: .*File exists"):
        converge([(disks, {"u1": DISK})])
    assert (disks.instances_dir / "u1" / "disk").read_bytes() == b"precious"
    assert not (disks.instances_dir / "u1" / "disk.part").exists()


def test_a_new_disk_has_its_mark_and_its_modes(disks: DiskSubsystem) -> None:
    before = os.umask(0o022)
    try:
        converge([(disks, {"u1": DISK})])
    finally:
        os.umask(before)
    home = disks.instances_dir / "u1"
    assert sorted(os.listdir(home)) == ["disk", "disk.info", "headworks.json"]
    assert stat.S_IMODE((home / "disk").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o711
    assert labels(disks, DISK) == []


def test_a_failed_creation_leaves_nothing_and_the_others_are_created(
    disks: DiskSubsystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(words: list[str]) -> str:
        Path(words[9]).write_bytes(header(words[8], GIB))
        if "u1" in words[9]:
            raise OSError(28, "No space left on device")
        return ""

    monkeypatch.setattr(disks_module, "run", create)
    with pytest.raises(Exception, match=r"disk: applying: instance vm1: .*No space left"):
        converge([(disks, {"u1": DISK, "u2": Disk("u2", "vm2", BASE)})])
    assert os.listdir(disks.instances_dir) == ["u2"]


@pytest.mark.parametrize(("path", "mode"), [("u1/disk", 0o644), ("u1", 0o755), (".", 0o755)])
def test_wrong_modes_are_a_change_that_corrects_them(path: str, mode: int, disks: DiskSubsystem) -> None:
    instance(disks)
    wrong = disks.instances_dir / path
    right = stat.S_IMODE(wrong.stat().st_mode)
    wrong.chmod(mode)
    assert labels(disks, DISK) == ["change u1"]
    converge([(disks, {"u1": DISK})])
    assert stat.S_IMODE(wrong.stat().st_mode) == right


def test_a_disk_that_differs_from_the_inventory_is_kept_with_a_note(disks: DiskSubsystem) -> None:
    home = instance(disks)
    for disk, words in (
        (Disk("u1", "vm1", "b" * 64, size_gb=1), "is based on image aaaaaaaaaaaa, the inventory says bbbbbbbbbbbb"),
        (Disk("u1", "vm1", BASE, size_gb=7), "has 1.00 GiB, its flavor says 7 GiB"),
    ):
        (text,) = texts(disks, disk)
        assert text.startswith("instance vm1: its disk ")
        assert words in text
        assert "kept" in text
        assert labels(disks, disk) == []
    (home / "disk").write_bytes(header("", GIB))
    assert "is not based on an image" in texts(disks, DISK)[0]
    (home / "disk").write_bytes(b"QFI\xfb")
    assert "cannot be read" in texts(disks, DISK)[0]


def test_the_mark_says_whether_a_disk_is_protected(disks: DiskSubsystem) -> None:
    home = instance(disks)
    protected = {"u1": Disk("u1", "vm1", BASE, size_gb=1, protected=True)}
    assert disks.read(protected).protected == frozenset()
    converge([(disks, protected)])
    assert disks.read({}).protected == {"u1"}
    assert converge([(disks, protected)], check=True).changes == []
    with pytest.raises(ConflictError, match="vm1"):
        converge([(disks, {})], removable=["u1"])
    assert (home / "disk").read_bytes() == header(f"/base/{BASE}", GIB)


def test_a_torn_mark_does_not_take_the_protection_away(disks: DiskSubsystem) -> None:
    home = instance(disks)
    for title in ("vm0", "vm1"):
        converge([(disks, {"u1": Disk("u1", title, BASE, size_gb=1, protected=True)})])
    (home / "headworks.json").write_text("")
    assert disks.read({}).protected == {"u1"}
    with pytest.raises(ConflictError, match="protected"):
        converge([(disks, {})], removable=["u1"])


def test_a_guest_with_a_torn_mark_is_removed_and_kept_like_any_other(disks: DiskSubsystem) -> None:
    """The node state before says whose disk it is."""
    home = instance(disks)
    (home / "headworks.json").write_text("")
    disks.earlier = {"u1": {"cloud": disks.owner, "title": "vm1", "protected": False}}
    assert "known from the node state before" in disks.read({}).notes[0].text
    converge([(disks, {})], removable=["u1"])
    (left,) = removed.list_removed(disks.removed_dir)
    assert (left.name, left.title, left.cloud, left.complete) == ("u1", "vm1", disks.owner, True)


def test_a_torn_mark_of_a_directory_that_no_instance_has_is_left_alone_and_told(disks: DiskSubsystem) -> None:
    home = instance(disks)
    (home / "headworks.json").write_text("")
    reading = disks.read({})
    assert (reading.objects, reading.owned) == ({}, frozenset())
    assert str(home / "headworks.json") in reading.notes[0].text
    assert "left alone" in reading.notes[0].text
    assert labels(disks) == []


def test_directories_of_another_cloud_and_without_a_mark_are_not_owned(disks: DiskSubsystem) -> None:
    instance(disks, "mine")
    instance(disks, "other", cloud="test")
    (disks.instances_dir / "hand").mkdir()
    (disks.instances_dir / "file").touch()
    assert disks.read({}).owned == {"mine"}
    assert disks.read({}).notes == ()


@pytest.mark.parametrize("has_directory", [True, False])
def test_a_defined_guest_whose_disk_is_missing_gets_no_blank_disk(
    has_directory: bool, disks: DiskSubsystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Collection[str]] = []

    def defined(names: Collection[str]) -> frozenset[str]:
        asked.append(names)
        return frozenset({"u1"})

    monkeypatch.setattr(disks_module, "defined_domains", defined)
    if has_directory:
        (instance(disks) / "disk").unlink()
    assert labels(disks, DISK, Disk("u2", "vm2", BASE)) == ["add u2"]
    assert disks.read({"u1": DISK}).withheld == {"u1"}
    assert asked == [["u1", "u2"], ["u1"]]


def test_libvirt_is_not_asked_when_no_disk_is_missing(disks: DiskSubsystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks_module, "defined_domains", lambda names: pytest.fail("libvirt was asked"))
    instance(disks)
    assert labels(disks, DISK) == []


def test_a_restore_creates_no_disk(disks: DiskSubsystem) -> None:
    result = converge([(disks, {"u1": DISK})], restore=True)
    assert result.changes == []
    assert [note.name for note in result.notes] == ["u1"]
    assert str(disks.instances_dir / "u1" / "disk") in result.notes[0].text
    assert not (disks.instances_dir / "u1").exists()


# Base images


def test_the_base_images_of_all_disks_are_in_use_also_those_of_removed_guests(disks: DiskSubsystem) -> None:
    instance(disks, "goes", base="removed")
    converge([(disks, {})], removable=["goes"])
    instance(disks, "stays", base="old")
    instance(disks, "other", cloud="test", base="theirs")
    hand = disks.instances_dir / "hand"
    hand.mkdir()
    (hand / "disk").write_bytes(header("/base/byhand", GIB))
    assert disks.bases_in_use() == {"old", "theirs", "byhand", "removed"}


def test_without_instances_no_base_image_is_in_use(tmp_path: Path) -> None:
    none = tmp_path / "none"
    assert DiskSubsystem("lab", none, none, none).bases_in_use() == frozenset()


def test_with_a_disk_that_cannot_be_read_every_base_image_is_in_use(disks: DiskSubsystem) -> None:
    (instance(disks) / "disk").write_bytes(b"QFI\xfb")
    disks.base_dir.mkdir()
    (disks.base_dir / "some").touch()
    assert disks.bases_in_use() == {"some"}


def test_a_base_image_that_a_disk_uses_is_kept_when_the_inventory_has_a_newer_image(disks: DiskSubsystem) -> None:
    bases = disks.base_dir
    bases.mkdir()
    for name in ("old", "new", "unwanted"):
        (bases / name).touch()
    instance(disks, base="old")
    image = {"name": "new", "image": "nano", "url": "", "checksum": "sha256:new"}
    sections = {"images": [image], "disks": [{"name": "u1", "title": "vm1", "base": "new"}]}
    steps = order.pipeline({"version": 1, "cloud": "lab", "sections": sections})
    (images, _), (of_document, _) = steps
    images.base_dir = bases
    of_document.instances_dir, of_document.removed_dir = disks.instances_dir, disks.removed_dir
    changes = converge(steps, check=True).changes
    assert [(change["verb"], change["name"]) for change in changes] == [("remove", "unwanted")]


def test_a_document_gives_the_days_and_allocations_that_are_kept_with_a_removed_disk() -> None:
    sections = {"retention": [{"name": "removed", "days": 3}], "disks": []}
    allocations = {"instances": {"vm1": {"number": 1}}}
    steps = order.pipeline({"version": 1, "cloud": "lab", "sections": sections, "allocations": allocations})
    (subsystem,) = [subsystem for subsystem, _ in steps if isinstance(subsystem, DiskSubsystem)]
    assert (subsystem.owner, subsystem.days, subsystem.allocations) == ("lab", 3, allocations["instances"])

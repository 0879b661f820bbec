"""Atomic writes of small files and symbolic links."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from headworks.system.files import matches, read_link, read_text, write_file, write_link


def test_a_new_file_gets_its_content_and_mode_with_any_umask(tmp_path: Path) -> None:
    path = tmp_path / "file"
    before = os.umask(0o077)
    try:
        assert write_file(path, "text\n", 0o644)
    finally:
        os.umask(before)
    assert path.read_text() == "text\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_an_unchanged_file_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, "text", 0o600)
    before = path.stat()
    assert not write_file(path, "text", 0o600)
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize(("content", "mode"), [("texT", 0o600), ("text", 0o640), ("text and more", 0o600)])
def test_a_file_with_another_content_or_mode_is_written(tmp_path: Path, content: str, mode: int) -> None:
    path = tmp_path / "file"
    write_file(path, "text", 0o600)
    assert write_file(path, content, mode)
    assert path.read_text() == content
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_reader_that_opened_the_old_file_sees_the_complete_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, "old")
    with path.open() as reading:
        write_file(path, "new")
        assert reading.read() == "old"
    assert path.read_text() == "new"


def test_the_temporary_file_of_a_killed_run_is_overwritten_and_does_not_stay(tmp_path: Path) -> None:
    (tmp_path / ".file.new").write_text("half a fi")
    write_file(tmp_path / "file", "whole")
    assert sorted(os.listdir(tmp_path)) == ["file"]


def test_a_symbolic_link_at_the_path_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "foreign").write_text("theirs")
    (tmp_path / "file").symlink_to(tmp_path / "foreign")
    (tmp_path / ".two.new").symlink_to(tmp_path / "foreign")
    assert write_file(tmp_path / "file", "theirs")
    assert not (tmp_path / "file").is_symlink()
    with pytest.raises(OSError, match="symbolic"):
        write_file(tmp_path / "two", "ours")
    assert (tmp_path / "foreign").read_text() == "theirs"


def test_a_link_with_another_target_is_replaced_and_an_unchanged_link_is_not(tmp_path: Path) -> None:
    path = tmp_path / "link"
    assert write_link(path, "a")
    assert not write_link(path, "a")
    (tmp_path / ".link.new").symlink_to("left over")
    assert write_link(path, "b")
    assert read_link(path) == "b"
    assert sorted(os.listdir(tmp_path)) == ["link"]


def test_a_missing_file_or_link_is_read_as_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert read_text(tmp_path / "none") is None
    assert read_text(tmp_path / "file" / "below") is None
    assert read_link(tmp_path / "none") is None
    assert read_link(tmp_path / "file") is None
    assert matches({tmp_path / "file": "x"})
    assert not matches({tmp_path / "file": "x", tmp_path / "none": ""})


def test_a_file_and_its_directory_are_on_the_disk_before_and_after_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[str, bool]] = []

    def record(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append((kind, (tmp_path / "file").exists()))

    monkeypatch.setattr(os, "fsync", record)
    write_file(tmp_path / "file", "text")
    assert steps == [("file", False), ("directory", True)]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path / "file", "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/file'"):
        write_file(tmp_path / "file", "new")
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "old"

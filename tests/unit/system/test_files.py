"""Small files written whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from headworks.system.files import matches, read_link, read_text, write_file, write_link


def test_a_new_file_has_its_content_and_mode_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "one"
    before = os.umask(0o077)
    try:
        assert write_file(path, "text\n", 0o644)
    finally:
        os.umask(before)
    assert path.read_text() == "text\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_file_that_is_right_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "one"
    write_file(path, "text", 0o600)
    before = path.stat()
    assert not write_file(path, "text", 0o600)
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize(("content", "mode"), [("texT", 0o600), ("text", 0o640), ("text and more", 0o600)])
def test_another_content_or_mode_is_written(tmp_path: Path, content: str, mode: int) -> None:
    path = tmp_path / "one"
    write_file(path, "text", 0o600)
    assert write_file(path, content, mode)
    assert path.read_text() == content
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_who_reads_meanwhile_sees_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "one"
    write_file(path, "old")
    with path.open() as reading:
        write_file(path, "new")
        assert reading.read() == "old"
    assert path.read_text() == "new"


def test_what_a_killed_run_left_is_overwritten_and_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / ".one.new").write_text("half a fi")
    write_file(tmp_path / "one", "whole")
    assert sorted(os.listdir(tmp_path)) == ["one"]


def test_a_symbolic_link_in_the_way_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "foreign").write_text("theirs")
    (tmp_path / "one").symlink_to(tmp_path / "foreign")
    (tmp_path / ".two.new").symlink_to(tmp_path / "foreign")
    assert write_file(tmp_path / "one", "theirs")
    assert not (tmp_path / "one").is_symlink()
    with pytest.raises(OSError, match="symbolic"):
        write_file(tmp_path / "two", "ours")
    assert (tmp_path / "foreign").read_text() == "theirs"


def test_links_are_swapped_and_left_alone_when_right(tmp_path: Path) -> None:
    path = tmp_path / "link"
    assert write_link(path, "a")
    assert not write_link(path, "a")
    (tmp_path / ".link.new").symlink_to("left over")
    assert write_link(path, "b")
    assert read_link(path) == "b"
    assert sorted(os.listdir(tmp_path)) == ["link"]


def test_what_is_not_there_reads_as_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert read_text(tmp_path / "none") is None
    assert read_text(tmp_path / "file" / "below") is None
    assert read_link(tmp_path / "none") is None
    assert read_link(tmp_path / "file") is None
    assert matches({tmp_path / "file": "x"})
    assert not matches({tmp_path / "file": "x", tmp_path / "none": ""})

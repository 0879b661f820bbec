"""Documents with a previous version: a torn file is detected, told, and never replaces a good previous version."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from headworks.system.kept_json import Kept, read_kept, write_kept

TORN = {"empty": b"", "half": b'{"number": 2, "na', "zeros": bytes(4096), "another type": b"[]", "not utf-8": b'{"\xff'}


def test_a_document_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    assert read_kept(path) == Kept()
    assert write_kept(path, {"number": 1}, 0o600)
    assert read_kept(path) == Kept({"number": 1})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not write_kept(path, {"number": 1}, 0o600)
    assert os.listdir(tmp_path) == ["mark"]


def test_the_replaced_document_is_the_previous_version(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    for number in range(3):
        write_kept(path, {"number": number}, 0o600)
    assert read_kept(tmp_path / "mark.prev") == Kept({"number": 1})
    assert stat.S_IMODE((tmp_path / "mark.prev").stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["mark", "mark.prev"]


@pytest.mark.parametrize("torn", TORN)
def test_the_previous_version_is_used_for_a_torn_document_and_that_is_told(torn: str, tmp_path: Path) -> None:
    path = tmp_path / "mark"
    write_kept(path, {"number": 1})
    write_kept(path, {"number": 2})
    path.write_bytes(TORN[torn])
    kept = read_kept(path)
    assert (kept.data, kept.previous) == ({"number": 1}, True)
    assert str(path) in kept.damage
    assert "mark.prev is used" in kept.damage
    path.unlink()
    assert read_kept(path).data == {"number": 1}
    assert "is missing" in read_kept(path).damage


@pytest.mark.parametrize("torn", TORN)
def test_a_torn_document_never_replaces_a_good_previous_version(torn: str, tmp_path: Path) -> None:
    path = tmp_path / "mark"
    write_kept(path, {"number": 1})
    write_kept(path, {"number": 2})
    path.write_bytes(TORN[torn])
    write_kept(path, {"number": 3})
    assert read_kept(path) == Kept({"number": 3})
    assert read_kept(tmp_path / "mark.prev") == Kept({"number": 1})


def test_without_an_intact_version_there_is_no_document_and_the_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    path.write_bytes(b"{")
    assert read_kept(path).data is None
    assert "is not complete JSON" in read_kept(path).damage
    assert "mark.prev is missing" in read_kept(path).damage


def test_a_run_that_was_killed_between_the_two_renames_is_completed(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    write_kept(path, {"number": 1})
    os.link(path, tmp_path / "mark.prev")
    write_kept(path, {"number": 2})
    assert read_kept(path).data == {"number": 2}
    assert read_kept(tmp_path / "mark.prev").data == {"number": 1}
    assert sorted(os.listdir(tmp_path)) == ["mark", "mark.prev"]

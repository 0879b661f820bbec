"""The allocations file: its location, atomic writes, and the lock."""

from __future__ import annotations

import json
import multiprocessing
import time
from pathlib import Path

import pytest
from headworks.control import allocations_file
from headworks.model.errors import PlanError

BESIDE = allocations_file.BESIDE_INVENTORY


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    (tmp_path / "lab").mkdir()
    return tmp_path / "lab"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "hosts.yml").touch()
    return tmp_path / "my"


def test_the_default_path_is_beside_the_first_inventory(lab: Path, mine: Path) -> None:
    assert allocations_file.locate("", [str(lab), str(mine)]) == lab / BESIDE


def test_the_last_inventory_that_has_an_allocations_file_is_used(lab: Path, mine: Path) -> None:
    for home in (lab, mine):
        (home / BESIDE).parent.mkdir(parents=True)
        (home / BESIDE).touch()
    assert allocations_file.locate("", [str(lab), str(mine / "hosts.yml")]) == mine / BESIDE


def test_a_later_inventory_without_an_allocations_file_is_ignored(lab: Path, mine: Path) -> None:
    (lab / BESIDE).parent.mkdir(parents=True)
    (lab / BESIDE).touch()
    assert allocations_file.locate("", [str(lab), str(mine)]) == lab / BESIDE


def test_a_relative_setting_is_relative_to_the_last_inventory(lab: Path, mine: Path) -> None:
    assert allocations_file.locate("state/a.json", [str(lab), str(mine)]) == mine / "state/a.json"
    assert allocations_file.locate("/srv/a.json", [str(lab)]) == Path("/srv/a.json")


def test_a_host_list_on_the_command_line_is_no_location(lab: Path) -> None:
    assert allocations_file.locate("", ["vm1,vm2,", str(lab)]) == lab / BESIDE
    with pytest.raises(PlanError, match="cloud_allocations_file: '': must be set"):
        allocations_file.locate("", ["vm1,"])


def test_a_damaged_file_is_told_with_its_previous_version(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    assert allocations_file.read(path) == allocations_file.Stored(None)
    allocations_file.write(path, '{"n": 1}')
    allocations_file.write(path, '{"n": 2}')
    assert allocations_file.read(path) == allocations_file.Stored({"n": 2})
    for text, damage in (("", "is empty"), ('{"n": {', "is damaged (Expecting"), ("[]", "is damaged (it does not")):
        path.write_text(text)
        stored = allocations_file.read(path)
        assert (stored.content, stored.previous) == (None, {"n": 1})
        assert stored.damage.startswith(damage)


def test_a_damaged_file_does_not_replace_the_previous_version(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    allocations_file.write(path, '{"n": 1}')
    allocations_file.write(path, '{"n": 2}')
    path.write_text("{")
    allocations_file.write(path, '{"n": 3}')
    assert json.loads(allocations_file.previous_of(path).read_text()) == {"n": 1}
    assert json.loads(path.read_text()) == {"n": 3}


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"cloud_allocations_file: '.*': cannot be read"):
        allocations_file.read(tmp_path)


def test_writing_the_same_text_again_does_not_touch_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    assert allocations_file.write(path, "{}\n") is True
    before = path.stat()
    assert allocations_file.write(path, "{}\n") is False
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino
    assert allocations_file.write(path, "{ }\n") is True
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.yml", "a.yml.prev"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_message_about_an_unusable_path_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(PlanError, match=r"cloud_allocations_file: .*file/x/a\.yml"),
        allocations_file.locked(tmp_path / "file" / "x" / "a.yml"),
    ):
        pass


def _add(path: Path, count: int) -> None:
    for _ in range(count):
        with allocations_file.locked(path):
            number = (allocations_file.read(path).content or {"n": 0})["n"]
            time.sleep(0.002)
            allocations_file.write(path, json.dumps({"n": number + 1}))


def test_concurrent_runs_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.yml"
    runs = [multiprocessing.get_context("fork").Process(target=_add, args=(path, 20)) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert allocations_file.read(path).content == {"n": 60}
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["a.yml", "a.yml.prev"]

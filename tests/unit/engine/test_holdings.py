"""What a node holds, without libvirt."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from headworks.engine import holdings as module
from headworks.engine.holdings import holdings
from headworks.node.compute.removed import set_aside

DOCUMENT = {
    "version": 2, "cloud": "lab", "node": "compute1", "lineage": "x", "serial": 7, "digest": "d",
    "allocations": {"instances": {"vm1": {"number": 1}}},
    "sections": {"disks": [{"name": "u2", "title": "vm2", "base": "b"}]},
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_libvirt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths without libvirt's files and without namespaces."""
    monkeypatch.setattr(module, "SOCKET", tmp_path / "no-socket")
    monkeypatch.setattr(module, "LIBVIRT_DEFINITIONS", tmp_path / "definitions")
    monkeypatch.setattr(module, "MARKER_DIR", tmp_path / "markers")
    monkeypatch.setattr(module, "RULE", tmp_path / "rule")


def held(tmp_path: Path) -> dict[str, Any]:
    return holdings(tmp_path / "instances", tmp_path / "removed", tmp_path / "node-state.json")


def guest(tmp_path: Path, uuid: str, mark: str | None = None) -> Path:
    home = tmp_path / "instances" / uuid
    home.mkdir(parents=True)
    (home / "disk").write_bytes(bytes(8192))
    text = json.dumps({"cloud": "lab", "title": "vm1", "created": 99}) if mark is None else mark
    (home / "headworks.json").write_text(text)
    return home


def test_a_bare_node_holds_nothing(tmp_path: Path) -> None:
    assert held(tmp_path) == {
        "cloud": "", "node": "", "lineage": "", "serial": 0, "applied": 0, "digest": "", "allocations": {},
        "damaged": [], "instances": {}, "routers": {}, "networks": {}, "removed_bytes": 0,
    }  # fmt: skip


def test_a_node_tells_which_plan_it_applied(tmp_path: Path) -> None:
    (tmp_path / "node-state.json").write_text(json.dumps(DOCUMENT))
    found = held(tmp_path)
    for key in ("cloud", "node", "lineage", "serial", "digest", "allocations"):
        assert found[key] == DOCUMENT[key]


def test_a_torn_document_is_told_and_its_previous_version_counts(tmp_path: Path) -> None:
    (tmp_path / "node-state.json").write_text("{")
    (tmp_path / "node-state.json.prev").write_text(json.dumps(DOCUMENT))
    found = held(tmp_path)
    assert found["serial"] == 7
    assert str(tmp_path / "node-state.json") in found["damaged"][0]


def test_a_guest_has_its_name_its_sizes_and_its_protection(tmp_path: Path) -> None:
    guest(tmp_path, "u1", json.dumps({"cloud": "lab", "title": "vm1", "created": 99, "protected": True}))
    found = held(tmp_path)["instances"]["u1"]
    assert found["disk_bytes"] >= 8192
    assert {key: value for key, value in found.items() if key != "disk_bytes"} == {
        "name": "vm1", "cloud": "lab", "domain": "", "state": "undefined", "virtual_bytes": 8192, "created": 99,
        "protected": True,
    }  # fmt: skip


def test_a_directory_without_an_intact_mark_counts_if_the_document_has_its_disk(tmp_path: Path) -> None:
    (tmp_path / "node-state.json").write_text(json.dumps(DOCUMENT))
    guest(tmp_path, "u2", "")
    guest(tmp_path, "unknown", "{")
    found = held(tmp_path)
    assert {uuid: (entry["name"], entry["cloud"]) for uuid, entry in found["instances"].items()} == {
        "u2": ("vm2", "lab")
    }
    assert len(found["damaged"]) == 2


def test_a_removed_guest_is_told_with_the_end_of_its_retention(tmp_path: Path) -> None:
    before = int(time.time())
    entry = {"name": "vm1", "cloud": "lab", "days": 3, "allocation": {"number": 1}}
    set_aside(guest(tmp_path, "u1"), tmp_path / "removed", entry)
    found = held(tmp_path)
    (removed,) = found["instances"].values()
    assert (removed["name"], removed["cloud"], removed["state"]) == ("vm1", "lab", "removed")
    assert before <= removed["removed"] <= time.time()
    assert removed["until"] == removed["removed"] + 3 * 86400
    assert removed["allocation"] == {"number": 1}
    assert found["removed_bytes"] == removed["disk_bytes"] >= 8192
    (tmp_path / "rule").write_text("d /x 0700 root root cB:1d\n")
    assert held(tmp_path)["instances"]["u1"]["until"] == removed["removed"] + 86400


def test_a_removed_guest_that_is_half_deleted_only_occupies_space(tmp_path: Path) -> None:
    path = set_aside(guest(tmp_path, "u1"), tmp_path / "removed", {"name": "vm1"})
    (path / "headworks.json").unlink()
    found = held(tmp_path)
    assert found["instances"] == {}
    assert found["removed_bytes"] >= 8192


def test_a_guest_that_came_back_is_not_told_as_removed(tmp_path: Path) -> None:
    set_aside(guest(tmp_path, "u1"), tmp_path / "removed", {"name": "vm1"})
    guest(tmp_path, "u1")
    assert held(tmp_path)["instances"]["u1"]["state"] == "undefined"


def test_a_hundred_guests_take_little_time(tmp_path: Path) -> None:
    for number in range(100):
        guest(tmp_path, f"u{number}")
    started = time.process_time()
    assert len(held(tmp_path)["instances"]) == 100
    assert time.process_time() - started < 0.1

"""Module removed_guests and playbook removed.yml: removed guests are listed, brought back and deleted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from headworks.node.compute.removed import REMOVED_DIR, set_aside
from headworks.state.places import INSTANCES_DIR
from modules import SITE_PACKAGES, TOP, run_module

INSTANCES = Path(INSTANCES_DIR)


def remove(title: str, identity: str = "", marker: str = "") -> str:
    """Make a guest's directory and set it aside. Return the guest's uuid."""
    identity = identity or str(uuid.uuid4())
    home = INSTANCES / identity
    home.mkdir(parents=True)
    for name in ("disk", "headworks.json", "domain.xml"):
        (home / name).write_text(f"{{}} {title} {marker}")
    set_aside(home, REMOVED_DIR, {"name": title, "cloud": "functional-removed", "days": 7})
    return identity


@pytest.fixture(autouse=True)
def only_ours() -> Iterator[None]:
    """Begin and end without removed guests, and without directories that the test brought back."""
    before = set(INSTANCES.iterdir()) if INSTANCES.is_dir() else set()
    shutil.rmtree(REMOVED_DIR, ignore_errors=True)
    yield
    shutil.rmtree(REMOVED_DIR, ignore_errors=True)
    for path in set(INSTANCES.iterdir()) - before:
        shutil.rmtree(path)


def verbs(answer: dict[str, Any]) -> list[tuple[str, str]]:
    assert answer["changed"] == bool(answer["changes"])
    return [(change["verb"], change["name"]) for change in answer["changes"]]


def names(answer: dict[str, Any]) -> list[str]:
    return sorted(guest["name"] for guest in answer["removed"])


def test_a_node_without_removed_guests_lists_none() -> None:
    answer = run_module("removed_guests")
    assert (answer["changed"], answer["removed"]) == (False, [])


def test_the_list_says_what_is_kept_and_until_when() -> None:
    identity = remove("web03")
    (guest,) = run_module("removed_guests")["removed"]
    assert (guest["name"], guest["uuid"], guest["cloud"]) == ("web03", identity, "functional-removed")
    assert guest["bytes"] > 0
    assert guest["removed"] < guest["kept_until"]
    assert guest["missing"] == []


@pytest.mark.parametrize("by", ["name", "uuid"])
def test_a_guest_is_restored_with_its_files(by: str) -> None:
    identity = remove("web03")
    remove("other")
    wanted = {"name": "web03", "uuid": identity}[by]
    checked = run_module("removed_guests", check=True, diff=True, restore=[wanted])
    assert verbs(checked) == [("restore", "web03")]
    assert "web03" in checked["diff"]["before"]
    assert "web03" not in checked["diff"]["after"]
    assert names(run_module("removed_guests")) == ["other", "web03"]
    answer = run_module("removed_guests", restore=[wanted])
    assert (verbs(answer), names(answer)) == ([("restore", "web03")], ["other"])
    assert sorted(os.listdir(INSTANCES / identity)) == ["disk", "domain.xml", "headworks.json"]
    assert run_module("removed_guests", restore=[wanted])["failed"]


def test_the_newest_of_several_directories_is_restored_and_all_are_reclaimed() -> None:
    identity = remove("web03", marker="older")
    remove("web03", identity, marker="newer")
    run_module("removed_guests", restore=["web03"])
    assert "newer" in (INSTANCES / identity / "disk").read_text()
    refused = run_module("removed_guests", restore=["web03"])
    assert "has a directory again" in refused["msg"]
    shutil.rmtree(INSTANCES / identity)
    remove("web03", identity)
    assert verbs(run_module("removed_guests", reclaim=["web03"])) == [("reclaim", "web03")] * 2
    assert list(REMOVED_DIR.iterdir()) == []


def test_nothing_is_restored_if_one_guest_cannot_be() -> None:
    whole, half = remove("whole"), remove("half")
    next(REMOVED_DIR.glob(f"{half}.*/disk")).unlink()
    for wanted, message in (("half", "half deleted"), ("unknown", "keeps no removed guest of this name")):
        answer = run_module("removed_guests", restore=["whole", wanted])
        assert message in answer["msg"]
        assert not (INSTANCES / whole).exists()


def test_two_guests_of_one_name_are_told_apart_by_uuid() -> None:
    first, second = remove("web03"), remove("web03")
    answer = run_module("removed_guests", reclaim=["web03"])
    assert first in answer["msg"]
    assert second in answer["msg"]
    run_module("removed_guests", reclaim=[first])
    assert [guest["uuid"] for guest in run_module("removed_guests")["removed"]] == [second]


def test_all_removed_guests_are_reclaimed_also_what_a_killed_run_left() -> None:
    remove("web03")
    remove("web04")
    (REMOVED_DIR / ".reclaim.old.1").mkdir()
    assert len(verbs(run_module("removed_guests", check=True, all=True))) == 2
    assert len(os.listdir(REMOVED_DIR)) == 3
    assert len(verbs(run_module("removed_guests", all=True))) == 2
    assert os.listdir(REMOVED_DIR) == []


def playbook(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run playbooks/removed.yml on this node."""
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("compute: {hosts: {here: {ansible_connection: local}}}\n")
    start = "import sys; sys.path.append(sys.argv.pop(1)); from ansible.cli.playbook import main; main()"
    words = [sys.executable, "-c", start, SITE_PACKAGES, "-i", inventory, TOP / "playbooks/removed.yml", *options]
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "ANSIBLE_CONFIG": f"{TOP}/ansible.cfg",
        "PYTHONPATH": f"{SITE_PACKAGES}:{TOP}/plugins/module_utils", "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"),
    }  # fmt: skip
    return subprocess.run(
        [str(word) for word in words], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_playbook_lists_restores_and_reclaims(tmp_path: Path) -> None:
    identity = remove("web03")
    remove("web04")
    listed = playbook(tmp_path)
    assert listed.returncode == 0, listed.stdout + listed.stderr
    (line,) = [line for line in listed.stdout.splitlines() if "web03" in line]
    assert {"web03", "here", "MiB", identity} <= set(line.split())
    assert (INSTANCES / identity).exists() is False
    restored = playbook(tmp_path, "-e", "restore=web03")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert "run site.yml" in restored.stdout
    assert (INSTANCES / identity / "disk").exists()
    reclaimed = playbook(tmp_path, "-e", "reclaim=web04")
    assert reclaimed.returncode == 0, reclaimed.stdout + reclaimed.stderr
    assert list(REMOVED_DIR.iterdir()) == []


def test_the_playbook_refuses_an_unknown_name(tmp_path: Path) -> None:
    remove("web03")
    refused = playbook(tmp_path, "-e", "restore=web30")
    assert refused.returncode != 0
    assert "web30" in refused.stdout + refused.stderr
    assert "Kept are: web03" in " ".join((refused.stdout + refused.stderr).split())

"""Instances that nodes have built are noted in the allocations file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from headworks.control.allocations_file import previous_of, write
from headworks.control.built import has_disks, note_built
from headworks.plan.allocation.allocations import Allocations, InstanceAllocation, digest, load

BOTH = Allocations(
    cloud="s1", lineage="L", serial=4, instances={"a": InstanceAllocation(1, "n1"), "b": InstanceAllocation(2, "n2")}
)


def built(path: Path) -> set[str]:
    instances = load(json.loads(path.read_text())).instances
    return {name for name, instance in instances.items() if instance.built}


def test_the_instances_of_a_node_are_noted_in_the_same_version(tmp_path: Path) -> None:
    path = tmp_path / "allocations.yml"
    write(path, Allocations(cloud="s1", lineage="L", serial=3).text())
    write(path, BOTH.text())
    previous = previous_of(path).read_text()
    note_built(path, "n1", {"a"})
    assert built(path) == {"a"}
    after = json.loads(path.read_text())
    assert digest(after) == digest(BOTH.dump())
    assert load(after).serial == 4
    assert previous_of(path).read_text() == previous


def test_what_another_run_has_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "allocations.yml"
    write(path, BOTH.text())
    text = path.read_text()
    note_built(path, "n1", {"b", "gone"})
    assert path.read_text() == text


LINK = {"kind": "link", "name": "tap1", "text": "no space"}
GUEST = {"kind": "domain", "name": "uuid1", "text": "instance vm1: does not start"}


@pytest.mark.parametrize(
    ("answer", "has"),
    [
        ({}, True),
        ({"failed": True, "failures": [LINK, GUEST]}, True),
        ({"failed": True, "failures": [LINK, {**GUEST, "name": ""}]}, False),
        ({"failed": True, "failures": [{**LINK, "kind": "disk"}]}, False),
        ({"failed": True, "failures": [{**LINK, "kind": "image"}]}, False),
        ({"failed": True, "failures": [LINK], "refused": True}, False),
        ({"failed": True, "failures": [LINK], "paused": True}, False),
        ({"failed": True, "msg": "the node was killed"}, False),
    ],
)
def test_a_node_whose_disks_are_complete_has_built_its_guests_although_another_part_failed(
    answer: dict[str, object], has: bool
) -> None:
    assert has_disks(answer) is has


def test_a_missing_file_is_not_created(tmp_path: Path) -> None:
    note_built(tmp_path / "allocations.yml", "n1", {"a"})
    assert list(tmp_path.iterdir()) == []

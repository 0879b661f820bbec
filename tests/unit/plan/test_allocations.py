"""The text of the allocations file: it loads back, is sorted, has a line for each object; damaged data is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from headworks.model.errors import PlanError
from headworks.plan.allocation import migrations
from headworks.plan.allocation.allocations import Allocations, load
from headworks.plan.resolve import resolve
from inventories import facts_of, flock, s1


def _s1() -> Allocations:
    return resolve(s1(), None, facts_of(s1())).allocations


def test_dumped_allocations_load_back_unchanged() -> None:
    allocations = _s1()
    assert load(json.loads(allocations.text())) == allocations
    assert load(allocations.dump()) == allocations
    assert json.loads(allocations.text())["cloud_allocations"] == allocations.dump()


def test_the_text_is_also_yaml() -> None:
    allocations = _s1()
    assert yaml.safe_load(allocations.text()) == json.loads(allocations.text())


@pytest.mark.parametrize("empty", [None, {}, {"cloud_allocations": {}}, {"cloud_allocations": None}])
def test_empty_data_loads_as_empty_allocations(empty: dict[str, object] | None) -> None:
    assert load(empty) == Allocations()


def test_each_instance_has_a_line_and_the_lines_are_in_natural_order() -> None:
    inventory = flock(11)
    lines = resolve(inventory, None, facts_of(inventory)).allocations.text().splitlines()
    first = lines.index('"instances": {') + 1
    assert [line.split('"')[1] for line in lines[first : first + 11]] == [f"web{number}" for number in range(1, 12)]
    assert lines[first].startswith('"web1": {"number": 1, "node": "compute1", "ports": {"internal": ["fa:16:3e:')


def test_an_added_instance_changes_six_lines() -> None:
    inventory = flock(20)
    first = resolve(inventory, None, facts_of(inventory)).allocations
    more = flock(21)
    second = resolve(more, first.dump(), facts_of(more)).allocations
    before, after = set(first.text().splitlines()), set(second.text().splitlines())
    # Two lines of the new instance (its allocation, its declaration), the last number, the serial, and two lines that
    # get a comma.
    assert len(after - before) == 6


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        ({"version": 3}, "cloud_allocations.version: 3: must be 2 or lower: a newer headworks has written this file"),
        ({"version": 0}, "cloud_allocations.version: 0: must be 2"),
        ({"version": None}, "cloud_allocations.version: None: must be 2"),
        ({"version": "1"}, "cloud_allocations.version: '1': must be 2"),
        ({"version": True}, "cloud_allocations.version: True: must be 2"),
        ({"instances": {"vm1": {"node": "compute1"}}}, "cloud_allocations.instances.vm1: 'number'"),
        ({"instances": {"vm1": {"number": 1, "node": "c", "ports": {"n": "fa"}}}}, "cloud_allocations.instances.vm1: "),
        ({"networks": {"n": {"segment": "vxlan/x"}}}, "cloud_allocations.networks.n: "),
        ({"routers": {"r": []}}, "cloud_allocations.routers.r: "),
        ({"vlans": {"n": 3}}, "cloud_allocations: "),
    ],
)
def test_damaged_data_is_refused_with_a_message_that_names_the_place(damage: dict[str, object], where: str) -> None:
    with pytest.raises(PlanError) as error:
        load({"version": 2, **damage})
    assert error.value.messages[0].startswith(where)


def test_an_older_file_is_migrated_through_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The versions are invented: version 1 called instances ``guests``, and version 2 had no last number."""

    def rename(data: Mapping[str, Any]) -> dict[str, Any]:
        return {**{key: value for key, value in data.items() if key != "guests"}, "instances": data["guests"]}

    def count(data: Mapping[str, Any]) -> dict[str, Any]:
        return {**data, "last_number": max(instance["number"] for instance in data["instances"].values())}

    monkeypatch.setattr(migrations, "VERSION", 3)
    monkeypatch.setattr(migrations, "MIGRATIONS", {1: rename, 2: count})
    guest = {"vm1": {"number": 7, "node": "compute1"}}
    for older in ({"version": 1, "guests": guest}, {"version": 2, "instances": guest}):
        before = copy.deepcopy(older)
        allocations = load(older)
        assert (allocations.last_number, allocations.instances["vm1"].node) == (7, "compute1")
        assert older == before, "a step must not change its argument"
    assert load({"version": 3, "instances": guest}).last_number == 0, "a file of the current version needs no step"


def test_an_older_file_that_is_damaged_is_refused_with_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "VERSION", 2)
    monkeypatch.setattr(migrations, "MIGRATIONS", {1: lambda data: {"instances": data["guests"]}})
    with pytest.raises(PlanError, match="cloud_allocations: 'guests': the allocations are damaged"):
        load({"version": 1})


def test_there_is_a_step_from_every_older_version() -> None:
    assert sorted(migrations.MIGRATIONS) == list(range(1, migrations.VERSION))

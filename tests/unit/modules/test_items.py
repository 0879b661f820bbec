"""The code that the modules of library/ share: a single item or a list of items, and the module's result."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from headworks.engine import doors
from headworks.modules.items import STATE, Selected, finish, item_module, items, split
from headworks.node.subsystem import Applied, Cause, Change, Reading, Scope, Subsystem, Undone


@pytest.fixture(autouse=True)
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock file that needs no root."""
    path = tmp_path / "run" / "converge.lock"
    monkeypatch.setattr(doors, "LOCK_FILE", path)
    return path


@dataclass(frozen=True)
class Thing:
    name: str
    size: int = 1


class Things(Subsystem[Thing]):
    """A subsystem that keeps its things in ``world``: ``old`` and ``foreign`` at first."""

    kind = "thing"
    record = Thing

    def __init__(self, owner: str | None = None) -> None:
        super().__init__(owner)
        self.world = {"old": Thing("old"), "foreign": Thing("foreign")}

    def read(self, desired: Mapping[str, Thing], scope: Scope | None = None) -> Reading[Thing]:
        return Reading(dict(self.world), frozenset(self.world), notes=(self.note("old", "a note"),))

    def apply(self, changes: Sequence[Change[Thing]]) -> Applied:
        for change in changes:
            if change.after is None:
                del self.world[change.name]
            elif change.name == "broken":
                raise OSError("cannot be made")
            else:
                self.world[change.name] = change.after
        return Applied()


class FakeModule:
    """The part of AnsibleModule that modules/items.py uses."""

    def __init__(self, params: Mapping[str, Any], check: bool = False, diff: bool = True) -> None:
        self.params = params
        self.check_mode = check
        self._diff = diff
        self.answer: dict[str, Any] = {}

    def exit_json(self, **answer: Any) -> None:
        self.answer = answer
        raise SystemExit(0)

    def fail_json(self, **answer: Any) -> None:
        self.answer = {"failed": True, **answer}
        raise SystemExit(1)


def end(module: FakeModule, things: Things) -> dict[str, Any]:
    present, absent = split(Things, items(module, "things"))
    with pytest.raises(SystemExit):
        finish(module, [(things, present, absent)])
    return module.answer


def test_items_of_a_list_inherit_the_options_of_the_module() -> None:
    with_name = FakeModule({"name": "a", "size": None, "state": None, "things": None})
    assert items(with_name, "things") == [{"name": "a", "state": "present"}]
    listed = [{"name": "a", "size": None, "state": None}, {"name": "b", "size": 3, "state": "present"}]
    with_list = FakeModule({"name": None, "size": 2, "state": "absent", "things": listed, "timeout": 5})
    assert items(with_list, "things", ["timeout"]) == [
        {"name": "a", "size": 2, "state": "absent"},
        {"name": "b", "size": 3, "state": "present"},
    ]


def test_a_module_removes_only_the_items_with_state_absent() -> None:
    things = Things()
    listed = [{"name": "new"}, {"name": "old", "state": "absent"}, {"name": "never", "state": "absent"}]
    answer = end(FakeModule({"name": None, "state": None, "things": listed}), things)
    assert set(things.world) == {"new", "foreign"}
    assert answer["changed"]
    assert answer["changes"] == [
        {"kind": "thing", "name": "new", "verb": "add"},
        {"kind": "thing", "name": "old", "verb": "remove"},
    ]
    assert answer["notes"] == ["a note"]
    assert answer["diff"][1]["before"] == '{\n  "name": "old"\n}\n'
    assert answer["diff"][1]["after"] == ""


def test_check_mode_reports_the_changes_and_applies_none() -> None:
    things = Things()
    answer = end(FakeModule({"name": "new", "state": None, "things": None}, check=True, diff=False), things)
    assert answer["changes"] == [{"kind": "thing", "name": "new", "verb": "add"}]
    assert "diff" not in answer
    assert set(things.world) == {"old", "foreign"}


def test_a_failed_module_reports_the_changes_that_it_found() -> None:
    answer = end(FakeModule({"name": "broken", "state": None, "things": None}), Things())
    assert answer["failed"]
    assert "thing: applying: cannot be made" in answer["msg"]
    assert answer["changes"] == [{"kind": "thing", "name": "broken", "verb": "add"}]


def test_a_module_sees_only_its_items_and_may_remove_them_without_a_mark() -> None:
    reading = Selected(Things(), {"foreign": Thing("foreign")}).read({"new": Thing("new")})
    assert set(reading.objects) == {"foreign"}
    assert reading.owned == {"foreign"}


def test_a_module_does_not_remove_what_is_protected() -> None:
    class Protected(Things):
        guarded = True

        def read(self, desired: Mapping[str, Thing], scope: Scope | None = None) -> Reading[Thing]:
            return replace(super().read(desired, scope), protected=frozenset({"old"}))

    things = Protected()
    answer = end(FakeModule({"name": "old", "state": "absent", "things": None}), things)
    assert answer["failed"]
    assert "protected" in answer["msg"]
    assert "old" in things.world
    assert not end(FakeModule({"name": "foreign", "state": "absent", "things": None}), things).get("failed")
    assert "foreign" not in things.world


def test_a_lock_that_cannot_be_taken_is_a_failure_that_names_it(lock: Path) -> None:
    lock.parent.write_text("a file where the directory should be")
    answer = end(FakeModule({"name": "new", "state": None, "things": None}), Things())
    assert answer["failed"]
    assert str(lock) in answer["msg"]


def test_a_module_takes_the_lock_of_the_node_except_in_check_mode(lock: Path) -> None:
    module = {"name": "new", "state": None, "things": None}
    end(FakeModule(module, check=True), Things())
    assert not lock.exists()
    held: list[bool] = []

    class Watching(Things):
        def apply(self, changes: Sequence[Change[Thing]]) -> Applied:
            with lock.open() as other, suppress(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held.append(False)
            held.append(True)
            return super().apply(changes)

    end(FakeModule(module), Watching())
    assert held == [True]


def test_a_module_applies_again_what_its_earlier_changes_undo() -> None:
    class Fragile(Things):
        def undone_by(
            self, earlier: Sequence[Change[Any]], desired: Mapping[str, Thing], actual: Reading[Thing]
        ) -> Undone:
            return Undone({"old": Cause.DEVICE_RECREATED}) if earlier else Undone()

    steps = [(Things(), {"new": Thing("new")}, {}), (Fragile(), {"old": Thing("old")}, {})]
    module = FakeModule({"name": "new"}, check=True)
    with pytest.raises(SystemExit):
        finish(module, steps)  # type: ignore[arg-type]
    assert [(change["verb"], change["name"]) for change in module.answer["changes"]] == [
        ("add", "new"),
        ("change", "old"),
    ]


def test_the_argument_spec_has_the_options_of_an_item_at_the_top_and_in_the_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr("headworks.modules.items.AnsibleModule", lambda **given: seen.update(given))
    item_module("things", {"name": {"type": "str"}, "size": {"type": "int"}}, common={"timeout": {"type": "int"}})
    spec = seen["argument_spec"]
    assert spec["things"]["options"]["name"] == {"type": "str", "required": True}
    assert set(spec) == {"name", "size", "state", "timeout", "things"}
    assert spec["state"] == STATE
    assert seen["mutually_exclusive"] == [["name", "things"]]
    assert seen["required_one_of"] == [["name", "things"]]
    assert seen["supports_check_mode"] is True

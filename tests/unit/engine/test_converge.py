"""The walk through the subsystems, with subsystems that keep their objects in a dict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from headworks.engine.converge import ConflictError, ConvergeError, Result, converge
from headworks.node.subsystem import (
    Applied,
    Cause,
    Change,
    Confirmation,
    Conflict,
    Effect,
    Note,
    Reading,
    Scope,
    Subsystem,
    Undone,
)


@dataclass(frozen=True)
class Thing:
    name: str
    value: int = 0


class Box(Subsystem[Thing]):
    """A subsystem that keeps its things in ``world`` and writes the changes that it applies to ``log``. With
    ``ignores_changes`` the world stays as it is."""

    record = Thing

    def __init__(
        self, kind: str, log: list[str], *things: Thing, atomic: bool = False, ignores_changes: bool = False
    ) -> None:
        super().__init__("cloud")
        self.kind = kind  # type: ignore[misc]
        self.atomic = atomic  # type: ignore[misc]
        self.log = log
        self.world = {thing.name: thing for thing in things}
        self.ignores_changes = ignores_changes
        self.needs: dict[str, frozenset[str]] = {}
        self.conflicts: tuple[Conflict, ...] = ()
        self.protected: frozenset[str] = frozenset()

    def read(self, desired: Mapping[str, Thing], scope: Scope | None = None) -> Reading[Thing]:
        return Reading(
            dict(self.world),
            frozenset(self.world),
            self.needs,
            (Note(self.kind, "a", "a note"),),
            self.conflicts,
            self.protected,
        )

    def apply(self, changes: Sequence[Change[Thing]]) -> Applied:
        self.log += [change.label for change in changes]
        for change in changes:
            if self.ignores_changes:
                continue
            if change.after is None:
                del self.world[change.name]
            else:
                self.world[change.name] = change.after
        return Applied((Note(self.kind, "a", "applied"),), (Confirmation(self.kind, "a", "confirm it"),))


def things(*names: str) -> dict[str, Thing]:
    return {name: Thing(name) for name in names}


def test_removals_run_backwards_through_the_subsystems_and_additions_forwards() -> None:
    log: list[str] = []
    boxes = [Box("first", log, Thing("old")), Box("second", log, Thing("old"))]
    converge([(box, things("new")) for box in boxes])
    assert log == ["- second old", "- first old", "+ first new", "+ second new"]


def test_an_atomic_subsystem_removes_and_adds_in_a_single_batch() -> None:
    log: list[str] = []
    boxes = [Box("first", log, Thing("old")), Box("second", log, Thing("old"), atomic=True)]
    converge([(box, things("new")) for box in boxes])
    assert log == ["- first old", "+ first new", "+ second new", "- second old"]


def test_the_result_lists_every_change_in_the_order_of_the_subsystems() -> None:
    result = converge([(Box("box", [], Thing("b", 5), Thing("c")), things("a", "b"))])
    assert [(change["verb"], change["name"]) for change in result.changes] == [
        ("add", "a"), ("change", "b"), ("remove", "c"),
    ]  # fmt: skip
    assert result.changes[1]["before"] == {"name": "b", "value": 5}
    assert result.changes[1]["after"] == {"name": "b"}
    assert [(note.kind, note.text) for note in result.notes] == [("box", "a note"), ("box", "applied")]
    assert [confirmation.text for confirmation in result.confirmations] == ["confirm it"]


class Fragile(Box):
    """A subsystem whose removals are outages."""

    def foreseen(self, change: Change[Thing]) -> Sequence[Note]:
        return [self.note(change.name, f"{change.name} stops", Effect.OUTAGE)] if change.after is None else ()


@pytest.mark.parametrize("check", [True, False])
def test_what_changes_bring_about_is_in_the_result_of_a_run_and_of_a_check_once(check: bool) -> None:
    result = converge([(Fragile("box", [], Thing("old")), things("new"))], check=check)
    assert [note for note in result.notes if note.effect] == [Note("box", "old", "old stops", Effect.OUTAGE)]


def test_check_mode_reports_the_changes_of_a_run_and_applies_none() -> None:
    log: list[str] = []
    applied = converge([(Box("box", [], Thing("old")), things("new"))])
    checked = converge([(Box("box", log, Thing("old")), things("new"))], check=True)
    assert checked.changes == applied.changes
    assert log == []


def test_without_differences_no_change_is_applied() -> None:
    log: list[str] = []
    result = converge([(Box("box", log, Thing("a")), things("a"))])
    assert not result.changed
    assert log == []


def test_a_difference_that_remains_after_applying_is_an_error_with_the_name_of_the_object() -> None:
    with pytest.raises(ConvergeError, match=r"box: 1 difference\(s\) remain .*\+ box new") as caught:
        converge([(Box("box", [], ignores_changes=True), things("new"))])
    assert caught.value.result.changed


@pytest.mark.parametrize("method", ["read", "apply"])
def test_a_failure_names_the_subsystem_and_keeps_the_changes_found_before(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = Box("good", []), Box("bad", [])

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(bad, method, fail)
    with pytest.raises(ConvergeError, match=r"^bad: .*the disk is full") as caught:
        converge([(good, things("a")), (bad, things("a"))])
    result: Result = caught.value.result
    assert result.changes[0]["kind"] == "good"


class Follower(Box):
    """A subsystem that loses its things with value 0 when the leader's bridge changes, as a switch loses its flows."""

    def __init__(self, log: list[str], leader: Box, *things: Thing) -> None:
        super().__init__("follower", log, *things, atomic=True)
        self.leader = leader

    def read(self, desired: Mapping[str, Thing], scope: Scope | None = None) -> Reading[Thing]:
        if self.leader.world["bridge"].value == 1:
            self.world = {name: thing for name, thing in self.world.items() if thing.value == 1}
        return super().read(desired, scope)

    def undone_by(
        self, earlier: Sequence[Change[Any]], desired: Mapping[str, Thing], actual: Reading[Thing]
    ) -> Undone:
        changed = any(change.verb == "change" for change in earlier)
        return Undone({"flow": Cause.BRIDGE_CLEARED} if changed else {}, read_again=changed)


def leader_and_follower(log: list[str]) -> list[tuple[Box, dict[str, Thing]]]:
    """Return a leader that changes, and a follower that loses ``flow`` and ``unforeseen`` by that change."""
    leader = Box("leader", log, Thing("bridge"))
    follower = Follower(log, leader, Thing("flow"), Thing("unforeseen"))
    flows = {"flow": Thing("flow"), "more": Thing("more", 1), "unforeseen": Thing("unforeseen")}
    return [(leader, {"bridge": Thing("bridge", 1)}), (follower, flows)]


def test_objects_that_an_earlier_change_undoes_are_applied_again_in_the_same_run() -> None:
    log: list[str] = []
    result = converge(leader_and_follower(log), verify=False)
    assert log == ["~ leader bridge", "+ follower more", "~ follower flow", "+ follower unforeseen"]
    assert labels(result) == ["change bridge", "add more", "change flow", "add unforeseen"]


def labels(result: Result) -> list[str]:
    return [f"{change['verb']} {change['name']}" for change in result.changes]


def test_check_mode_reports_the_objects_that_an_earlier_change_undoes() -> None:
    result = converge(leader_and_follower([]), check=True)
    assert labels(result) == ["change bridge", "add more", "change flow"]


def test_an_object_that_another_subsystem_needs_is_not_removed() -> None:
    log: list[str] = []
    images, disks = Box("image", log, Thing("used"), Thing("unused")), Box("disk", log)
    disks.needs = {"image": frozenset({"used"})}
    result = converge([(images, {}), (disks, {})])
    assert log == ["- image unused"]
    assert labels(result) == ["remove unused"]


def test_all_conflicts_of_a_subsystem_are_reported_and_no_change_is_applied() -> None:
    log: list[str] = []
    good, bad = Box("good", log), Box("bad", log)
    bad.conflicts = (Conflict("a", "a is not ours"), Conflict("b", "b does not exist"))
    with pytest.raises(ConvergeError, match=r"^bad: .*a is not ours; b does not exist"):
        converge([(good, things("a")), (bad, things("b"))])
    assert log == []


@pytest.mark.parametrize(("check", "called"), [(False, ["begin"]), (True, [])])
def test_begin_is_called_once_before_any_change_and_not_in_check_mode(check: bool, called: list[str]) -> None:
    log: list[str] = []
    converge([(Box("box", log), things("a"))], check=check, begin=lambda: log.append("begin"))
    assert log[:1] == called


def test_begin_is_not_called_when_a_subsystem_has_a_conflict() -> None:
    bad, log = Box("bad", []), []
    bad.conflicts = (Conflict("a", "a is not ours"),)
    with pytest.raises(ConflictError):
        converge([(bad, {})], begin=lambda: log.append("begin"))
    assert log == []


@pytest.mark.parametrize(("check", "called"), [(False, ["begin"]), (True, [])])
def test_begin_is_called_when_a_subsystem_does_not_answer(
    check: bool, called: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, log = Box("bad", []), []
    monkeypatch.setattr(bad, "read", lambda *_: 1 / 0)
    with pytest.raises(ConvergeError):
        converge([(bad, {})], check=check, begin=lambda: log.append("begin"))
    assert log == called


def test_a_failed_reading_lists_no_removal_that_a_later_subsystem_may_prevent(monkeypatch: pytest.MonkeyPatch) -> None:
    images, disks = Box("image", [], Thing("used")), Box("disk", [])
    monkeypatch.setattr(disks, "read", lambda *_: 1 / 0)
    with pytest.raises(ConvergeError) as caught:
        converge([(images, things("new")), (disks, {})])
    assert labels(caught.value.result) == ["add new"]


def test_an_undone_object_that_changes_anyway_gets_the_cause() -> None:
    leader, follower = Box("leader", [], Thing("bridge")), Box("follower", [], Thing("flow"))
    applied: list[Change[Thing]] = []

    class Fragile(Box):
        def undone_by(
            self, earlier: Sequence[Change[Any]], desired: Mapping[str, Thing], actual: Reading[Thing]
        ) -> Undone:
            return Undone({"flow": Cause.DEVICE_RECREATED} if earlier else {})

        def apply(self, changes: Sequence[Change[Thing]]) -> Applied:
            applied.extend(changes)
            return super().apply(changes)

    follower = Fragile("follower", [], Thing("flow"))
    converge([(leader, {"bridge": Thing("bridge", 1)}), (follower, {"flow": Thing("flow", 5)})])
    assert [(change.name, change.cause) for change in applied] == [("flow", Cause.DEVICE_RECREATED)]


def test_what_is_superfluous_after_an_earlier_change_is_removed_in_the_same_run() -> None:
    class Renumbered(Follower):
        def read(self, desired: Mapping[str, Thing], scope: Scope | None = None) -> Reading[Thing]:
            if self.leader.world["bridge"].value == 1 and not self.log.count("- follower stale"):
                self.world["stale"] = Thing("stale", 1)
            return Box.read(self, desired, scope)

    log: list[str] = []
    leader = Box("leader", log, Thing("bridge"))
    follower = Renumbered(log, leader, Thing("flow"))
    converge([(leader, {"bridge": Thing("bridge", 1)}), (follower, {"flow": Thing("flow")})])
    assert log == ["~ leader bridge", "~ follower flow", "- follower stale"]


def test_a_subsystem_is_not_read_again_when_no_object_was_undone() -> None:
    log: list[str] = []
    leader = Box("leader", log)
    follower = Follower(log, leader, Thing("flow"))
    leader.world = {"bridge": Thing("bridge")}
    converge([(leader, things("bridge", "new")), (follower, things("flow"))])
    assert log == ["+ leader new"]

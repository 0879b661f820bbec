"""A part of the node that fails stops only itself and what requires it, and the walk names every failure at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from headworks.engine.converge import ConflictError, ConvergeError, Failure, converge
from headworks.node.subsystem import Cause, Change, Conflict, Reading, Undone
from shelves import Part, Shelf, failed, labels, parts


@pytest.mark.parametrize(
    ("method", "doing"),
    [("read", "reading: bad does not answer"), ("diff", "comparing: cannot"), ("apply", "applying: the disk is full")],
)
def test_a_subsystem_that_raises_stops_no_other(method: str, doing: str) -> None:
    log: list[str] = []
    first, bad, last = Shelf("first", log), Shelf("bad", log), Shelf("last", log)
    bad.raises = {method}
    message, result = failed((first, parts("a")), (bad, parts("a")), (last, parts("a")))
    assert log == ["+ first a", "+ last a"]
    assert message.startswith(f"bad: {doing}")
    assert [(failure.kind, failure.name) for failure in result.failures] == [("bad", "")]
    assert not result.complete


def test_a_subsystem_that_cannot_be_verified_stops_no_other_verification() -> None:
    log: list[str] = []
    bad, good = Shelf("bad", log), Shelf("good", log)
    bad.raises = {"verify"}
    message, _ = failed((bad, parts("a")), (good, parts("a")))
    assert message == "bad: verifying: bad does not answer"
    assert good.verified == ["a"]


def test_every_failure_is_named_at_the_end() -> None:
    one, two, three = Shelf("one", []), Shelf("two", []), Shelf("three", [])
    one.raises, two.breaks, three.broken = {"read"}, {"a": "a is on fire"}, {"b": "b is not there"}
    message, result = failed((one, {}), (two, parts("a", "c")), (three, parts("b", "c")))
    assert message == "one: reading: one does not answer\ntwo: applying: a is on fire\nthree: b is not there"
    assert result.failures == [
        Failure("one", "", "reading: one does not answer"),
        Failure("two", "a", "a is on fire"),
        Failure("three", "b", "b is not there"),
    ]
    assert set(two.world) == set(three.world) == {"c"}


def test_objects_that_fail_for_the_same_reason_are_one_failure() -> None:
    box = Shelf("box", [])
    box.breaks = dict.fromkeys(("a", "b"), "the switch is off")
    message, result = failed((box, parts("a", "b")))
    assert message == "box: applying: the switch is off"
    assert result.failures == [Failure("box", "a", "the switch is off")]


def test_what_failed_is_not_verified_and_what_was_done_is() -> None:
    box = Shelf("box", [])
    box.breaks = {"a": "a is on fire", "team": "the team is on strike"}
    failed((box, {**parts("a", "b"), "c": Part("c", group="team")}))
    assert box.verified == ["b"]


@pytest.mark.parametrize("check", [True, False])
def test_a_broken_object_is_left_alone_and_fails_the_run(check: bool) -> None:
    log: list[str] = []
    box = Shelf("nic", log, Part("eth9", 5))
    box.broken = {"eth9": "eth9: is not there"}
    message, result = failed((box, parts("eth9", "eth1")), check=check)
    assert message == "nic: eth9: is not there"
    assert labels(result) == ["add nic eth1"]
    assert log == ([] if check else ["+ nic eth1"])


@pytest.mark.parametrize("check", [True, False])
def test_nothing_is_removed_if_a_subsystem_cannot_be_read(check: bool) -> None:
    log: list[str] = []
    links, guests = Shelf("link", log, Part("old"), Part("tap")), Shelf("guest", log)
    guests.raises = {"read"}
    message, result = failed((links, parts("new")), (guests, {}), check=check)
    assert set(links.world) == {"old", "tap"} | (set() if check else {"new"})
    assert labels(result) == ["add link new"]
    assert message == "guest: reading: guest does not answer"
    assert [note.text for note in result.notes] == [
        "not removed in this run, because guest could not be read: 2 link"
    ]


def test_a_repair_removes_nothing() -> None:
    box = Shelf("box", [], Part("old"))
    result = converge([(box, parts("new"))], remove=False)
    assert set(box.world) == {"old", "new"}
    assert labels(result) == ["add box new"]


def test_what_a_removal_replaces_is_removed_although_a_subsystem_cannot_be_read() -> None:
    class Rules(Shelf):
        def can_wait(self, removals: Sequence[Change[Part]], desired: Mapping[str, Part]) -> Sequence[Change[Part]]:
            return [change for change in removals if change.name != "stale"]

    log: list[str] = []
    rules, bad = Rules("rule", log, Part("stale"), Part("other")), Shelf("bad", log)
    bad.raises = {"read"}
    _, result = failed((rules, parts("new")), (bad, {}))
    assert log == ["- rule stale", "+ rule new"]
    assert labels(result) == ["add rule new", "remove rule stale"]


def test_all_guests_are_left_alone_if_one_kind_of_their_objects_cannot_be_read() -> None:
    log: list[str] = []
    disks, domains = Shelf("disk", log, Part("a"), guarded=True), Shelf("domain", log, guarded=True)
    domains.raises = {"read"}
    message, result = failed((Shelf("link", log), parts("tap")), (disks, parts("a", "b")), (domains, parts("a", "b")))
    assert log == ["+ link tap"]
    assert labels(result) == ["add link tap"]
    assert message == "domain: reading: domain does not answer"


def test_a_conflict_still_refuses_everything_and_names_what_could_not_be_read_too() -> None:
    log: list[str] = []
    good, taken, bad = Shelf("good", log), Shelf("taken", log), Shelf("bad", log)
    taken.conflicts = (Conflict("a", "a is not ours"),)
    bad.raises = {"read"}
    with pytest.raises(ConflictError) as caught:
        converge([(good, parts("a")), (taken, parts("a")), (bad, {})], begin=lambda: log.append("begin"))
    assert str(caught.value) == "taken: a is not ours\nbad: reading: bad does not answer"
    assert [failure.kind for failure in caught.value.result.failures] == ["taken", "bad"]
    assert log == []


def test_in_a_restore_a_conflict_stops_only_its_object_and_what_requires_it() -> None:
    log: list[str] = []
    low, high = Shelf("netns", log, Part("taken", 7)), Shelf("l3", log, below="netns")
    low.conflicts = (Conflict("taken", "namespace taken is not ours"),)
    wanted = {name: Part(name, on=name) for name in ("taken", "new")}
    message, _ = failed((low, parts("taken", "new")), (high, wanted), restore=True)
    assert log == ["+ netns new", "+ l3 new"]
    assert message.startswith("netns: namespace taken is not ours\nl3: taken: left as it is")


@pytest.mark.parametrize("reason", ["breaks", "broken", "read", "apply"])
def test_an_object_waits_for_what_it_requires_and_the_others_go_on(reason: str) -> None:
    log: list[str] = []
    filters, addresses = Shelf("filter", log), Shelf("address", log, below="filter")
    if reason in ("breaks", "broken"):
        setattr(filters, reason, {"r1": "r1 is refused"})
    else:
        filters.raises = {reason}
    wanted = {"r1": Part("r1", on="r1"), "r2": Part("r2", on="r2")}
    message, result = failed((filters, parts("r1", "r2")), (addresses, wanted))
    alone = reason in ("breaks", "broken")
    assert log == (["+ filter r2", "+ address r2"] if alone else [])
    waits = "r1, r2: left as they are, because filter" if reason == "read" else "r1: left as it is, because filter r1"
    assert f"address: {waits} failed" in message
    assert ("address", "r1") in [(failure.kind, failure.name) for failure in result.failures]


def test_objects_that_wait_for_the_same_are_one_failure_that_names_some_of_them() -> None:
    low, high = Shelf("low", []), Shelf("high", [], below="low")
    low.breaks = {"a": "a is on fire"}
    wanted = {f"n{number:02}": Part(f"n{number:02}", on="a") for number in range(12)}
    message, result = failed((low, parts("a")), (high, wanted))
    assert "n09 and 2 more: left as they are, because low a failed" in message
    assert "n10" not in message
    assert [failure.kind for failure in result.failures] == ["low", "high"]


def test_an_object_waits_for_a_part_of_what_failed() -> None:
    log: list[str] = []
    flows, nics = Shelf("flow", log), Shelf("nic", log, below="flow")
    flows.breaks = {"br-ex": "the switch refuses"}
    wanted = {"eth1": Part("eth1", on="br-ex"), "eth2": Part("eth2", on="br-int")}
    failed((flows, {"1": Part("1", group="br-ex"), "2": Part("2", group="br-int")}), (nics, wanted))
    assert log == ["+ flow 2", "+ nic eth2"]


def test_what_waits_holds_up_what_requires_it() -> None:
    log: list[str] = []
    shelves = [Shelf("one", log), Shelf("two", log, below="one"), Shelf("three", log, below="two")]
    shelves[0].breaks = {"a": "a is on fire"}
    wanted = [{"a": Part("a", on=on), "b": Part("b", on="b")} for on in ("", "a", "a")]
    message, _ = failed(*zip(shelves, wanted, strict=True))
    assert log == ["+ one b", "+ two b", "+ three b"]
    assert "three: a: left as it is, because two a failed" in message


@pytest.mark.parametrize("reason", ["breaks", "remove"])
def test_what_an_object_requires_stays_if_the_object_cannot_be_removed(reason: str) -> None:
    log: list[str] = []
    bridges = Shelf("bridge", log, Part("br-ex"), Part("br-old"))
    nics = Shelf("nic", log, Part("eth1", on="br-ex"), below="bridge")
    if reason == "breaks":
        nics.breaks = {"eth1": "eth1 is busy"}
    else:
        nics.raises = {"remove"}
    failed((bridges, parts("new")), (nics, {}))
    assert set(bridges.world) == {"br-ex", "new"}


def test_what_cannot_be_removed_is_not_added_in_another_place() -> None:
    class Moving(Shelf):
        def diff(self, desired: Mapping[str, Part], actual: Reading[Part]) -> list[Change[Part]]:
            moves = super().diff(desired, actual)
            return [
                Change(self.kind, one.name, before, after)
                for one in moves
                for before, after in ((one.before, None), (None, one.after))
            ]

    log: list[str] = []
    box = Moving("nic", log, Part("eth1", 1))
    box.raises = {"remove"}
    failed((box, {"eth1": Part("eth1", 2)}))
    assert log == []
    box.raises = set()
    converge([(box, {"eth1": Part("eth1", 2)})])
    assert log == ["- nic eth1", "+ nic eth1"]


def test_additions_of_a_subsystem_go_on_after_its_removals_failed() -> None:
    log: list[str] = []
    box = Shelf("box", log, Part("old"))
    box.raises = {"remove"}
    message, _ = failed((box, parts("new")))
    assert message == "box: applying: the disk is full"
    assert log == ["+ box new"]


@pytest.mark.parametrize("reason", ["breaks", "remove"])
def test_a_disk_stays_with_its_domain_that_cannot_be_removed(reason: str) -> None:
    disks, domains = Shelf("disk", [], Part("a"), guarded=True), Shelf("domain", [], Part("a"), guarded=True)
    if reason == "breaks":
        domains.breaks = {"a": "a does not stop"}
    else:
        domains.raises = {"remove"}
    failed((disks, {}), (domains, {}))
    assert set(disks.world) == {"a"}


def test_a_domain_is_not_started_whose_disk_fails_in_a_batch_that_raises() -> None:
    log: list[str] = []
    disks, domains = Shelf("disk", log, guarded=True), Shelf("domain", log, Part("b", 1), guarded=True)
    disks.raises = {"apply"}
    failed((disks, parts("a")), (domains, parts("a", "b")))
    assert log == ["~ domain b"]


class Renewed(Shelf):
    """A subsystem that must be read again after earlier changes, and then has a new difference."""

    def undone_by(
        self, earlier: Sequence[Change[Part]], desired: Mapping[str, Part], actual: Reading[Part]
    ) -> Undone:
        if "undone_by" in self.raises:
            raise OSError("cannot tell")
        self.raises = {"read"}
        return Undone(dict.fromkeys(["a", "broken"], Cause.BRIDGE_CLEARED), read_again=True)


def test_a_subsystem_that_cannot_be_read_again_applies_nothing_and_stops_no_other() -> None:
    log: list[str] = []
    message, _ = failed((Renewed("bad", log), parts("a")), (Shelf("good", log), parts("a")))
    assert message == "bad: reading: bad does not answer"
    assert log == ["+ good a"]


class Reread(Shelf):
    """An atomic subsystem that is read again, and finds ``later`` then."""

    atomic = True
    later = Part("stale", on="", group="br-ex")

    def undone_by(
        self, earlier: Sequence[Change[Part]], desired: Mapping[str, Part], actual: Reading[Part]
    ) -> Undone:
        self.world[self.later.name] = self.later
        return Undone(read_again=True)


def test_what_is_found_later_is_not_removed_either_if_a_subsystem_cannot_be_read() -> None:
    log: list[str] = []
    flows, bad = Reread("flow", log), Shelf("bad", log)
    bad.raises = {"read"}
    failed((flows, parts("a")), (bad, {}))
    assert log == ["+ flow a"]


def test_what_is_found_later_is_not_removed_either_if_an_object_that_requires_it_cannot_be_removed() -> None:
    log: list[str] = []
    flows, nics = Reread("flow", log), Shelf("nic", log, Part("eth1", on="br-ex"), below="flow")
    nics.breaks = {"eth1": "eth1 is busy"}
    failed((flows, parts("a")), (nics, {}))
    assert log == ["+ flow a"]
    nics.breaks = {}
    converge([(flows, parts("a")), (nics, {})], verify=False)
    assert log == ["+ flow a", "- nic eth1", "- flow stale"]


def test_a_subsystem_that_cannot_tell_what_is_undone_counts_as_not_read() -> None:
    log: list[str] = []
    bad = Renewed("bad", log)
    bad.raises = {"undone_by"}
    message, _ = failed((Shelf("good", log, Part("old")), parts("a")), (bad, parts("a")))
    assert message == "bad: comparing: cannot tell"
    assert log == ["+ good a"]


def test_a_broken_object_is_not_applied_again_because_it_is_undone() -> None:
    class Undoing(Renewed):
        def undone_by(
            self, earlier: Sequence[Change[Part]], desired: Mapping[str, Part], actual: Reading[Part]
        ) -> Undone:
            return Undone(dict.fromkeys(["a", "eth9"], Cause.DEVICE_RECREATED))

    log: list[str] = []
    box = Undoing("box", log, Part("a"), Part("eth9"))
    box.broken = {"eth9": "eth9: is not there"}
    failed((box, parts("a", "eth9")))
    assert log == ["~ box a"]


def test_a_run_with_failures_begins_once() -> None:
    log: list[str] = []
    bad = Shelf("bad", [])
    bad.raises = {"read"}
    with pytest.raises(ConvergeError):
        converge([(bad, {}), (Shelf("good", log), parts("a"))], begin=lambda: log.append("begin"))
    assert log == ["begin", "+ good a"]

"""Removals of guarded objects: only what the call lists is removed, a protected object never, and a restore keeps what
it may not remove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from headworks.engine.converge import ConflictError, ConvergeError, Result, converge
from headworks.node.subsystem import Applied, Change, Conflict, Note, Reading, Scope, Subsystem


@dataclass(frozen=True)
class Part:
    name: str
    title: str = ""


class Parts(Subsystem[Part]):
    """A subsystem that keeps its parts in ``world``. It needs the images in ``images``."""

    record = Part

    def __init__(self, kind: str, *names: str, guarded: bool = True, protected: Sequence[str] = ()) -> None:
        super().__init__("cloud")
        self.kind = kind  # type: ignore[misc]
        self.guarded = guarded  # type: ignore[misc]
        self.world = {name: Part(name, f"title-of-{name}") for name in names}
        self.protected = frozenset(protected)
        self.withheld: frozenset[str] = frozenset()
        self.conflicts: tuple[Conflict, ...] = ()
        self.broken: frozenset[str] = frozenset()
        self.fails = False
        self.unsafe = False

    def read(self, desired: Mapping[str, Part], scope: Scope | None = None) -> Reading[Part]:
        if self.fails:
            raise OSError("does not answer")
        return Reading(
            dict(self.world),
            frozenset(self.world),
            conflicts=self.conflicts,
            protected=self.protected,
            withheld=self.withheld,
        )

    def same(self, desired: Part, actual: Part) -> bool:
        return desired.name == actual.name

    def unsafe_to_restore(self, changes: Sequence[Change[Part]]) -> Sequence[Note]:
        return [self.note(change.name, "is missing") for change in changes if self.unsafe and change.before is None]

    def apply(self, changes: Sequence[Change[Part]]) -> Applied:
        for change in changes:
            if change.name in self.broken:
                continue
            if change.after is None:
                del self.world[change.name]
            else:
                self.world[change.name] = change.after
        failed = [change.name for change in changes if change.name in self.broken]
        return Applied(failures={name: f"{name} is broken" for name in failed})


def parts(*names: str) -> dict[str, Part]:
    return {name: Part(name) for name in names}


def removed(result: Result) -> list[tuple[str, str]]:
    return [(change["kind"], change["name"]) for change in result.changes if change["verb"] == "remove"]


@pytest.mark.parametrize("check", [True, False])
def test_a_removal_that_is_not_listed_is_refused_before_anything_is_applied(check: bool) -> None:
    link, disk, domain = Parts("link", "tap", guarded=False), Parts("disk", "a", "b"), Parts("domain", "a", "b")
    steps = [(link, {}), (disk, parts("c")), (domain, parts("c"))]
    with pytest.raises(ConflictError) as caught:
        converge(steps, check=check, removable=["a"])
    message = str(caught.value)
    assert "1 guest would be removed" in message
    assert "title-of-b (b: disk and domain)" in message
    assert "title-of-a" not in message
    assert "nothing was changed" in message
    assert set(link.world) == {"tap"}
    assert set(disk.world) == {"a", "b"}
    assert ("disk", "b") in removed(caught.value.result)


def test_a_listed_removal_is_made() -> None:
    disk, domain = Parts("disk", "a"), Parts("domain", "a")
    converge([(disk, {}), (domain, {})], removable=["a"])
    assert not disk.world
    assert not domain.world


def test_without_a_list_everything_but_the_protected_may_be_removed() -> None:
    disk = Parts("disk", "a", "b", protected=["b"])
    converge([(disk, parts("b"))], removable=None)
    assert set(disk.world) == {"b"}
    with pytest.raises(ConflictError, match=r"1 protected guest .*title-of-b .*instance_protected: false"):
        converge([(disk, {})], removable=None)


def test_a_protected_guest_is_not_removed_although_it_is_listed() -> None:
    disk, domain = Parts("disk", "a", protected=["a"]), Parts("domain", "a")
    with pytest.raises(ConflictError, match=r"protected guest would be removed: title-of-a \(a: disk and domain\)"):
        converge([(disk, {}), (domain, {})], removable=["a"])
    assert set(domain.world) == {"a"}


def test_a_message_counts_the_guests_and_does_not_name_all_of_many() -> None:
    with pytest.raises(ConflictError) as caught:
        converge([(Parts("disk", *(f"g{number:02}" for number in range(40))), {})], removable=[])
    message = str(caught.value)
    assert "40 guests would be removed" in message
    assert "and 30 more" in message
    assert "g09" in message
    assert "g10" not in message


def test_a_restore_keeps_what_is_not_listed_and_says_so() -> None:
    disk = Parts("disk", "a", "b")
    result = converge([(disk, {})], removable=["b"], restore=True)
    assert set(disk.world) == {"a"}
    assert removed(result) == [("disk", "b")]
    assert [note.name for note in result.notes] == ["a"]
    assert "title-of-a" in result.notes[0].text


def test_a_restore_leaves_a_guest_alone_whose_disk_is_missing_and_restores_the_others() -> None:
    disk, domain = Parts("disk", "a"), Parts("domain")
    disk.unsafe = True
    result = converge([(disk, parts("a", "b")), (domain, parts("a", "b"))], removable=[], restore=True)
    assert set(disk.world) == {"a"}
    assert set(domain.world) == {"a"}
    assert [(note.name, note.text) for note in result.notes] == [("b", "is missing")]


def test_a_guest_that_is_withheld_is_neither_created_nor_changed_but_can_be_removed() -> None:
    disk, domain = Parts("disk"), Parts("domain", "gone")
    disk.withheld = frozenset({"a", "gone"})
    result = converge([(disk, parts("b")), (domain, parts("a", "b"))], removable=["gone"])
    assert [(change["kind"], change["verb"], change["name"]) for change in result.changes] == [
        ("disk", "add", "b"),
        ("domain", "add", "b"),
        ("domain", "remove", "gone"),
    ]
    assert set(domain.world) == {"b"}


def test_a_conflict_stops_a_run_but_in_a_restore_only_its_guest() -> None:
    disk, domain = Parts("disk", "a", "b"), Parts("domain", "a", "b")
    disk.conflicts = (Conflict("a", "another filesystem"), Conflict("other", "not in this run"))
    steps = [(disk, {}), (domain, {})]
    with pytest.raises(ConflictError, match="another filesystem"):
        converge(steps, removable=["a", "b"])
    result = converge(steps, removable=["a", "b"], restore=True)
    assert set(disk.world) == set(domain.world) == {"a"}
    assert [note.text for note in result.notes] == ["another filesystem"]


def test_a_guest_that_fails_stops_neither_the_others_nor_its_message() -> None:
    disk, domain = Parts("disk"), Parts("domain")
    disk.broken = frozenset({"a"})
    with pytest.raises(ConvergeError, match=r"^disk: applying: a is broken$"):
        converge([(disk, parts("a", "b")), (domain, parts("a", "b"))])
    assert set(disk.world) == set(domain.world) == {"b"}


def test_a_document_is_not_kept_when_its_removals_are_refused_although_another_subsystem_failed() -> None:
    kept: list[str] = []
    broken, disk = Parts("link", guarded=False), Parts("disk", "a")
    broken.fails = True
    with pytest.raises(ConflictError, match="title-of-a"):
        converge([(broken, {}), (disk, {})], removable=[], begin=lambda: kept.append("kept"))
    assert kept == []
    with pytest.raises(ConvergeError, match="does not answer"):
        converge([(broken, {}), (disk, {})], removable=["a"], begin=lambda: kept.append("kept"))
    assert kept == ["kept"]
    assert set(disk.world) == {"a"}


def test_a_guarded_subsystem_that_cannot_be_read_does_not_hide_another(capsys: Any) -> None:
    broken, disk, domain = Parts("link", guarded=False), Parts("disk", "a"), Parts("domain", "a")
    broken.fails = domain.fails = True
    with pytest.raises(ConflictError, match="title-of-a"):
        converge([(broken, {}), (disk, {}), (domain, {})], removable=[])

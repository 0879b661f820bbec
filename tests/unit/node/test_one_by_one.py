"""A batch that fails is applied one by one: only the objects at fault fail, with their own reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from headworks.node import one_by_one
from headworks.node.one_by_one import apply_isolated
from headworks.node.subsystem import Applied, Cause, Change, Reading, Scope, Subsystem


@dataclass(frozen=True)
class Item:
    name: str
    after: str = ""


class Tool(Subsystem[Item]):
    """A subsystem whose tool makes changes in order and stops at the first one that fails, as ``ip -batch`` does."""

    kind = "item"
    record = Item

    def __init__(self, *names: str, bad: Sequence[str] = ()) -> None:
        super().__init__("cloud")
        self.world = {name: Item(name) for name in names}
        self.bad = bad
        self.batches: list[list[str]] = []
        self.causes: list[Cause | None] = []
        self.readable = True

    def read(self, desired: Mapping[str, Item], scope: Scope | None = None) -> Reading[Item]:
        if not self.readable:
            raise OSError("cannot be read")
        return Reading(dict(self.world), frozenset(self.world))

    def apply(self, changes: Sequence[Change[Item]]) -> Applied:
        return apply_isolated(self, changes, self.batch)

    def batch(self, changes: Sequence[Change[Item]]) -> None:
        self.batches.append([change.label for change in changes])
        self.causes += [change.cause for change in changes]
        for change in changes:
            if change.name in self.bad:
                raise OSError("no space")
            if change.after is None:
                del self.world[change.name]
                continue
            if change.after.after not in ("", *self.world):
                raise OSError(f"{change.after.after} is missing")
            if change.name in self.world:
                raise OSError("exists")
            self.world[change.name] = change.after


def add(*items: Item) -> list[Change[Item]]:
    return [Change("item", item.name, None, item) for item in items]


def test_a_batch_that_works_is_applied_once() -> None:
    tool = Tool()
    assert tool.apply(add(Item("a"), Item("b"))) == Applied()
    assert tool.batches == [["+ item a", "+ item b"]]


def test_only_the_object_at_fault_fails_and_nothing_is_applied_twice() -> None:
    tool = Tool("old", bad=["b"])
    changes = [*add(Item("a"), Item("b"), Item("c")), Change("item", "old", Item("old"), None)]
    assert tool.apply(changes).failures == {"b": "b: no space"}
    assert set(tool.world) == {"a", "c"}


def test_an_object_that_needs_a_later_one_of_the_batch_is_tried_again() -> None:
    tool = Tool(bad=["c"])
    assert tool.apply(add(Item("c"), Item("a", after="b"), Item("b"))).failures == {"c": "c: no space"}
    assert set(tool.world) == {"a", "b"}


def test_the_single_changes_keep_their_cause() -> None:
    tool = Tool(bad=["a"])
    (change,) = add(Item("a"))
    tool.apply([Change("item", "a", None, change.after, Cause.DEVICE_RECREATED)])
    assert set(tool.causes) == {Cause.DEVICE_RECREATED}


def test_a_node_that_cannot_be_read_again_fails_with_the_first_reason() -> None:
    tool = Tool(bad=["a"])
    tool.readable = False
    with pytest.raises(OSError, match="no space"):
        tool.apply(add(Item("a"), Item("b")))


def test_an_error_that_is_no_difference_is_not_lost() -> None:
    tool = Tool()

    def done_but_not_confirmed(changes: Sequence[Change[Item]]) -> None:
        tool.batch(changes)
        raise OSError("no answer in time")

    with pytest.raises(OSError, match="no answer in time"):
        apply_isolated(tool, add(Item("a")), done_but_not_confirmed)


def test_after_a_batch_that_took_long_nothing_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_by_one, "SECONDS", 0.0)
    tool = Tool(bad=["a"])
    with pytest.raises(OSError, match="no space"):
        tool.apply(add(Item("a"), Item("b")))
    assert len(tool.batches) == 1

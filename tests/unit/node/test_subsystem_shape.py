"""The shape of a subsystem: records become plain data and back, and desired and actual objects are compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from headworks.node.subsystem import Change, Reading, Subsystem
from headworks.state.codec import decode, encode


@dataclass(frozen=True)
class Part:
    name: str
    size: int = 1


@dataclass(frozen=True)
class Thing:
    name: str
    color: str = "red"
    parts: tuple[Part, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    nested: ClassVar[Mapping[str, type]] = {"parts": Part}


class Things(Subsystem[Thing]):
    kind = "thing"
    record = Thing


FULL = Thing("a", "blue", (Part("x"), Part("y", 2)), {"k": "v"})


def test_a_record_is_the_same_after_json() -> None:
    assert decode(Thing, json.loads(json.dumps(encode(FULL)))) == FULL


def test_fields_with_their_default_are_left_out() -> None:
    assert encode(Thing("a", parts=(Part("x"),))) == {"name": "a", "parts": [{"name": "x"}]}


@pytest.mark.parametrize("data", [{"name": "a", "colour": "blue"}, {"color": "blue"}, {"name": "a", "parts": [{}]}])
def test_an_unknown_or_missing_field_is_refused(data: Mapping[str, object]) -> None:
    with pytest.raises(ValueError, match=r"Thing|Part"):
        decode(Thing, data)


def labels(changes: list[Change[Thing]]) -> list[str]:
    return [change.label for change in changes]


def test_the_changes_are_sorted_and_only_owned_things_are_removed() -> None:
    actual = {"b": Thing("b", "green"), "c": Thing("c"), "ours": Thing("ours"), "foreign": Thing("foreign")}
    desired = {name: Thing(name) for name in ("c", "b", "a")}
    changes = Things("cloud").diff(desired, Reading(actual, frozenset({"b", "c", "ours"})))
    assert labels(changes) == ["+ thing a", "~ thing b", "- thing ours"]
    assert changes[1].before == actual["b"]


def test_with_an_empty_reading_every_desired_thing_is_added() -> None:
    assert labels(Things("cloud").diff({"a": Thing("a")}, Reading())) == ["+ thing a"]

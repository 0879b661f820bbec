"""Namespaces: which names are valid, and which namespaces count as ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from headworks.node import marks
from headworks.node.links.namespaces import NetnsSubsystem
from headworks.node.marks import owned_namespaces
from headworks.node.subsystem import Change, Effect, Reading
from headworks.state.namespaces import Namespace


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "a\nb", "-rf", ".", "x" * 129])
def test_a_name_with_other_characters_or_more_than_128_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="namespace"):
        Namespace(name)


def test_a_namespace_is_ours_only_if_its_marker_holds_the_cloud_s_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "MARKER_DIR", tmp_path)
    for name, content in {"a": "lab\n", "b": "other\n", ".c.new": "lab\n"}.items():
        (tmp_path / name).write_text(content)
    assert owned_namespaces("lab") == {"a"}
    monkeypatch.setattr(marks, "MARKER_DIR", tmp_path / "none")
    assert owned_namespaces("lab") == frozenset()


def test_a_foreign_living_namespace_is_a_conflict_but_a_foreign_leftover_is_replaced() -> None:
    subsystem = NetnsSubsystem("lab")
    desired, leftover = {"a": Namespace("a")}, {"a": Namespace("a", alive=False)}
    (conflict,) = subsystem._conflicts(desired, desired, frozenset())
    assert "a exists and is not ours" in conflict.text
    assert subsystem._conflicts(desired, desired, frozenset({"a"})) == ()
    assert subsystem._conflicts(desired, leftover, frozenset()) == ()
    changes = subsystem.diff(desired, Reading(leftover))
    assert [change.verb for change in changes] == ["change"]


def test_without_an_owner_an_existing_namespace_is_as_desired() -> None:
    assert NetnsSubsystem().diff({"a": Namespace("a")}, Reading({"a": Namespace("a")})) == []


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("qrouter-r1", ["routing through qrouter-r1 stops"]),
        ("qdhcp-net1", ["the DHCP server in qdhcp-net1 stops"]),
        ("other", []),
    ],
)
def test_the_removal_of_a_living_namespace_says_which_service_stops(name: str, texts: list[str]) -> None:
    def foreseen(before: Namespace | None, after: Namespace | None) -> list[str]:
        notes = NetnsSubsystem("lab").foreseen(Change("netns", name, before, after))
        assert all(note.effect is Effect.OUTAGE for note in notes)
        return [note.text for note in notes]

    assert foreseen(Namespace(name), None) == texts
    assert foreseen(Namespace(name, alive=False), None) == []
    assert foreseen(None, Namespace(name)) == []

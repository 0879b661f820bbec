"""Namespaces: names, and what counts as ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from headworks.node import marks
from headworks.node.links.namespaces import NetnsSubsystem
from headworks.node.marks import owned_namespaces
from headworks.node.subsystem import Reading
from headworks.state.namespaces import Namespace


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "a\nb", "-rf", ".", "x" * 129])
def test_a_name_that_could_be_more_than_a_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="namespace"):
        Namespace(name)


def test_only_markers_that_say_so_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "MARKER_DIR", tmp_path)
    for name, content in {"a": "lab\n", "b": "other\n", ".c.new": "lab\n"}.items():
        (tmp_path / name).write_text(content)
    assert owned_namespaces("lab") == {"a"}
    monkeypatch.setattr(marks, "MARKER_DIR", tmp_path / "none")
    assert owned_namespaces("lab") == frozenset()


def test_a_foreign_living_namespace_is_an_error_but_a_foreign_leftover_is_repaired() -> None:
    subsystem = NetnsSubsystem("lab")
    desired, leftover = {"a": Namespace("a")}, {"a": Namespace("a", alive=False)}
    (conflict,) = subsystem._conflicts(desired, desired, frozenset())
    assert "a exists and is not ours" in conflict.text
    assert subsystem._conflicts(desired, desired, frozenset({"a"})) == ()
    assert subsystem._conflicts(desired, leftover, frozenset()) == ()
    changes = subsystem.diff(desired, Reading(leftover))
    assert [one.verb for one in changes] == ["change"]


def test_without_an_owner_a_namespace_that_is_there_is_taken() -> None:
    assert NetnsSubsystem().diff({"a": Namespace("a")}, Reading({"a": Namespace("a")})) == []

"""The door of a whole document: a node refuses a document that is older than the kept one, or of another cloud or
lineage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from distributions import DEBIAN
from headworks.engine import boot, doors
from headworks.engine.applied import applied_serial
from headworks.engine.converge import ConflictError, ConvergeError, Result
from headworks.engine.doors import converge_document, kept_document
from headworks.state.codec import encode
from headworks.state.document import VERSION

Converged = list[dict[str, Any]]


@pytest.fixture
def converged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Converged:
    """The arguments of the walks that the door started. A walk only begins; nothing on this machine is touched."""
    calls: Converged = []

    def converge(_steps: object, *, check: bool, begin: Callable[[], None], **more: Any) -> Result:
        calls.append(more)
        if not check:
            begin()
        return Result()

    monkeypatch.setattr(doors, "STATE_DIR", tmp_path)
    monkeypatch.setattr(doors, "KEPT_DOCUMENT", tmp_path / "node-state.json")
    monkeypatch.setattr(doors, "LOCK_FILE", tmp_path / "run" / "converge.lock")
    monkeypatch.setattr(doors, "converge", converge)
    monkeypatch.setattr(boot, "replace_engine", lambda archive: None)
    return calls


def document(**more: Any) -> dict[str, Any]:
    return {
        "version": VERSION,
        "cloud": "lab",
        "node": "compute1",
        "distribution": encode(DEBIAN),
        "sections": {},
        **more,
    }


def test_a_plan_is_applied_when_the_run_has_ended(
    converged: Converged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, begin: Callable[[], None], **_more: Any) -> Result:
        begin()
        raise ConvergeError("broken", Result())

    first, second = document(lineage="a", serial=1), document(lineage="a", serial=2)
    assert [converge_document(first).kept for _ in range(2)] == [False, True]
    assert converge_document(second, check=True).kept is False
    assert applied_serial("a", tmp_path) == 1
    works = doors.converge
    monkeypatch.setattr(doors, "converge", fail)
    with pytest.raises(ConvergeError):
        converge_document(second)
    assert (kept_document().data or {})["serial"] == 2
    assert applied_serial("a", tmp_path) == 1
    monkeypatch.setattr(doors, "converge", works)
    assert [converge_document(second).kept for _ in range(2)] == [False, True]
    assert (applied_serial("a", tmp_path), applied_serial("b", tmp_path)) == (2, 0)


def test_the_removals_of_the_document_are_what_the_walk_may_remove(converged: Converged) -> None:
    converge_document(document(removals=["a"]))
    converge_document(document())
    converge_document(document(), restore=True)
    converge_document(document(), pause=True)
    assert converged == [
        {"removable": {"a"}, "restore": False, "pause": False},
        {"removable": frozenset(), "restore": False, "pause": False},
        {"removable": frozenset(), "restore": True, "pause": False},
        {"removable": frozenset(), "restore": False, "pause": True},
    ]


REFUSED = {
    "another cloud": ({}, {"cloud": "flat"}, "state.cloud: 'flat'"),
    "another lineage": ({"lineage": "x", "serial": 1}, {"lineage": "y", "serial": 9}, "state.lineage: 'y'"),
    "no lineage": ({"lineage": "x"}, {}, "state.lineage: ''"),
    "an older plan": ({"lineage": "x", "serial": 7}, {"lineage": "x", "serial": 6}, "state.serial: 6"),
}


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("case", REFUSED)
def test_an_older_or_foreign_document_is_refused_and_not_kept(case: str, check: bool, converged: Converged) -> None:
    kept, given, message = REFUSED[case]
    converge_document(document(**kept))
    with pytest.raises(ConflictError, match=message) as caught:
        converge_document(document(**given), check=check)
    assert "cloud_accept_older" in str(caught.value)
    assert len(converged) == 1
    assert doors.kept_document().data == document(**kept)


@pytest.mark.parametrize("case", REFUSED)
def test_an_older_or_foreign_document_is_taken_when_that_is_asked_for(case: str, converged: Converged) -> None:
    kept, given, _ = REFUSED[case]
    converge_document(document(**kept))
    converge_document(document(**given), accept_older=True)
    assert doors.kept_document().data == document(**given)


@pytest.mark.parametrize(
    ("kept", "given"),
    [
        ({}, {"lineage": "x", "serial": 1}),
        ({"lineage": "x", "serial": 7}, {"lineage": "x", "serial": 7}),
        ({"lineage": "x", "serial": 7}, {"lineage": "x", "serial": 8}),
    ],
)
def test_the_same_or_a_newer_plan_is_taken(kept: dict[str, Any], given: dict[str, Any], converged: Converged) -> None:
    converge_document(document(**kept))
    converge_document(document(**given))
    assert json.loads(doors.KEPT_DOCUMENT.read_text()) == document(**given)


def test_the_kept_document_lists_no_removals_that_were_made(converged: Converged) -> None:
    """Otherwise a restore at boot would remove a guest again that came back meanwhile."""
    converge_document(document(removals=["a"], serial=1))
    assert doors.kept_document().data == document(removals=[], serial=1)


def test_a_paused_run_is_not_applied_and_keeps_its_removals(
    converged: Converged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pause(*_: Any, begin: Callable[[], None], **_more: Any) -> Result:
        begin()
        return Result(paused=True, complete=False)

    plan = document(lineage="a", serial=1, removals=["a"])
    works = doors.converge
    monkeypatch.setattr(doors, "converge", pause)
    assert converge_document(plan).kept is False
    assert doors.kept_document().data == plan
    assert applied_serial("a", tmp_path) == 0
    assert converge_document(plan).kept is False
    monkeypatch.setattr(doors, "converge", works)
    converge_document(plan)
    assert applied_serial("a", tmp_path) == 1


def test_a_failed_run_keeps_its_removals(converged: Converged, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_steps: object, *, begin: Callable[[], None], **_more: Any) -> Result:
        begin()
        raise ConvergeError("domain: failed", Result())

    monkeypatch.setattr(doors, "converge", fail)
    with pytest.raises(ConvergeError):
        converge_document(document(removals=["a"]))
    assert doors.kept_document().data == document(removals=["a"])


def test_a_torn_document_is_told_and_its_previous_version_decides(converged: Converged) -> None:
    converge_document(document(lineage="x", serial=1, removals=["a"]))
    converge_document(document(lineage="x", serial=2))
    doors.KEPT_DOCUMENT.write_text('{"version": 2, "cl')
    kept = doors.kept_document()
    assert kept.data == document(lineage="x", serial=1, removals=[])
    with pytest.raises(ConflictError, match="lineage"):
        converge_document(document(lineage="y", serial=3))
    result = converge_document(document(lineage="x", serial=3))
    assert [note.text for note in result.notes] == [kept.damage]
    assert str(doors.KEPT_DOCUMENT) in kept.damage
    assert doors.kept_document().damage == ""


def test_nothing_is_removed_again_from_a_previous_version(converged: Converged) -> None:
    converge_document(document(serial=1))
    doors.KEPT_DOCUMENT.with_name("node-state.json.prev").write_text(json.dumps(document(removals=["a"])))
    doors.KEPT_DOCUMENT.write_text("")
    assert doors.kept_document().data == document(removals=[])


@pytest.mark.parametrize(
    "more", [{"serial": "7"}, {"serial": True}, {"lineage": 1}, {"removals": "a"}, {"allocations": []}, {"digest": 1}]
)
def test_an_optional_key_of_another_type_is_refused(more: dict[str, Any], converged: Converged) -> None:
    with pytest.raises(ValueError, match=f"state.{next(iter(more))}"):
        converge_document(document(**more))
    assert converged == []

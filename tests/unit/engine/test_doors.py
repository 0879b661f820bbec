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
from headworks.engine.converge import ConflictError, Result
from headworks.engine.doors import converge_document
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


def test_the_removals_of_the_document_are_what_the_walk_may_remove(converged: Converged) -> None:
    converge_document(document(removals=["a"]))
    converge_document(document())
    converge_document(document(), restore=True)
    assert converged == [
        {"removable": {"a"}, "restore": False},
        {"removable": frozenset(), "restore": False},
        {"removable": frozenset(), "restore": True},
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
    assert doors.kept_document() == document(**kept)


@pytest.mark.parametrize("case", REFUSED)
def test_an_older_or_foreign_document_is_taken_when_that_is_asked_for(case: str, converged: Converged) -> None:
    kept, given, _ = REFUSED[case]
    converge_document(document(**kept))
    converge_document(document(**given), accept_older=True)
    assert doors.kept_document() == document(**given)


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


@pytest.mark.parametrize(
    "more", [{"serial": "7"}, {"serial": True}, {"lineage": 1}, {"removals": "a"}, {"allocations": []}, {"digest": 1}]
)
def test_an_optional_key_of_another_type_is_refused(more: dict[str, Any], converged: Converged) -> None:
    with pytest.raises(ValueError, match=f"state.{next(iter(more))}"):
        converge_document(document(**more))
    assert converged == []

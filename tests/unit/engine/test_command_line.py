"""The engine's command line: what is restored and repaired, and how failures are told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest
from headworks.engine import bytecode, command_line
from headworks.engine.converge import ConvergeError, Result
from headworks.engine.repair import NETWORK, PARTS
from headworks.node.compute import shutdown
from headworks.node.subsystem import Note
from headworks.system.kept_json import Kept


@pytest.fixture(autouse=True)
def nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "prepare", lambda: None)


def restore(monkeypatch: pytest.MonkeyPatch, failures: int) -> tuple[int, int]:
    """The exit code of ``restore`` when the first ``failures`` runs fail, and the number of runs."""
    runs: list[Mapping[str, Any]] = []

    def converge_document(state: Mapping[str, Any], *, check: bool = False, restore: bool = False) -> Result:
        assert restore
        runs.append(state)
        if len(runs) <= failures:
            raise ConvergeError("link: 1 difference(s) remain", Result())
        return Result()

    monkeypatch.setattr(command_line, "RESTORE_PAUSE_S", 0.0)
    monkeypatch.setattr(command_line, "kept_document", lambda: Kept({"cloud": "lab"}))
    monkeypatch.setattr(command_line, "repair", lambda _: (Kept({}), Result()))
    monkeypatch.setattr(command_line, "converge_document", converge_document)
    return command_line.main(["restore"]), len(runs)


@pytest.mark.parametrize(("failures", "expected"), [(0, (0, 1)), (1, (0, 2)), (2, (0, 3)), (3, (1, 3))])
def test_a_restore_is_repeated_after_a_failure_but_not_for_ever(
    failures: int, expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert restore(monkeypatch, failures) == expected


def failing_repair(sections: Collection[str]) -> tuple[Kept, Result]:
    raise ConvergeError("link: broken", Result())


def test_a_restore_brings_the_networks_back_before_it_looks_at_guests(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[frozenset[str]] = []

    def repair(sections: Collection[str]) -> tuple[Kept, Result]:
        calls.append(frozenset(sections))
        return Kept({}), Result()

    def converge_document(state: Mapping[str, Any], **_: object) -> Result:
        calls.append(frozenset({"all"}))
        return Result()

    monkeypatch.setattr(command_line, "kept_document", lambda: Kept({"cloud": "lab"}))
    monkeypatch.setattr(command_line, "repair", repair)
    monkeypatch.setattr(command_line, "converge_document", converge_document)
    assert command_line.main(["restore"]) == 0
    assert calls == [NETWORK, {"all"}]


def test_networks_that_fail_do_not_keep_the_restore_from_the_guests(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_line, "kept_document", lambda: Kept({"cloud": "lab"}))
    monkeypatch.setattr(command_line, "repair", failing_repair)
    monkeypatch.setattr(command_line, "converge_document", lambda state, **_: Result())
    assert command_line.main(["restore"]) == 0
    assert capsys.readouterr().err == "headworks: networks: link: broken\n"


@pytest.mark.parametrize("part", PARTS)
def test_a_repair_is_a_restore_of_its_sections(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "repair", lambda sections: (Kept({"sections": sections}), Result()))
    assert command_line.main(["repair", part]) == 0
    monkeypatch.setattr(command_line, "repair", failing_repair)
    assert command_line.main(["repair", part]) == 1


@pytest.mark.parametrize("words", [[], ["repair"], ["repair", "guests"], ["restore", "all"], ["apply"], ["drift", "x"]])
def test_other_words_are_refused_with_the_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(words) == 2
    assert "repair switch" in capsys.readouterr().err


def test_a_failure_is_printed_with_the_notes_that_explain_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def converge_document(state: Mapping[str, Any], *, check: bool = False) -> Result:
        raise ConvergeError("instance vm1: left as it is", Result(notes=[Note("disk", "u1", "its disk is missing")]))

    monkeypatch.setattr(command_line, "kept_document", lambda: Kept({}))
    monkeypatch.setattr(command_line, "converge_document", converge_document)
    assert command_line.main(["drift"]) == 1
    assert capsys.readouterr().err == "headworks: instance vm1: left as it is\nnote: its disk is missing\n"


@pytest.mark.parametrize(("damage", "code"), [("", 0), ("node-state.json is empty", 1)])
def test_without_an_intact_document_nothing_is_restored(
    damage: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_line, "kept_document", lambda: Kept(None, damage))
    assert command_line.main(["restore"]) == code
    captured = capsys.readouterr()
    assert damage in captured.err
    assert ("nothing to do" in captured.out) == (code == 0)


@pytest.mark.parametrize("shutting_down", [True, False])
def test_the_guests_are_stopped_only_when_the_node_shuts_down(
    shutting_down: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutdown, "is_shutting_down", lambda: shutting_down)
    monkeypatch.setattr(shutdown, "stop_all_guests", lambda: ["instance-1: destroyed"])
    assert command_line.main(["stop-guests"]) == 0
    assert ("instance-1: destroyed" in capsys.readouterr().out) == shutting_down


def test_drift_lists_what_it_found_although_a_part_of_the_node_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def converge_document(state: Mapping[str, Any], *, check: bool) -> Result:
        assert check
        raise ConvergeError("domain: no answer", Result([{"kind": "link", "name": "tap1", "verb": "add"}]))

    monkeypatch.setattr(command_line, "kept_document", lambda: Kept({"cloud": "lab"}))
    monkeypatch.setattr(command_line, "converge_document", converge_document)
    assert command_line.main(["drift"]) == 1
    assert capsys.readouterr() == ("+ link tap1\n", "headworks: domain: no answer\n")

"""The verdict at the end of a run."""

from __future__ import annotations

from headworks.view.verdict import NodeOutcome, lines


def outcome(*kinds: str) -> NodeOutcome:
    one = NodeOutcome()
    one.changed({"kind": kind} for kind in kinds)
    return one


def test_nodes_as_declared_share_a_line_and_the_rest_have_their_own() -> None:
    nodes = {"n1": outcome(), "n2": outcome("link", "flow", "flow"), "node3": outcome()}
    assert lines(nodes) == [("ok", "as declared: n1, node3"), ("changed", "n2     changed: 1 link, 2 flow")]


def test_a_hundred_nodes_as_declared_are_counted() -> None:
    assert lines({f"n{number}": outcome() for number in range(100)}) == [("ok", "as declared: 100 nodes")]


def test_a_check_run_says_would() -> None:
    assert lines({"n1": outcome("link")}, check=True) == [("changed", "n1  would change: 1 link")]


def test_who_failed_is_named_last_with_the_first_reason_whatever_changed_before() -> None:
    bad, away = outcome("link"), outcome()
    bad.failed("failed", "no space left")
    bad.failed("failed", "something later")
    away.failed("unreachable", "timed out")
    assert lines({"bad": bad, "away": away, "good": outcome()}) == [
        ("ok", "as declared: good"),
        ("failed", "bad   FAILED: no space left"),
        ("unreachable", "away  UNREACHABLE: timed out"),
    ]


def test_notes_are_shown_with_their_node() -> None:
    one = outcome()
    one.notes.append("vm1 waits for a restart")
    assert ("ok", "n1  note: vm1 waits for a restart") in lines({"n1": one})

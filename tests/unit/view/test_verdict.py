"""The verdict at the end of a run."""

from __future__ import annotations

from headworks.view.verdict import NodeOutcome, lines


def outcome(*kinds: str) -> NodeOutcome:
    result = NodeOutcome()
    result.changed({"kind": kind} for kind in kinds)
    return result


def test_unchanged_nodes_share_a_line_and_each_changed_node_has_its_own() -> None:
    nodes = {"n1": outcome(), "n2": outcome("link", "flow", "flow"), "node3": outcome()}
    assert lines(nodes) == [("ok", "as declared: n1, node3"), ("changed", "n2     changed: 1 link, 2 flow")]


def test_a_hundred_unchanged_nodes_are_counted_and_not_listed() -> None:
    assert lines({f"n{number}": outcome() for number in range(100)}) == [("ok", "as declared: 100 nodes")]


def test_the_verdict_of_check_mode_says_would_change() -> None:
    assert lines({"n1": outcome("link")}, check=True) == [("changed", "n1  would change: 1 link")]


def test_failed_nodes_come_last_with_their_first_reason_even_if_they_changed_before() -> None:
    failed, unreachable = outcome("link"), outcome()
    failed.failed("failed", "no space left")
    failed.failed("failed", "a later reason")
    unreachable.failed("unreachable", "timed out")
    assert lines({"bad": failed, "away": unreachable, "good": outcome()}) == [
        ("ok", "as declared: good"),
        ("failed", "bad   FAILED: no space left"),
        ("unreachable", "away  UNREACHABLE: timed out"),
    ]


def test_each_part_of_a_node_that_failed_is_a_line() -> None:
    failed = outcome("link")
    failed.failed("failed", "Converge: dhcp: net2 is failed\ndomain: reading: is libvirtd running?")
    assert lines({"bad": failed}) == [
        ("failed", "bad  FAILED: Converge: dhcp: net2 is failed"),
        ("failed", "             domain: reading: is libvirtd running?"),
    ]


def test_notes_are_shown_with_their_node() -> None:
    node = outcome()
    node.notes.append("vm1 waits for a restart")
    assert ("ok", "n1  note: vm1 waits for a restart") in lines({"n1": node})

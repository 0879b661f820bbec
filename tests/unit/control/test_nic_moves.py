"""A node whose NICs move is called again after each move, and a node that is cut off takes its move back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from headworks.control.nic_moves import CALLS, Answer, NodeOnTheMove, Unanswered, merged

NIC = {"kind": "nic", "name": "eth0", "verb": "add"}
GUEST = {"kind": "domain", "name": "vm1", "verb": "add"}
ARMED = {"kind": "nic", "name": "eth0", "text": "the node takes the move back"}
PAUSED: Answer = {
    "changes": [NIC, GUEST], "diff": ["d-nic", "d-guest"], "notes": [ARMED["text"]], "changed": True,
    "paused": True, "confirmations": [ARMED],
}  # fmt: skip
DONE: Answer = {"changes": [GUEST], "diff": ["d-guest"], "notes": ["a guest"], "changed": True, "confirmations": []}
CONFIRMED = {"nics": ["eth0"], "left": [], "undone": [], "notes": [], "failures": {}}
SILENT = "silent"


class Node:
    """A node that gives the answers of a list. It keeps what was called, and its clock runs by two seconds a call."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[str] = []
        self.now = 0.0

    def call(self, name: str) -> Callable[[], Answer]:
        def answer() -> Answer:
            self.calls.append(name)
            self.now += 2
            given = self.answers.pop(0)
            if given == SILENT:
                raise Unanswered("no route to host")
            return dict(given)

        return answer

    def run(self, moves: bool = True, seconds: float = 60) -> Answer:
        def sleep(seconds: float) -> None:
            self.now += seconds

        node = NodeOnTheMove(
            self.call("converge"), self.call("confirm"), lambda: self.calls.append("reconnect"), seconds,
            clock=lambda: self.now, sleep=sleep,
        )  # fmt: skip
        return node.run(moves)


def test_a_node_whose_nics_stay_is_called_once() -> None:
    node = Node(DONE)
    assert node.run(moves=False) == DONE
    assert node.calls == ["converge"]


def test_a_move_is_confirmed_over_a_new_connection_before_the_rest_of_the_run() -> None:
    node = Node(PAUSED, CONFIRMED, DONE)
    result = node.run()
    assert node.calls == ["converge", "reconnect", "confirm", "converge"]
    assert result["changes"] == [NIC, GUEST]
    assert result["diff"] == ["d-nic", "d-guest"]
    assert result["notes"] == ["nic eth0: its move is confirmed; the node can be reached", "a guest"]
    assert not result.get("failed")


def test_a_changed_configuration_of_the_system_is_confirmed_over_another_new_connection() -> None:
    first = {**CONFIRMED, "nics": [], "left": ["eth0"], "notes": ["networkd gives br-ex the addresses"]}
    node = Node(PAUSED, first, CONFIRMED, DONE)
    result = node.run()
    assert node.calls == ["converge", "reconnect", "confirm", "reconnect", "confirm", "converge"]
    assert "networkd gives br-ex the addresses" in result["notes"]


def test_a_failure_after_the_move_leaves_the_move_confirmed() -> None:
    node = Node(PAUSED, CONFIRMED, {**DONE, "failed": True, "msg": "guest vm1: no memory"})
    result = node.run()
    assert (result["failed"], result["msg"]) == (True, "guest vm1: no memory")
    assert "nic eth0: its move is confirmed; the node can be reached" in result["notes"]


def test_a_failure_before_the_move_does_not_outlast_the_second_call() -> None:
    node = Node({**PAUSED, "failed": True, "msg": "a link"}, CONFIRMED, DONE)
    assert not node.run().get("failed")


def test_a_node_that_was_cut_off_is_waited_for_and_the_run_fails_by_the_nic() -> None:
    node = Node(PAUSED, *[SILENT] * 10, {**CONFIRMED, "nics": [], "undone": ["eth0"]})
    result = node.run()
    assert result["failed"]
    assert "nic eth0: the node could not be reached after the move, so it took the move back" in result["msg"]
    assert node.calls[-1] == "confirm"


def test_a_connection_that_is_lost_while_a_nic_moves_is_opened_again() -> None:
    node = Node(SILENT, CONFIRMED, DONE)
    assert node.run()["changes"] == [GUEST]
    assert node.calls == ["converge", "reconnect", "confirm", "converge"]


def test_a_connection_that_a_later_move_loses_is_opened_again() -> None:
    """A NIC has left its bridge, and the bridge that it enters cuts the node off."""
    node = Node(PAUSED, CONFIRMED, SILENT, SILENT, {**CONFIRMED, "nics": [], "undone": ["eth0"]})
    result = node.run()
    assert "nic eth0: the node could not be reached after the move" in result["msg"]
    assert result["changes"] == [NIC, GUEST]
    node = Node(PAUSED, CONFIRMED, SILENT, CONFIRMED, DONE)
    assert not node.run().get("failed")


def test_a_run_whose_moves_never_end_fails_with_the_reason() -> None:
    failure = {"kind": "nic", "name": "eth0", "text": "nic eth0: no space left"}
    result = Node(*[{**PAUSED, "failures": [failure]}, CONFIRMED] * CALLS).run()
    assert result["failed"]
    assert result["msg"].endswith("this run ends before all is done: nic eth0: no space left")
    assert Node(*[PAUSED, CONFIRMED] * CALLS).run()["failed"]
    assert Node(*[SILENT, CONFIRMED] * CALLS).run()["failed"]


def test_a_lost_connection_without_a_move_is_an_unreachable_node() -> None:
    with pytest.raises(Unanswered, match="no route to host"):
        Node(SILENT).run(moves=False)


def test_a_node_that_does_not_come_back_is_given_up_after_its_rollback_was_due() -> None:
    node = Node(PAUSED, *[SILENT] * 1000)
    with pytest.raises(Unanswered, match=r"does not answer since one of its NICs moved.*docs/real-machines\.md"):
        node.run(seconds=60)
    assert 150 <= node.now < 160


def test_a_nic_leaves_its_bridge_and_enters_another_with_a_confirmation_for_each() -> None:
    node = Node(PAUSED, CONFIRMED, PAUSED, CONFIRMED, DONE)
    node.run()
    assert node.calls.count("converge") == 3


def test_a_configuration_that_cannot_be_written_fails_the_run_after_all_is_done() -> None:
    node = Node(PAUSED, {**CONFIRMED, "failures": {"eth0": "nic eth0: read-only file system"}}, DONE)
    result = node.run()
    assert (result["failed"], result["msg"]) == (True, "nic eth0: read-only file system")
    assert result["changes"] == [NIC, GUEST]


def test_a_run_without_a_pause_is_confirmed_at_its_end() -> None:
    node = Node({**PAUSED, "paused": False, "failed": True, "msg": "x"}, CONFIRMED)
    result = node.run()
    assert node.calls == ["converge", "reconnect", "confirm"]
    assert (result["failed"], result["msg"]) == (True, "x")


def test_an_object_that_the_second_call_completes_is_one_change() -> None:
    begun, completed = ({"kind": "l3", "name": "qrouter-1", "verb": verb} for verb in ("add", "change"))
    assert merged({**PAUSED, "changes": [NIC, begun]}, {**DONE, "changes": [completed]})["changes"] == [NIC, begun]


def test_a_change_that_only_the_second_call_finds_is_in_the_result_with_its_difference() -> None:
    port = {"kind": "ovs_port", "name": "tap1", "verb": "change"}
    result = merged(PAUSED, {**DONE, "changes": [GUEST, port], "diff": ["d-guest", "d-port"]})
    assert result["changes"] == [NIC, GUEST, port]
    assert result["diff"] == ["d-nic", "d-guest", "d-port"]

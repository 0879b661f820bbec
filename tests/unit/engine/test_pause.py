"""A walk pauses after a change that must be confirmed; the next walk completes it."""

from __future__ import annotations

from headworks.engine.converge import converge
from shelves import Part, Shelf, failed, labels, parts


def paused_world(log: list[str], *nics: Part) -> list[tuple[Shelf, dict[str, Part]]]:
    shelves = [Shelf("flow", log), Shelf("nic", log, *nics), Shelf("guest", log, Part("old"))]
    shelves[1].confirms = {"eth1"}
    return [(shelves[0], parts("f")), (shelves[1], parts("eth1")), (shelves[2], parts("vm"))]


def test_a_walk_pauses_after_a_change_that_must_be_confirmed_and_a_second_one_completes_it() -> None:
    log: list[str] = []
    steps = paused_world(log)
    result = converge(steps, pause=True)
    assert log == ["- guest old", "+ flow f", "+ nic eth1"]
    assert (result.paused, result.complete) == (True, False)
    assert [confirmation.name for confirmation in result.confirmations] == ["eth1"]
    assert labels(result) == ["add flow f", "add nic eth1", "add guest vm", "remove guest old"]
    assert [shelf.verified for shelf, _ in steps] == [["f"], ["eth1"], ["old"]]
    again = converge(steps, pause=True)
    assert (again.paused, again.complete) == (False, True)
    assert log[3:] == ["+ guest vm"]


def test_a_walk_pauses_among_its_removals() -> None:
    log: list[str] = []
    steps = paused_world(log, Part("eth1"))
    result = converge([(steps[0][0], {}), (steps[1][0], {}), (steps[2][0], {})], pause=True)
    assert log == ["- guest old", "- nic eth1"]
    assert result.paused


def test_a_walk_without_pause_goes_on() -> None:
    log: list[str] = []
    result = converge(paused_world(log))
    assert log[-1] == "+ guest vm"
    assert not result.paused


def test_a_failure_before_a_pause_is_told_with_it_and_again_by_the_next_walk() -> None:
    steps = paused_world([])
    steps[0][0].breaks = {"f": "f is refused"}
    result = converge(steps, pause=True)
    assert result.paused
    assert [failure.text for failure in result.failures] == ["f is refused"]
    message, _ = failed(*steps, pause=True)
    assert message == "flow: applying: f is refused"

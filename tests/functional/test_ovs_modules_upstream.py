"""Modules ovs_bridge and ovs_port beside openvswitch_bridge and openvswitch_port of the collection
openvswitch.openvswitch, whose options they promise to have with the same meaning.

Each case runs our module on one set of bridges, and the commands of the collection on a second set. Then both sets must
be equal. The cases are in ``ovs_upstream_cases.py``. What differs on purpose is in ``test_ovs_modules_refusals.py``.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest
from headworks.engine.converge import ConvergeError, converge
from headworks.modules.ovs.options import SwitchRequest
from ovs_twins import Side, prepared
from ovs_upstream_cases import BRIDGES, PORTS, SETS, SMALL_STAGE, STAGE, Case


@pytest.fixture
def sides(unique: str) -> Iterator[tuple[Side, Side]]:
    with prepared(STAGE, f"{unique}a", f"{unique}b") as (ours, theirs):
        yield ours, theirs


def check_case(name: str, case: Case, sides: tuple[Side, Side]) -> None:
    ours, theirs = sides
    errors = [theirs.vsctl(command) for command in case.commands]
    assert any(errors) == bool(case.refused), errors
    promised = ours.module(name, case.options, check=True)
    answer = ours.module(name, case.options)
    for one in (promised, answer):
        assert bool(one.get("failed")) == bool(case.refused), one.get("msg")
        assert ours.named(case.refused) in one.get("msg", "")
        assert one.get("changed", False) == (bool(case.commands) and not case.refused)
    assert any(ours.named(case.note) in note for note in [*answer.get("notes", []), ""])
    assert case.note or not answer.get("notes")
    assert ours.rows() == theirs.rows()
    if not case.refused:
        assert not ours.module(name, case.options)["changed"], "a second run"


@pytest.mark.parametrize("case", BRIDGES, ids=lambda case: case.says)
def test_a_bridge_becomes_what_the_collection_makes_of_it(case: Case, sides: tuple[Side, Side]) -> None:
    check_case("ovs_bridge", case, sides)


@pytest.mark.parametrize("case", PORTS, ids=lambda case: case.says)
def test_a_port_becomes_what_the_collection_makes_of_it(case: Case, sides: tuple[Side, Side]) -> None:
    check_case("ovs_port", case, sides)


def run_set(side: Side, text: str, check: bool = False) -> bool:
    """Whether the option ``set`` with this text changes the bridge or port that it names."""
    request = SwitchRequest("ovs_port", [side.named(name) for name in ("@b0", "@p")])
    item = {"state": "present", "bridge": side.named("@b0"), "port": side.named("@p"), "set": side.named(text)}
    add = request.add_bridge if text.lower().startswith("br") else request.add_port
    add(item)
    return converge([(subsystem, wanted) for subsystem, wanted, _ in request.steps()], check=check).changed


@pytest.mark.parametrize("text", SETS.strip().splitlines())
def test_set_does_what_ovs_vsctl_does(text: str, unique: str) -> None:
    with prepared(SMALL_STAGE, f"{unique}a", f"{unique}b") as (ours, theirs):
        before = ours.rows()
        refused = theirs.vsctl(f"set {text}")
        if not refused:
            assert run_set(ours, text, check=True) == (theirs.rows() != before)
            run_set(ours, text)
            assert ours.rows() == theirs.rows()
            assert not run_set(ours, text)
        else:
            with pytest.raises((ValueError, ConvergeError)) as raised:
                run_set(ours, text)
            assert shlex.split(text)[-1].split("=")[0] in str(raised.value).replace(ours.prefix, "@")
            if "no row" not in refused:
                with pytest.raises(ValueError, match="set"):
                    run_set(ours, text, check=True)
            assert ours.rows() == before

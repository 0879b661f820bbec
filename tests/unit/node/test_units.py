"""systemd units in batches: what is asked of systemctl, and what is made of its answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from headworks.node import units
from headworks.node.process import ToolError
from headworks.node.units import UnitState

SHOWN = """\
Id=headworks-dhcp@a.service
MainPID=4711
ActiveState=active
SubState=running
NeedDaemonReload=no

MainPID=0
Id=headworks-dhcp@b.service
ActiveState=activating
SubState=auto-restart
NeedDaemonReload=yes
"""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """What systemctl is asked; it answers with nothing."""
    made: list[list[str]] = []

    def run(args: Sequence[str], **more: object) -> str:
        made.append(list(args))
        return ""

    monkeypatch.setattr(units, "run", run)
    monkeypatch.setattr(units, "available", lambda: True)
    monkeypatch.setattr(units, "UNIT_DIR", tmp_path / "system")
    return made


def test_the_states_of_all_units_come_from_one_answer() -> None:
    assert units.parse_states(SHOWN) == {
        "headworks-dhcp@a.service": UnitState("active", "running", 4711),
        "headworks-dhcp@b.service": UnitState("activating", "auto-restart", 0, outdated=True),
    }
    assert units.parse_states("") == {}


def test_only_a_unit_that_serves_is_running() -> None:
    assert UnitState("active", "running", 1).running
    assert UnitState("reloading", "reload", 1).running
    for state in (UnitState("activating", "auto-restart"), UnitState("failed", "failed"), units.ABSENT):
        assert not state.running


def test_a_state_is_told_in_systemds_words() -> None:
    assert UnitState("activating", "auto-restart").text == "activating (auto-restart)"
    assert UnitState("failed", "failed").text == "failed"


def test_a_node_without_systemd_has_no_units(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(units, "BOOTED", tmp_path / "none")
    assert units.read_states("headworks-*") == {}


def test_units_and_instances_are_named_both_ways() -> None:
    assert units.unit_name("headworks-dhcp", "0f-1.x_y") == "headworks-dhcp@0f-1.x_y.service"
    assert units.instance_name("headworks-dhcp@0f-1.x_y.service") == "0f-1.x_y"


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "-x", ".x", "x\n", "x" * 129, "a*"])
def test_what_is_more_than_a_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        units.unit_name("headworks-dhcp", name)


def test_each_verb_is_one_call_for_all_units_and_none_for_no_unit(calls: list[list[str]]) -> None:
    units.start(["b", "a"])
    units.reload({"c"})
    units.restart(["d"])
    for act in (units.start, units.reload, units.restart, units.stop):
        act([])
    assert calls == [["systemctl", "start", "a", "b"], ["systemctl", "reload", "c"], ["systemctl", "restart", "d"]]


def test_stopping_forgets_failures_too(calls: list[list[str]]) -> None:
    units.stop(["b", "a"])
    assert calls == [["systemctl", "stop", "a", "b"], ["systemctl", "reset-failed", "a", "b"]]


def test_systemd_reads_everything_again_only_when_a_known_unit_file_changed(calls: list[list[str]]) -> None:
    units.install({"x@.service": "one"})
    units.install({"x@.service": "one"})
    assert calls == []
    assert units.installed({"x@.service": "one"})
    units.install({"x@.service": "two"})
    assert calls == [["systemctl", "daemon-reload"]]
    units.install({"x@.service": "two"}, outdated=True)
    assert len(calls) == 2
    units.uninstall(["x@.service", "not-there.service"])
    assert not units.installed({"x@.service": "two"})


def test_a_failure_is_told_with_what_the_unit_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(args: Sequence[str], **more: object) -> str:
        if args[1] == "start":
            raise ToolError("systemctl start: exit 1: Job failed")
        if args[1] == "show":
            return "Id=x@1.service\nActiveState=failed\nSubState=failed\nMainPID=0\n"
        return "dnsmasq: bad option at line 3\nfailed to start\n"

    monkeypatch.setattr(units, "run", run)
    monkeypatch.setattr(units, "available", lambda: True)
    with pytest.raises(ToolError, match=r"x@1\.service is failed: dnsmasq: bad option at line 3 / failed to start"):
        units.start(["x@1.service"])


def test_a_process_that_is_gone_is_in_no_namespace() -> None:
    assert not units.in_namespace(UnitState("inactive"), "")
    assert not units.in_namespace(UnitState("active", "running", 1), "no-such-namespace")

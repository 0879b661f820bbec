"""systemd units in batches: what is asked of systemctl, and what is made of its answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from headworks.system import systemd
from headworks.system.process import ToolError
from headworks.system.systemd import UnitState

LISTED = """\
headworks-dhcp@a.service  loaded    active     running      DHCP and DNS of network a
headworks-dhcp@b.service  loaded    activating auto-restart DHCP and DNS of network b
headworks-dhcp@c.service  not-found failed     failed       headworks-dhcp@c.service
"""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """What systemctl is asked; it answers with nothing."""
    made: list[list[str]] = []

    def run(args: Sequence[str], **more: object) -> str:
        made.append(list(args))
        return ""

    monkeypatch.setattr(systemd, "run", run)
    monkeypatch.setattr(systemd, "available", lambda: True)
    monkeypatch.setattr(systemd, "UNIT_DIR", tmp_path / "system")
    monkeypatch.setattr(systemd, "RUNTIME_DIR", tmp_path / "runtime")
    monkeypatch.setattr(systemd, "UNREAD", tmp_path / "run" / "unread")
    return made


def test_the_states_of_all_units_come_from_one_answer() -> None:
    assert systemd.parse_states(LISTED) == {
        "headworks-dhcp@a.service": UnitState("active", "running"),
        "headworks-dhcp@b.service": UnitState("activating", "auto-restart"),
        "headworks-dhcp@c.service": UnitState("failed", "failed"),
    }
    assert systemd.parse_states("") == {}


def test_only_a_unit_that_serves_is_running() -> None:
    assert UnitState("active", "running").running
    assert UnitState("reloading", "reload").running
    for state in (UnitState("activating", "auto-restart"), UnitState("failed", "failed"), systemd.ABSENT):
        assert not state.running


def test_a_state_is_told_in_systemds_words() -> None:
    assert UnitState("activating", "auto-restart").text == "activating (auto-restart)"
    assert UnitState("failed", "failed").text == "failed"


def test_a_node_without_systemd_has_no_units(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(systemd, "BOOTED", tmp_path / "none")
    assert systemd.read_states("headworks-*") == {}


def test_units_and_instances_are_named_both_ways() -> None:
    assert systemd.unit_name("headworks-dhcp", "0f-1.x_y") == "headworks-dhcp@0f-1.x_y.service"
    assert systemd.instance_name("headworks-dhcp@0f-1.x_y.service") == "0f-1.x_y"


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "-x", ".x", "x\n", "x" * 129, "a*"])
def test_what_is_more_than_a_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        systemd.unit_name("headworks-dhcp", name)


def test_each_verb_is_one_call_for_all_units_and_none_for_no_unit(calls: list[list[str]]) -> None:
    systemd.start(["b", "a"])
    systemd.reload({"c"})
    systemd.restart(["d"])
    for act in (systemd.start, systemd.reload, systemd.restart, systemd.stop):
        act([])
    assert calls == [["systemctl", "start", "a", "b"], ["systemctl", "reload", "c"], ["systemctl", "restart", "d"]]


def test_stopping_forgets_failures_too(calls: list[list[str]]) -> None:
    systemd.stop(["b", "a"])
    assert calls == [["systemctl", "stop", "a", "b"], ["systemctl", "reset-failed", "a", "b"]]


def test_systemd_reads_everything_again_only_when_a_known_unit_file_changed(calls: list[list[str]]) -> None:
    systemd.install({"x@.service": "one"})
    systemd.install({"x@.service": "one"})
    assert calls == []
    assert systemd.installed({"x@.service": "one"})
    systemd.install({"x@.service": "two"})
    assert calls == [["systemctl", "daemon-reload"]]
    assert systemd.installed({"x@.service": "two"})
    systemd.uninstall(["x@.service", "not-there.service"])
    assert not systemd.installed({"x@.service": "two"})


def test_a_runtime_unit_is_not_overridden_by_one_of_the_same_name(calls: list[list[str]]) -> None:
    systemd.install({"x@.service": "older, in /etc"})
    assert not systemd.installed({"x@.service": "new"}, runtime=True)
    systemd.install({"x@.service": "new"}, runtime=True)
    assert systemd.installed({"x@.service": "new"}, runtime=True)
    assert not (systemd.UNIT_DIR / "x@.service").exists()
    assert calls == [["systemctl", "daemon-reload"]]
    systemd.uninstall(["x@.service"], runtime=True)
    assert not (systemd.RUNTIME_DIR / "x@.service").exists()


def test_a_run_killed_before_systemd_read_a_changed_unit_file_is_noticed(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    systemd.install({"x@.service": "one"})
    with monkeypatch.context() as patch:
        patch.setattr(systemd, "run", lambda args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            systemd.install({"x@.service": "two"})
    assert not systemd.installed({"x@.service": "two"})
    systemd.install({"x@.service": "two"})
    assert calls == [["systemctl", "daemon-reload"]]
    assert systemd.installed({"x@.service": "two"})


def test_a_failure_is_told_with_what_the_unit_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(args: Sequence[str], **more: object) -> str:
        if args[1] == "start":
            raise ToolError("systemctl start: exit 1: Job failed")
        if args[1] == "list-units":
            return "x@1.service loaded failed failed Some daemon\n"
        return "dnsmasq: bad option at line 3\nfailed to start\n"

    monkeypatch.setattr(systemd, "run", run)
    monkeypatch.setattr(systemd, "available", lambda: True)
    with pytest.raises(ToolError, match=r"x@1\.service is failed: dnsmasq: bad option at line 3 / failed to start"):
        systemd.start(["x@1.service"])


def test_a_process_is_in_its_own_namespace_and_in_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "NETNS_DIR", tmp_path)
    (tmp_path / "mine").symlink_to("/proc/self/ns/net")
    (tmp_path / "other").touch()
    mine = f"{os.getpid()}\n"
    assert systemd.in_namespace(mine, "mine")
    assert not systemd.in_namespace(mine, "other")
    assert not systemd.in_namespace(mine, "none")


@pytest.mark.parametrize("pid", ["", "x", "999999999", "../self"])
def test_a_process_that_is_gone_is_in_no_namespace(pid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "NETNS_DIR", tmp_path)
    (tmp_path / "mine").symlink_to("/proc/self/ns/net")
    assert not systemd.in_namespace(pid, "mine")

"""systemd units in batches: the calls of systemctl, and how its answers are parsed."""

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
    """The calls of systemctl that a test makes. Their output is empty."""
    recorded: list[list[str]] = []

    def run(args: Sequence[str], **more: object) -> str:
        recorded.append(list(args))
        return ""

    monkeypatch.setattr(systemd, "run", run)
    monkeypatch.setattr(systemd, "available", lambda: True)
    monkeypatch.setattr(systemd, "UNIT_DIR", tmp_path / "system")
    monkeypatch.setattr(systemd, "RUNTIME_DIR", tmp_path / "runtime")
    monkeypatch.setattr(systemd, "UNREAD", tmp_path / "run" / "unread")
    return recorded


def test_one_answer_gives_the_states_of_all_units() -> None:
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


def test_the_text_of_a_state_has_systemds_words() -> None:
    assert UnitState("activating", "auto-restart").text == "activating (auto-restart)"
    assert UnitState("failed", "failed").text == "failed"


def test_a_node_without_systemd_has_no_units(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(systemd, "BOOTED", tmp_path / "none")
    assert systemd.read_states("headworks-*") == {}


def test_a_unit_name_is_made_from_an_instance_and_an_instance_from_a_unit_name() -> None:
    assert systemd.unit_name("headworks-dhcp", "0f-1.x_y") == "headworks-dhcp@0f-1.x_y.service"
    assert systemd.instance_name("headworks-dhcp@0f-1.x_y.service") == "0f-1.x_y"


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "-x", ".x", "x\n", "x" * 129, "a*"])
def test_an_instance_that_is_not_a_plain_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"must be 1 to 128 letters, digits and _ \. -, first a letter"):
        systemd.unit_name("headworks-dhcp", name)


def test_each_verb_makes_one_call_for_all_units_and_no_call_without_units(calls: list[list[str]]) -> None:
    systemd.start(["b", "a"])
    systemd.reload({"c"})
    systemd.restart(["d"])
    for act in (systemd.start, systemd.reload, systemd.restart, systemd.stop):
        act([])
    assert calls == [["systemctl", "start", "a", "b"], ["systemctl", "reload", "c"], ["systemctl", "restart", "d"]]


def test_stopping_also_resets_failed_states(calls: list[list[str]]) -> None:
    systemd.stop(["b", "a"])
    assert calls == [["systemctl", "stop", "a", "b"], ["systemctl", "reset-failed", "a", "b"]]


def test_daemon_reload_runs_only_when_an_existing_unit_file_changed(calls: list[list[str]]) -> None:
    systemd.install({"x@.service": "one"})
    systemd.install({"x@.service": "one"})
    assert calls == []
    assert systemd.installed({"x@.service": "one"})
    systemd.install({"x@.service": "two"})
    assert calls == [["systemctl", "daemon-reload"]]
    assert systemd.installed({"x@.service": "two"})
    systemd.uninstall(["x@.service", "not-there.service"])
    assert not systemd.installed({"x@.service": "two"})


def test_installing_a_runtime_unit_deletes_the_unit_file_that_would_override_it(calls: list[list[str]]) -> None:
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


def test_the_error_of_a_failed_unit_has_its_last_log_lines(monkeypatch: pytest.MonkeyPatch) -> None:
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

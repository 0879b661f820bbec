"""Packages and services, with stand-ins for dpkg, apt and systemctl."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from headworks.node.host import software
from headworks.node.host.software import Package
from headworks.system.process import ToolError


class Machine:
    """A Debian machine in memory: what is installed, which units exist, and what was called."""

    def __init__(self) -> None:
        self.installed = {"bash"}
        self.units = {"ssh.service"}
        self.calls: list[str] = []
        self.stale = False

    def run(self, args: Sequence[str], **_: object) -> str:
        line = " ".join(args)
        if args[0] == "dpkg-query":
            return "".join(f"{name} installed\n" for name in args[4:] if name in self.installed)
        if args[:2] == ["systemctl", "show"]:
            names = args[args.index("--") + 1 :]
            states = {True: "loaded", False: "not-found"}
            return "\n".join(
                f"LoadState={states[name in self.units]}\nActiveState=active\nUnitFileState=enabled\n" for name in names
            )
        self.calls.append(line)
        if " update" in line:
            self.stale = False
        if " install " in line:
            if self.stale:
                raise ToolError("404 Not Found")
            self.installed.update(args[args.index("--") + 1 :])
        return ""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    one = Machine()
    monkeypatch.setattr(software, "run", one.run)
    monkeypatch.setattr(software, "has_tool", lambda name: True)
    monkeypatch.setattr(software, "APT_LISTS", tmp_path)
    monkeypatch.setattr(software, "LIBVIRT_NETWORKS", ())
    return one


def test_what_is_missing_is_installed_in_one_transaction(machine: Machine) -> None:
    result = software.ensure([Package("bash"), Package("b"), Package("a")], [])
    assert [change["name"] for change in result.changes] == ["a", "b"]
    assert [call.split(" -- ")[1] for call in machine.calls if " install " in call] == ["a b"]


def test_units_are_masked_before_their_package_comes_and_only_if_nobody_has_them(machine: Machine) -> None:
    software.ensure([Package("web", ("web.service", "ssh.service"))], [])
    mask = machine.calls.index("systemctl mask web.service")
    assert mask < next(index for index, call in enumerate(machine.calls) if " install " in call)
    assert not [call for call in machine.calls if "ssh.service" in call]


def test_a_package_that_is_there_keeps_its_units(machine: Machine) -> None:
    software.ensure([Package("bash", ("bash.service",))], [])
    assert machine.calls == []


def test_lists_are_fetched_when_there_are_none_or_they_prove_old(machine: Machine, tmp_path: Path) -> None:
    software.ensure([Package("a")], [])
    assert [" update" in call for call in machine.calls] == [False, True, False]
    machine.calls.clear()
    (tmp_path / "mirror_Packages").touch()
    software.ensure([Package("b")], [])
    assert not [call for call in machine.calls if " update" in call]
    machine.calls.clear()
    machine.stale = True
    software.ensure([Package("c")], [])
    assert [call.split()[-1] for call in machine.calls if "apt-get" in call] == ["c", "update", "c"]


def test_what_a_killed_run_left_half_configured_is_completed_first(machine: Machine) -> None:
    software.ensure([Package("a")], [])
    assert machine.calls[0] == "dpkg --configure -a"


def test_check_mode_calls_nothing_that_changes(machine: Machine) -> None:
    result = software.ensure([Package("a", ("a.service",))], ["new.service"], check=True)
    assert [(change["kind"], change["name"], change["verb"]) for change in result.changes] == [
        ("package", "a", "add"),
        ("service", "new.service", "add"),
    ]
    assert machine.calls == []


def test_a_survey_tells_what_is_lacking(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"")
    found = software.survey(["bash", "a"], ["ssh.service", "x.service"], [], [f"{tmp_path}/there", f"{tmp_path}/not"])
    assert found == {
        "packages_missing": ["a"],
        "services_down": ["x.service"],
        "libvirt_networks_present": [],
        "files": {
            f"{tmp_path}/there": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            f"{tmp_path}/not": "",
        },
    }

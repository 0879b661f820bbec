"""What a node lacks, with a simulated package tool and a simulated systemctl."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from headworks.node.host import libvirt_networks, survey
from headworks.node.host.survey import Unit

QUERY = ["ask-packages", "--show"]


class Machine:
    """A simulated machine: its packages, its units, and the tools that it has."""

    def __init__(self) -> None:
        self.packages = {"bash": "installed", "half": "unpacked"}
        self.units = {"ssh.service": ("active", "enabled"), "getty.service": ("active", "static")}
        self.tools = {"ask-packages", "systemctl"}

    def run(self, args: Sequence[str], *, ok: Sequence[int] = (0,)) -> str:
        if list(args[:2]) == QUERY:
            assert 1 in ok, "a package tool fails for names that it does not know"
            lines = [f"{name} {self.packages[name]}\n" for name in args[2:] if name in self.packages]
            return "".join(lines) + "".join(f"package {name} is not installed\n" for name in args[2:])
        return "\n".join(self.show(name) for name in args[args.index("--") + 1 :])

    def show(self, name: str) -> str:
        active, enabled = self.units.get(name, ("inactive", ""))
        known = "loaded" if name in self.units else "not-found"
        return f"LoadState={known}\nActiveState={active}\nUnitFileState={enabled}\n"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(survey, "run", machine.run)
    monkeypatch.setattr(survey, "has_tool", lambda name: name in machine.tools)
    return machine


def test_a_package_is_missing_unless_the_query_prints_that_it_is_installed(machine: Machine) -> None:
    assert survey.packages_missing(["bash", "b", "a", "b"], QUERY) == ["a", "b"]


def test_a_package_whose_installation_was_interrupted_is_missing(machine: Machine) -> None:
    assert survey.packages_missing(["bash", "half"], QUERY) == ["half"]


def test_all_packages_are_missing_on_a_node_without_the_tool(machine: Machine) -> None:
    machine.tools.remove("ask-packages")
    assert survey.packages_missing(["bash"], QUERY) == ["bash"]


def test_units_are_read_in_one_call(machine: Machine) -> None:
    machine.units["web.service"] = ("failed", "disabled")
    assert survey.read_units(["ssh.service", "getty.service", "web.service", "x.service"]) == {
        "ssh.service": Unit(known=True, active=True, enabled=True),
        "getty.service": Unit(known=True, active=True, enabled=True),
        "web.service": Unit(known=True),
        "x.service": Unit(known=False),
    }


def test_a_node_without_systemd_has_no_units(machine: Machine) -> None:
    machine.tools.remove("systemctl")
    assert survey.read_units(["ssh.service"]) == {"ssh.service": Unit(known=False)}


def test_a_survey_returns_what_the_node_lacks(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "stock.xml").touch()
    monkeypatch.setattr(libvirt_networks, "DEFINITIONS", (tmp_path,))
    machine.units["idle.service"] = ("inactive", "enabled")
    lacking = survey.survey(
        packages=["bash", "a"],
        package_query=QUERY,
        services=["ssh.service", "x.service", "idle.service"],
        units=["ssh.service", "web.service"],
        libvirt_networks=["stock", "other"],
        files=[f"{tmp_path}/empty", f"{tmp_path}/missing"],
    )
    assert lacking == {
        "packages_missing": ["a"],
        "services_down": ["idle.service", "x.service"],
        "units_unknown": ["web.service"],
        "libvirt_networks_present": ["stock"],
        "files": {
            f"{tmp_path}/empty": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            f"{tmp_path}/missing": "",
        },
    }

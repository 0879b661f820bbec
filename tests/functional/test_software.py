"""A node's services and libvirt's stock network, against systemd and libvirt themselves."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from headworks.engine.converge import ConvergeError, Result
from headworks.node.host import software

UNIT = "software-test.service"
NETWORK = "software-test"


@pytest.fixture
def unit() -> Iterator[str]:
    path = Path("/etc/systemd/system") / UNIT
    path.write_text("[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n")
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    yield UNIT
    subprocess.run(["systemctl", "disable", "--now", UNIT], check=True)
    path.unlink()


@pytest.fixture
def stock_network(tmp_path: Path) -> Iterator[str]:
    definition = tmp_path / "net.xml"
    definition.write_text(f"<network><name>{NETWORK}</name><bridge name='swtest0'/></network>")
    subprocess.run(["virsh", "net-define", str(definition)], check=True)
    yield NETWORK
    subprocess.run(["virsh", "net-undefine", NETWORK], check=False)


def verbs(result: Result) -> list[tuple[str, str]]:
    return [(change["kind"], change["verb"]) for change in result.changes]


def test_a_stopped_service_is_started_and_enabled_once(unit: str) -> None:
    assert software.survey(services=[unit])["services_down"] == [unit]
    assert verbs(software.ensure([], [unit], check=True)) == [("service", "change")]
    assert software.survey(services=[unit])["services_down"] == [unit]
    assert verbs(software.ensure([], [unit])) == [("service", "change")]
    assert software.survey(services=[unit])["services_down"] == []
    assert verbs(software.ensure([], [unit])) == []


def test_a_service_that_does_not_exist_is_named(unit: str) -> None:
    with pytest.raises(ConvergeError, match=r"no-such\.service"):
        software.ensure([], ["no-such.service"])


def test_an_unwanted_network_is_destroyed_and_undefined(stock_network: str) -> None:
    subprocess.run(["virsh", "net-start", stock_network], check=True)
    assert software.survey(libvirt_networks=[stock_network])["libvirt_networks_present"] == [stock_network]
    assert verbs(software.ensure([], [], [stock_network])) == [("libvirt_network", "remove")]
    listed = subprocess.run(["virsh", "net-list", "--all", "--name"], check=True, capture_output=True, text=True).stdout
    assert stock_network not in listed.split()
    assert verbs(software.ensure([], [], [stock_network])) == []


def test_an_inactive_unwanted_network_goes_too(stock_network: str) -> None:
    assert verbs(software.ensure([], [], [stock_network])) == [("libvirt_network", "remove")]
    assert software.survey(libvirt_networks=[stock_network])["libvirt_networks_present"] == []


def test_check_mode_tells_of_missing_packages_and_installs_none() -> None:
    package = software.Package("sl", ("sl.service",))
    assert verbs(software.ensure([package, software.Package("bash")], [], check=True)) == [("package", "add")]
    assert software.packages_missing(["sl", "bash"]) == ["sl"]
    assert not Path("/etc/systemd/system/sl.service").exists()

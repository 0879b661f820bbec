"""What a node lacks, read from real dpkg, systemd and libvirt; and the removal of libvirt's stock network."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from headworks.node.host.survey import packages_missing, survey
from modules import run_module

UNIT = "survey-test.service"
NETWORK = "survey-test"
QUERY = ["dpkg-query", "--show", r"--showformat=${Package} ${db:Status-Status}\n"]  # as in roles/common/vars/debian.yml


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


def verbs(answer: dict[str, Any]) -> list[tuple[str, str, str]]:
    assert answer["changed"] == bool(answer["changes"])
    return [(change["kind"], change["name"], change["verb"]) for change in answer["changes"]]


def networks() -> list[str]:
    listed = subprocess.run(["virsh", "net-list", "--all", "--name"], check=True, capture_output=True, text=True)
    return listed.stdout.split()


def test_packages_that_dpkg_does_not_have_are_missing() -> None:
    assert packages_missing(["sl", "bash", "openvswitch-switch"], QUERY) == ["sl"]


def test_a_service_is_down_until_it_is_both_started_and_enabled(unit: str) -> None:
    assert survey(services=[unit])["services_down"] == [unit]
    subprocess.run(["systemctl", "start", unit], check=True)
    assert survey(services=[unit])["services_down"] == [unit]
    subprocess.run(["systemctl", "enable", unit], check=True)
    assert survey(services=[unit])["services_down"] == []


def test_a_unit_that_does_not_exist_is_unknown_but_a_masked_unit_is_known(unit: str) -> None:
    assert survey(units=[unit, "no-such.service"])["units_unknown"] == ["no-such.service"]
    subprocess.run(["systemctl", "mask", "--runtime", "no-such.service"], check=True)
    try:
        assert survey(units=["no-such.service"])["units_unknown"] == []
    finally:
        subprocess.run(["systemctl", "unmask", "--runtime", "no-such.service"], check=True)


def test_an_active_network_is_destroyed_and_undefined_once(stock_network: str) -> None:
    subprocess.run(["virsh", "net-start", stock_network], check=True)
    assert survey(libvirt_networks=[stock_network])["libvirt_networks_present"] == [stock_network]
    removal = [("libvirt_network", stock_network, "remove")]
    assert verbs(run_module("libvirt_network", check=True, name=[stock_network], state="absent")) == removal
    assert stock_network in networks()
    assert verbs(run_module("libvirt_network", name=[stock_network], state="absent")) == removal
    assert stock_network not in networks()
    assert verbs(run_module("libvirt_network", name=[stock_network], state="absent")) == []


def test_an_inactive_network_is_undefined_and_other_networks_stay(stock_network: str) -> None:
    others = set(networks()) - {stock_network}
    removal = [("libvirt_network", stock_network, "remove")]
    assert verbs(run_module("libvirt_network", name=[stock_network, "no-such"], state="absent")) == removal
    assert set(networks()) == others
    assert survey(libvirt_networks=[stock_network])["libvirt_networks_present"] == []

"""The lab's nodes after site.yml, examined with testinfra: services, namespaces and guests, and no leftovers.

What does not belong here: the behaviour of the cloud (reachability, effects of changes), which tests/cloud tests.
"""

from __future__ import annotations

import json

import pytest
import testinfra
from testinfra.host import Host

NODES = ("controller1", "network1", "compute1", "compute2")


def node(name: str) -> Host:
    return testinfra.get_host(f"ansible://{name}?force_ansible=True")


@pytest.mark.parametrize("name", NODES)
def test_systemd_has_no_failed_unit(name: str) -> None:
    assert node(name).check_output("systemctl list-units --failed --plain --no-legend") == ""


@pytest.mark.parametrize("name", ["network1", "compute1", "compute2"])
def test_openvswitch_is_running_and_enabled(name: str) -> None:
    service = node(name).service("openvswitch-switch")
    assert service.is_running
    assert service.is_enabled


def test_the_network_node_has_a_router_and_a_dhcp_server_per_network() -> None:
    names = [entry["name"] for entry in json.loads(node("network1").check_output("ip -json netns list"))]
    assert sum(name.startswith("qrouter-") for name in names) == 1
    assert sum(name.startswith("qdhcp-") for name in names) == 2


@pytest.mark.parametrize(("name", "guests"), [("compute1", {"vm1"}), ("compute2", {"vm2"})])
def test_pinned_guests_run_on_the_nodes_that_they_are_pinned_to(name: str, guests: set[str]) -> None:
    host = node(name)
    domains = host.check_output("virsh --quiet list --state-running --name").split()
    titles = {host.check_output("virsh desc --title %s", domain).strip() for domain in domains}
    assert guests <= titles


@pytest.mark.parametrize("name", ["compute1", "compute2"])
def test_libvirt_has_no_network(name: str) -> None:
    assert node(name).check_output("virsh --quiet net-list --all --name").split() == []


def test_no_web_server_listens_on_port_80() -> None:
    for name in ("controller1", "network1"):
        assert not node(name).socket("tcp://0.0.0.0:80").is_listening


def test_the_external_bridge_has_no_address_of_the_external_network() -> None:
    assert "172.16." not in node("network1").check_output("ip -4 -oneline address show")

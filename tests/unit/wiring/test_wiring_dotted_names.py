"""Nodes and instances whose names have dots: from the inventory to what the nodes get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from headworks.control import handover
from headworks.plan.resolve import resolve
from headworks.wiring.documents import wire
from inventories import facts_of, instance, s1


def renamed(value: Any, names: dict[str, str]) -> Any:
    """``value`` with other names of hosts, as keys and as values."""
    if isinstance(value, dict):
        return {names.get(key, key): renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


@pytest.fixture
def states() -> dict[str, Any]:
    """The node states of S1, with the domain example.org in the names of its nodes and instances."""
    hosts = ("controller1", "network1", "compute1", "compute2", "vm1", "vm2", "vm3")
    inventory = renamed(s1(), {name: f"{name}.example.org" for name in hosts})
    inventory["cloud"]["cloud_networks"]["internal"]["dns_domain"] = "example.org"
    inventory["instances"]["vm2.example.com"] = instance("internal")
    states: dict[str, Any] = wire(resolve(inventory, None, facts_of(inventory)).cloud)
    return states


def test_nodes_with_dots_get_their_states(states: dict[str, Any], tmp_path: Path) -> None:
    assert set(states) == {f"{name}.example.org" for name in ("controller1", "network1", "compute1", "compute2")}
    handover.put(tmp_path, states, {})
    for name, state in states.items():
        assert handover.take(tmp_path, name) == json.loads(json.dumps(state))


def test_a_guest_has_its_whole_name_as_title_and_in_its_metadata(states: dict[str, Any]) -> None:
    titles = {domain["title"] for domain in states["compute1.example.org"]["sections"]["domains"]}
    assert "vm1.example.org" in titles
    trees = states["network1.example.org"]["sections"]["metadata"]
    assert "vm1.example.org" in {tree["files"]["2009-04-04/meta-data/local-hostname"] for tree in trees}


def test_dhcp_gets_the_names_without_the_domain_of_the_network(states: dict[str, Any]) -> None:
    networks = states["network1.example.org"]["sections"]["dhcp"]
    assert {host["hostname"] for network in networks for host in network["hosts"]} == {
        *("vm1", "vm2", "vm2.example.com"),  # of the network with domain example.org
        "vm3.example.org",
    }

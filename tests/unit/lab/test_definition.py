"""The lab's definition: refusals, stable names and MACs, and the digest that shows an outdated container."""

from __future__ import annotations

from typing import Any

import pytest
from headworks_lab.definition import DefinitionError, Lab, parse

NETWORKS: list[dict[str, Any]] = [{"name": "mgmt", "subnet": "10.91.0.0/24", "nat": True}, {"name": "ext"}]


def node(name: str = "n1", address: str | None = "10.91.0.10", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "image": "bare",
        "interfaces": [{"device": "eth0", "network": "mgmt", "address": address}],
        **more,
    }


def lab(*nodes: dict[str, Any], name: str = "lab") -> Lab:
    return parse(name, NETWORKS, nodes or [node()])


def test_bridge_names_fit_into_a_device_name() -> None:
    assert len(Lab("sevench", (), ()).bridge("mgmt")) <= 15


def test_macs_differ_between_nodes_and_devices_but_not_between_runs() -> None:
    macs = [lab().mac(name, device) for name in ("n1", "n2") for device in ("eth0", "eth1")]
    assert len(set(macs)) == 4
    assert macs[0] == lab().mac("n1", "eth0")
    assert all(int(mac[:2], 16) & 3 == 2 for mac in macs)  # unicast, locally administered


@pytest.mark.parametrize(
    ("nodes", "name", "message"),
    [
        ([node()], "too-long-a-name", "lab: 'too-long-a-name'"),
        ([node("-x")], "lab", "nodes.name: '-x'"),
        ([node("a;reboot")], "lab", "nodes.name: 'a;reboot'"),
        ([node(address=None)], "lab", "nodes.interfaces of n1"),
        ([node(address="10.92.0.10")], "lab", "10.92.0.10 of interface eth0 of n1: not inside 10.91.0.0/24"),
        ([node(), node()], "lab", "nodes: 'n1' is used twice"),
        ([node(), node("n2")], "lab", "'mgmt 10.91.0.10' is used twice"),
        ([node(addresses=["203.0.113.10"])], "lab", "nodes.addresses of n1: '203.0.113.10': needs a prefix length"),
    ],
)
def test_the_refusal_of_a_definition_names_key_and_value(nodes: list[dict[str, Any]], name: str, message: str) -> None:
    with pytest.raises(DefinitionError, match=message.replace(".", r"\.")):
        lab(*nodes, name=name)


def test_the_refusal_of_an_unknown_network_names_the_network() -> None:
    invalid = node()
    invalid["interfaces"].append({"device": "eth1", "network": "tun", "address": "10.92.0.10"})
    with pytest.raises(DefinitionError, match="network 'tun' of interface eth1 of n1"):
        lab(invalid)


def test_an_address_on_a_network_without_a_subnet_needs_a_prefix_length() -> None:
    invalid = node()
    invalid["interfaces"].append({"device": "eth2", "network": "ext", "address": "172.16.0.1"})
    with pytest.raises(DefinitionError, match=r"'172\.16\.0\.1': needs a prefix length"):
        lab(invalid)


def test_a_node_is_outdated_if_anything_it_is_created_from_changes() -> None:
    before = lab(node(), node("n2", "10.91.0.11"))
    digest = before.digest(before.nodes[0], ["key"])
    again = lab(node(), node("n2", "10.91.0.11"))
    assert again.digest(again.nodes[0], ["key"]) == digest
    changed = [
        lab(node(image="warm"), node("n2", "10.91.0.11")),
        lab(node(), node("n2", "10.91.0.12")),  # its /etc/hosts names n2
        lab(node(addresses=["203.0.113.10/32"]), node("n2", "10.91.0.11")),
    ]
    assert digest not in [other.digest(other.nodes[0], ["key"]) for other in changed]
    assert before.digest(before.nodes[0], ["another key"]) != digest

"""Invalid nodes are refused with a message that names key, value and rule."""

from __future__ import annotations

import pytest
from inventories import instance, node
from refusals import Change, Cloud, all_of, in_node, messages_about, put

ONE_MESSAGE = {
    # Nodes
    "missing NIC": (
        in_node("network1", "bridge_mappings", {"physnet1": {"bridge": "br-ex", "interface": "eth9"}}),
        "nodes.network1.node_bridge_mappings.physnet1.interface: 'eth9': network1 has no NIC of "
        "this name (NICs: eth1, eth2)",
    ),
    "tunnel address that no NIC has": (
        in_node("compute1", "tunnel_ip", "10.92.0.99"),
        "nodes.compute1.node_tunnel_ip: '10.92.0.99': no NIC of compute1 has this address (NICs: eth1 10.92.0.21/24)",
    ),
    "one bridge for two physical networks": (
        in_node(
            "network1",
            "bridge_mappings",
            {"physnet1": {"bridge": "br-ex", "interface": "eth2"}, "physnet2": {"bridge": "br-ex"}},
        ),
        "nodes.network1.node_bridge_mappings.physnet2.bridge: 'br-ex': is also the bridge of physnet1",
    ),
    "NIC in two bridges": (
        in_node(
            "network1",
            "bridge_mappings",
            {"physnet1": {"bridge": "br-ex", "interface": "eth2"}, "physnet2": {"bridge": "b", "interface": "eth2"}},
        ),
        "physnet2.interface: 'eth2': is also the NIC of physnet1",
    ),
    "bridge that headworks reserves": (
        in_node("network1", "bridge_mappings", {"physnet1": {"bridge": "br-int"}}),
        "nodes.network1.node_bridge_mappings.physnet1.bridge: 'br-int': is kept for the cloud itself",
    ),
    "KVM on a node without it": (
        in_node("compute1", "virt_type", "kvm"),
        "compute1 has no usable /dev/kvm; use auto or qemu",
    ),
    "rollback before a new connection can be made": (
        in_node("compute1", "rollback_seconds", 9),
        "nodes.compute1.node_rollback_seconds: 9: must be at least 10",
    ),
    "rollback that leaves a node cut off for hours": (
        in_node("compute1", "rollback_seconds", 3601),
        "nodes.compute1.node_rollback_seconds: 3601: must be at most 3600",
    ),
    "node in no group": (
        put("nodes|spare", {"groups": [], "vars": {}}),
        "nodes.spare: 'spare': must be in at least one of the groups controller, network, compute",
    ),
    "no controller": (put("nodes|controller1|groups", ["network"]), "no node is in group controller"),
    "provider network that no network node maps": (
        all_of(
            in_node("network1", "bridge_mappings", {}),
            in_node("compute1", "bridge_mappings", {"physnet1": {"bridge": "br-ex"}}),
        ),
        "cloud_routers.r1: 'r1': no node of group network maps physnet1 (node_bridge_mappings)",
    ),
    "node and instance of the same name": (
        put("instances|compute1", instance()),
        "is the same host name as nodes.compute1",
    ),
    "host names that differ only in case": (
        put("instances|VM1", instance()),
        "'VM1': is the same host name as instances.vm1",
    ),
}


@pytest.mark.parametrize(("change", "expected"), ONE_MESSAGE.values(), ids=ONE_MESSAGE.keys())
def test_an_invalid_node_is_refused(change: Change, expected: str) -> None:
    messages = messages_about(change)
    assert len(messages) == 1, messages
    assert expected in messages[0]


def test_two_nodes_with_the_same_tunnel_address_are_refused() -> None:
    messages = messages_about(in_node("compute2", "tunnel_ip", "10.92.0.21"))
    expected = "nodes.compute2.node_tunnel_ip: '10.92.0.21': is also the tunnel address of compute1"
    assert [message for message in messages if expected in message]


def test_default_tunnel_addresses_must_differ_too() -> None:
    def change(inventory: Cloud) -> None:
        for name in ("compute1", "compute2"):
            inventory["nodes"][name] = node("compute", ansible_host="10.92.0.21")

    assert [message for message in messages_about(change) if "is also the tunnel address of compute1" in message]


def test_a_node_reached_by_name_needs_a_tunnel_address() -> None:
    messages = messages_about(put("nodes|compute2", node("compute", ansible_host="compute2.example.org")))
    assert messages == [
        "nodes.compute2.node_tunnel_ip: '': is required: ansible_host 'compute2.example.org' is a "
        "name, but tunnels need an address"
    ]


def test_without_network_nodes_routers_and_dhcp_are_refused() -> None:
    messages = messages_about(put("nodes|network1|groups", ["controller"]))
    assert [message.split(":")[0] for message in messages] == [
        "cloud_routers.r1",
        "cloud_networks.internal",
        "cloud_networks.internal2",
    ]


def test_without_compute_nodes_instances_are_refused() -> None:
    def change(inventory: Cloud) -> None:
        for name in ("compute1", "compute2"):
            inventory["nodes"][name]["groups"] = ["controller"]

    expected = "there are instances, but no node is in group compute"
    assert [message for message in messages_about(change) if expected in message]

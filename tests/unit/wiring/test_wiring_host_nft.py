"""The rules that drop traffic between the node's own kernel and guests' links."""

from __future__ import annotations

from dataclasses import replace

import pytest
from clouds import s1_cloud
from headworks.plan.cloud import BridgeMapping, Cloud
from states import sections

SENT = ["oifgroup 26743 drop", 'oifname "br-int" drop', 'oifname "br-tun" drop']
RECEIVED = ["iifgroup 26743 drop", 'iifname "br-int" drop', 'iifname "br-tun" drop']


def rules(datapath: str) -> dict[str, dict[str, list[str]]]:
    """Family → chain → rules of the root namespace's tables."""
    tables = [table for table in sections(s1_cloud(datapath), "compute1")["nft"] if table["name"] == ""]
    return {table["family"]: {chain["name"]: chain["rules"] for chain in table["chains"]} for table in tables}


def test_userspace_node_drops_packets_from_and_to_guests() -> None:
    assert rules("netdev") == {
        "inet": {"output": SENT, "prerouting": RECEIVED},
        "arp": {"output": SENT, "input": RECEIVED},
    }


def test_kernel_node_drops_them_too_and_tunnel_packets_of_others() -> None:
    to_node = "ip daddr 10.0.1.31 meta l4proto gre"
    assert rules("system") == {
        "inet": {
            "output": SENT,
            "prerouting": RECEIVED,
            "input": [f"{to_node} ip saddr != @tunnel_peers drop", f'{to_node} iifname != "eth1" drop'],
        },
        "arp": {"output": SENT, "input": RECEIVED},
    }


def peers(cloud: Cloud) -> list[str]:
    """The addresses from which compute1 accepts tunnel packets."""
    (table,) = (table for table in sections(cloud, "compute1")["nft"] if table["family"] == "inet")
    return [address for nft_map in table.get("maps", ()) for address in nft_map["elements"]]


def test_tunnel_packets_are_accepted_from_the_nodes_that_share_a_network() -> None:
    cloud = s1_cloud("system")
    assert peers(cloud) == ["10.0.1.21", "10.0.1.32"]
    vm2 = cloud.instances["vm2"]
    apart = replace(vm2, node="network1", ports=(replace(vm2.ports[0], nodes=("network1",)),))
    assert peers(replace(cloud, instances={**cloud.instances, "vm2": apart})) == ["10.0.1.21"]


@pytest.mark.parametrize(
    ("interface", "mappings", "device"),
    [
        ("eth1", (), '"eth1"'),
        ("eth1", (BridgeMapping("physnet1", "br-ex", "eth1"),), '{ "br-ex", "eth1" }'),
        ("", (), ""),
        ("dummy0", (), ""),
    ],
)
def test_tunnel_packets_are_accepted_by_the_tunnel_nic_if_it_is_known(
    interface: str, mappings: tuple[BridgeMapping, ...], device: str
) -> None:
    cloud = s1_cloud("system", "vxlan")
    node = replace(cloud.nodes["compute1"], tunnel_interface=interface, mappings=mappings)
    tables = sections(replace(cloud, nodes={**cloud.nodes, "compute1": node}), "compute1")["nft"]
    (found,) = (chain["rules"] for table in tables for chain in table["chains"] if "@tunnel_peers" in str(chain))
    by_device = [f'ip daddr 10.0.1.31 udp dport 4789 iifname != {device} drop'] if device else []
    assert found == ["ip daddr 10.0.1.31 udp dport 4789 ip saddr != @tunnel_peers drop", *by_device]

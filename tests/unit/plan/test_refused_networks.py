"""Invalid networks, subnets and addresses are refused with a message that names key, value and rule."""

from __future__ import annotations

import pytest
from inventories import subnet
from refusals import Change, all_of, in_cloud, in_vm, messages_about, nic_of_vm2

INTERNAL = "networks|internal|subnets|internal"
VLAN = {"type": "vlan", "physical_network": "physnet1", "subnets": {}}

ONE_MESSAGE = {
    # Addresses and subnets
    "overlapping subnets on one router": (
        in_cloud("networks|internal2|subnets|internal2|cidr", "10.18.0.128/25"),
        "cloud_routers.r1.interfaces: '10.18.0.128/25': subnet internal2 of internal2 overlaps subnet internal "
        "(10.18.0.0/24) of internal on the same router",
    ),
    "overlapping subnets within a network": (
        in_cloud("networks|internal|subnets|more", subnet("10.18.0.0/25", gateway_ip=None)),
        "cloud_networks.internal.subnets.more.cidr: '10.18.0.0/25': overlaps subnet internal (10.18.0.0/24)",
    ),
    "host bits in a CIDR": (
        in_cloud(f"{INTERNAL}|cidr", "10.18.0.1/24"),
        "cloud_networks.internal.subnets.internal.cidr: '10.18.0.1/24': has host bits set; a CIDR names a network, "
        "e.g. 10.18.0.0/24",
    ),
    "CIDR without prefix": (in_cloud(f"{INTERNAL}|cidr", "10.18.0.0"), "must have a prefix length"),
    "CIDR of loopback": (in_cloud(f"{INTERNAL}|cidr", "127.1.0.0/24"), "overlaps 127.0.0.0/8"),
    "address outside its subnet": (
        nic_of_vm2(address="10.19.0.5"),
        "instances.vm2.instance_networks.0.address: '10.19.0.5': must lie within its subnet of network internal "
        "(internal 10.18.0.0/24)",
    ),
    "address declared twice": (
        all_of(
            nic_of_vm2(address="10.18.0.9"),
            in_vm("vm1", "networks", [{"network": "internal", "address": "10.18.0.9"}]),
        ),
        "instances.vm2.instance_networks.0.address: '10.18.0.9': is declared twice: it is also the address of "
        "instance/vm1/internal",
    ),
    "address of the gateway": (nic_of_vm2(address="10.18.0.1"), "'10.18.0.1': is the gateway of subnet internal"),
    "network address": (
        nic_of_vm2(address="10.18.0.0"),
        "'10.18.0.0': is the network address or the broadcast address",
    ),
    "broadcast address": (
        nic_of_vm2(address="10.18.0.255"),
        "'10.18.0.255': is the network address or the broadcast address",
    ),
    "address of another IP version": (nic_of_vm2(address="fd00::5"), "'fd00::5': "),
    "malformed address": (nic_of_vm2(address="10.18.0.999"), "must be an IP address"),
    "gateway outside its subnet": (
        in_cloud(f"{INTERNAL}|gateway_ip", "10.19.0.1"),
        "cloud_networks.internal.subnets.internal.gateway_ip: '10.19.0.1': must lie within the subnet, 10.18.0.0/24",
    ),
    "gateway is the broadcast address": (in_cloud(f"{INTERNAL}|gateway_ip", "10.18.0.255"), "which no host can have"),
    "pool outside its subnet": (
        in_cloud(f"{INTERNAL}|allocation_pools", [{"start": "10.18.0.10", "end": "10.18.1.20"}]),
        "cloud_networks.internal.subnets.internal.allocation_pools.0.end: '10.18.1.20': must lie within the subnet",
    ),
    "pool that ends below its start": (
        in_cloud(f"{INTERNAL}|allocation_pools", [{"start": "10.18.0.20", "end": "10.18.0.10"}]),
        "its start must not be above its end",
    ),
    "pool that contains the gateway": (
        in_cloud(f"{INTERNAL}|allocation_pools", [{"start": "10.18.0.1", "end": "10.18.0.10"}]),
        "must not contain the subnet's gateway, 10.18.0.1",
    ),
    "pools that overlap": (
        in_cloud(
            f"{INTERNAL}|allocation_pools",
            [{"start": "10.18.0.10", "end": "10.18.0.20"}, {"start": "10.18.0.20", "end": "10.18.0.30"}],
        ),
        "allocation_pools.1: '10.18.0.20-10.18.0.30': overlaps the pool 10.18.0.10-10.18.0.20",
    ),
    "ip_version that is not the CIDR's": (
        in_cloud(f"{INTERNAL}|ip_version", 6),
        "ip_version: 6: cidr 10.18.0.0/24 is of",
    ),
    "IPv6 mode on an IPv4 subnet": (in_cloud(f"{INTERNAL}|ipv6_mode", "slaac"), "is for IPv6 subnets"),
    "DNS server of another IP version": (
        in_cloud(f"{INTERNAL}|dns_nameservers", ["2001:db8::53"]),
        "dns_nameservers.0: '2001:db8::53': must be of IP version 4",
    ),
    "DNS server that is no address": (
        in_cloud(f"{INTERNAL}|dns_nameservers", ["dns.example"]),
        "dns_nameservers.0: 'dns.ex",
    ),
    "next hop outside the subnet": (
        in_cloud(f"{INTERNAL}|host_routes", [{"destination": "192.0.2.0/24", "nexthop": "10.99.0.1"}]),
        "host_routes.0.nexthop: '10.99.0.1': must lie within the subnet",
    ),
    "MTU above what the NICs carry": (in_cloud("networks|internal|mtu", 1500), "mtu: 1500: must be at most 1450"),
    # Segmentation
    "VLAN out of range": (
        all_of(
            in_cloud("vlan_ranges", {"physnet1": ["2000:2999", "3500"]}),
            in_cloud("networks|v", {**VLAN, "segmentation_id": 3000}),
        ),
        "cloud_networks.v.segmentation_id: 3000: must be within cloud_vlan_ranges.physnet1, 2000:2999, 3500:3500",
    ),
    "VLAN above 4094": (
        in_cloud("networks|v", {**VLAN, "segmentation_id": 4095}),
        "4095: must be a VLAN between 1 and 4094",
    ),
    "VLAN without ranges": (
        in_cloud("networks|v", VLAN),
        "cloud_networks.v.segmentation_id: None: is required, unless cloud_vlan_ranges.physnet1 declares a range",
    ),
    "VLAN range beyond 1 to 4094": (
        in_cloud("vlan_ranges", {"physnet1": ["0:4095"]}),
        "must be VLANs between 1 and 4094",
    ),
    "VLAN network without physical network": (
        in_cloud("networks|v", {"type": "vlan"}),
        "cloud_networks.v.physical_network: None: is required for a network of type vlan",
    ),
    "VLAN declared twice": (
        all_of(
            in_cloud("vlan_ranges", {"physnet1": ["2000:2999"]}),
            in_cloud("networks|v", {**VLAN, "segmentation_id": 2000}),
            in_cloud("networks|w", {**VLAN, "segmentation_id": 2000}),
        ),
        "cloud_networks.w.segmentation_id: 2000: is also the id of network v; "
        "it must be unique within vlan on physnet1",
    ),
    "tunnel id out of range": (
        all_of(
            in_cloud("tunnel_id_range", "1:1000"),
            in_cloud("networks|internal|segmentation_id", 1001),
        ),
        "cloud_networks.internal.segmentation_id: 1001: must be within cloud_tunnel_id_range, 1:1000",
    ),
    "tunnel id declared twice": (
        all_of(
            in_cloud("networks|internal|segmentation_id", 7),
            in_cloud("networks|internal2|segmentation_id", 7),
        ),
        "cloud_networks.internal2.segmentation_id: 7: is also the id of network internal",
    ),
    "tunnel with a physical network": (
        in_cloud("networks|internal|physical_network", "physnet1"),
        "cloud_networks.internal.physical_network: 'physnet1': is for networks of type flat and vlan, not vxlan",
    ),
    "flat network with a VLAN": (
        in_cloud("networks|ext|segmentation_id", 5),
        "a network of type flat has no segmentation id",
    ),
    "two flat networks on one physical network": (
        in_cloud("networks|flat2", {"type": "flat", "physical_network": "physnet1"}),
        "cloud_networks.flat2.physical_network: 'physnet1': already carries the flat network ext",
    ),
}


@pytest.mark.parametrize(("change", "expected"), ONE_MESSAGE.values(), ids=ONE_MESSAGE.keys())
def test_an_invalid_network_or_address_is_refused(change: Change, expected: str) -> None:
    messages = messages_about(change)
    assert len(messages) == 1, messages
    assert expected in messages[0]


def test_the_inventory_without_any_change_is_accepted() -> None:
    assert messages_about(lambda _: None) == []

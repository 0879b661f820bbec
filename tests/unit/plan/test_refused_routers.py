"""Invalid routers and floating IPs are refused with a message that names key, value and rule."""

from __future__ import annotations

import pytest
from inventories import subnet
from refusals import Change, all_of, in_cloud, in_vm, messages_about

ONE_MESSAGE = {
    # Routers
    "external network that is not external": (
        all_of(in_cloud("networks|ext|external", False), in_cloud("floating_ips", {})),
        "cloud_routers.r1.external_network: 'ext': is not an external network",
    ),
    "interface on a network without gateway": (
        all_of(
            in_cloud("networks|nogw", {"subnets": {"s": subnet("10.40.0.0/24", gateway_ip=None)}}),
            in_cloud("routers|r1|interfaces", ["internal", "nogw"]),
        ),
        "cloud_routers.r1.interfaces.1: 'nogw': has no subnet with a gateway_ip",
    ),
    "two routers with the same gateway address": (
        in_cloud("routers|r2", {"interfaces": ["internal"]}),
        "cloud_routers.r2.interfaces.0: '10.18.0.1': is declared twice: it is also the address of router/r1/internal",
    ),
    "external_ip outside": (
        in_cloud("routers|r1|external_ip", "10.0.0.1"),
        "must lie within its subnet of network ext",
    ),
    "external_ip that is a floating IP": (
        in_cloud("routers|r1|external_ip", "172.16.19.232"),
        "cloud_floating_ips.172.16.19.232: '172.16.19.232': is declared twice: "
        "it is also the address of router/r1/gateway",
    ),
    "external_ip without network": (
        in_cloud("routers|r2", {"external_ip": "172.16.19.3"}),
        "must also have an external_network",
    ),
    "route with a nexthop in no subnet of the router": (
        in_cloud("routers|r1|routes", [{"destination": "192.0.2.0/24", "nexthop": "10.99.0.1"}]),
        "cloud_routers.r1.routes.0.nexthop: '10.99.0.1': must lie in a subnet that the router is attached to",
    ),
    "external network also behind the router": (
        in_cloud("routers|r1|interfaces", ["internal", "ext"]),
        "cloud_routers.r1.interfaces.1: 'ext': is the router's external network",
    ),
    # Floating IPs
    "floating IP outside the pools": (
        in_cloud("floating_ips", {"172.16.20.1": {"network": "ext", "instance": "vm1"}}),
        "cloud_floating_ips.172.16.20.1: '172.16.20.1': is outside the allocation pools of ext "
        "(172.16.19.1-172.16.19.254)",
    ),
    "floating IP on an internal network": (
        in_cloud("floating_ips", {"10.18.0.77": {"network": "internal"}}),
        "cloud_floating_ips.10.18.0.77.network: 'internal': is not an external network",
    ),
    "floating IP of an unknown instance": (
        in_cloud("floating_ips|172.16.19.232|instance", "vm9"),
        "cloud_floating_ips.172.16.19.232.instance: 'vm9': there is no instance of this name",
    ),
    "floating IP of an absent instance": (
        in_vm("vm1", "state", "absent"),
        "'vm1': this instance has instance_state: absent",
    ),
    "floating IP without a router to its instance": (
        in_cloud("routers|r1|interfaces", ["internal2"]),
        "cloud_floating_ips.172.16.19.232.instance: 'vm1': no router with external_network ext has "
        "an interface on internal",
    ),
    "floating IP to a network that its instance has no NIC on": (
        in_cloud("floating_ips|172.16.19.232|fixed_network", "internal2"),
        "fixed_network: 'internal2': vm1 has no NIC on this network; it has one on internal",
    ),
    "two floating IPs to one address": (
        in_cloud("floating_ips|172.16.19.233", {"network": "ext", "instance": "vm1"}),
        "cloud_floating_ips.172.16.19.233: 'vm1': floating IP 172.16.19.232 already leads to the same address",
    ),
    "floating IP to an instance with several addresses": (
        all_of(
            in_vm("vm1", "networks", ["internal", "internal2"]),
            in_cloud("floating_ips|172.16.19.232", {"network": "ext", "instance": "vm1"}),
        ),
        "has several addresses; choose one with fixed_network (internal, internal2)",
    ),
}


@pytest.mark.parametrize(("change", "expected"), ONE_MESSAGE.values(), ids=ONE_MESSAGE.keys())
def test_an_invalid_router_or_floating_ip_is_refused(change: Change, expected: str) -> None:
    messages = messages_about(change)
    assert len(messages) == 1, messages
    assert expected in messages[0]

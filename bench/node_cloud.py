"""The cloud that bench/node_converge puts on one node: N guests on 20 networks, one router, 100 floating IPs.

The node state comes from the wiring (``headworks.wiring.documents``). This file has only the cloud.
"""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from headworks.plan.cloud import (
    OWNER_DHCP,
    OWNER_INSTANCE,
    OWNER_ROUTER_GATEWAY,
    OWNER_ROUTER_INTERFACE,
    BridgeMapping,
    Cloud,
    FixedIp,
    FloatingIp,
    Image,
    Instance,
    Network,
    Node,
    Port,
    Router,
    Subnet,
)
from headworks.state.document import VERSION
from headworks.wiring.documents import wire

NETWORKS = 20
FLOATING_IPS = 100
CLOUD = "bench"
# The bench measures the network subsystems. Guests, their disks and nginx are not measured.
SECTIONS = ("netns", "links", "ovs_bridges", "ovs_ports", "flows", "nft", "l3", "dhcp")
# The values of Debian, on which the bench runs.
DISTRIBUTION = {
    "nginx_user": "www-data",
    "nginx_group": "www-data",
    "haproxy_user": "haproxy",
    "haproxy_group": "haproxy",
    "dnsmasq_user": "dnsmasq",
    "openvswitch_service": "openvswitch-switch.service",
    "ovsdb_service": "ovsdb-server.service",
    "vswitchd_service": "ovs-vswitchd.service",
    "libvirt_service": "libvirtd.service",
    "libvirt_guests_service": "libvirt-guests.service",
    "nftables_service": "nftables.service",
}
IMAGE = Image("none", f"sha256:{'0' * 64}", "0" * 64, "file:///nonexistent")


def state(guests: int) -> dict[str, Any]:
    """Return the node state of the node, with only the measured sections."""
    document = wire(cloud(guests))["here"]
    sections = {name: document["sections"][name] for name in SECTIONS}
    return {**document, "distribution": DISTRIBUTION, "sections": sections}


def nothing() -> dict[str, Any]:
    """Return the node state that removes all objects of the bench."""
    sections: dict[str, Any] = {name: [] for name in SECTIONS}
    return {"version": VERSION, "cloud": CLOUD, "node": "here", "distribution": DISTRIBUTION, "sections": sections}


def cloud(guests: int) -> Cloud:
    """Return a cloud with ``guests`` guests on node ``here``, spread over the networks, and a guest per network on node
    ``there``."""
    names = [f"net{number}" for number in range(NETWORKS)]
    networks = {name: _network(name, number) for number, name in enumerate(names)}
    networks["ext"] = _external()
    instances = {}
    for number in range(guests):
        name = names[number % NETWORKS]
        address = _address(number % NETWORKS, 10 + number // NETWORKS)
        instances[f"vm{number}"] = _guest(number, _port(name, address, "here", OWNER_INSTANCE, f"vm{number}"))
    for number, name in enumerate(names):
        port = _port(name, _address(number, 3), "there", OWNER_INSTANCE, f"far{number}")
        instances[f"far{number}"] = _guest(guests + number, port)
    vlans = {name: number + 1 for number, name in enumerate([*names, "ext"])}
    here = Node(
        "here",
        frozenset({"network", "compute"}),
        "127.0.0.1",
        "10.99.0.1",
        datapath_type="netdev",
        mappings=(BridgeMapping("physnet1", "br-ex"),),
        local_vlans=vlans,
    )
    there = Node("there", frozenset({"compute"}), "127.0.0.2", "10.99.0.2", local_vlans=vlans)
    dhcp = {name: (_port(name, _address(number, 2), "here", OWNER_DHCP, name),) for number, name in enumerate(names)}
    return Cloud(CLOUD, {"here": here, "there": there}, networks, {"r1": _router(names)}, instances, dhcp)


def _router(names: list[str]) -> Router:
    floating = [
        FloatingIp(
            f"172.16.19.{10 + number}", "ext", _address(number % NETWORKS, 10 + number // NETWORKS), f"vm{number}", ""
        )
        for number in range(FLOATING_IPS)
    ]
    return Router(
        "r1",
        _id("router r1"),
        ("here",),
        gateway=_port("ext", "172.16.19.1", "here", OWNER_ROUTER_GATEWAY, "r1"),
        interfaces=tuple(
            _port(name, _address(number, 1), "here", OWNER_ROUTER_INTERFACE, "r1") for number, name in enumerate(names)
        ),
        floating_ips=tuple(floating),
    )


def _network(name: str, number: int) -> Network:
    subnet = Subnet(name, _id(f"subnet {name}"), _address(number, 0) + "/24", _address(number, 1))
    return Network(name, _id(f"network {name}"), "vxlan", (subnet,), segmentation_id=100 + number, isolated=False)


def _external() -> Network:
    subnet = Subnet("ext", _id("subnet ext"), "172.16.0.0/16", "172.16.0.1", enable_dhcp=False)
    return Network("ext", _id("network ext"), "flat", (subnet,), physical_network="physnet1", external=True)


def _guest(number: int, port: Port) -> Instance:
    return Instance(port.device, _id(port.device), number, port.nodes[0], 1, 64, 0, "m1.nano", IMAGE, (port,))


def _port(network: str, address: str, node: str, owner: str, device: str) -> Port:
    mac = "fa:16:3e:" + ":".join(f"{int(part):02x}" for part in address.split(".")[1:])
    return Port(_id(f"port {network} {address}"), mac, network, (node,), owner, device, (FixedIp(network, address),))


def _address(network: int, host: int) -> str:
    return f"10.{20 + network}.0.{host}"


def _id(name: str) -> str:
    return str(uuid5(NAMESPACE_DNS, f"bench {name}"))

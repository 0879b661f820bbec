"""Resolved clouds written by hand, for tests of the wiring: scenario S1, and a cloud with the other network types."""

from __future__ import annotations

from dataclasses import replace
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

DIGEST = "ab" * 32
NANO = Image("nano", f"sha256:{DIGEST}", DIGEST, f"https://10.0.0.11:8443/images/{DIGEST}")


def identity(name: str) -> str:
    """The UUID of an object, derived from its name."""
    return str(uuid5(NAMESPACE_DNS, name))


def mac_of(address: str) -> str:
    """A MAC that shows an IPv4 address: 10.18.0.3 → fa:16:3e:12:00:03."""
    return "fa:16:3e:" + ":".join(f"{int(part):02x}" for part in address.split(".")[1:])


def make_port(network: str, address: str, node: str, owner: str, device: str, **more: object) -> Port:
    """A port with an address in the subnet that has the network's name."""
    fixed = (FixedIp(network, address),)
    port = Port(identity(f"port {network} {address}"), mac_of(address), network, (node,), owner, device, fixed)
    return replace(port, **more)  # type: ignore[arg-type]


def tap_of(port: Port) -> str:
    """The tap of a guest's port."""
    return f"tap{port.id[:11]}"


def make_instance(name: str, number: int, node: str, *ports: Port, **more: object) -> Instance:
    """A guest of flavor m1.nano."""
    guest = Instance(name, identity(f"instance {name}"), number, node, 1, 64, 0, "m1.nano", NANO, ports)
    return replace(guest, **more)  # type: ignore[arg-type]


def make_network(name: str, kind: str, cidr: str, gateway: str, **more: object) -> Network:
    """A network with a subnet of the same name."""
    subnet = Subnet(name, identity(f"subnet {name}"), cidr, gateway)
    return replace(Network(name, identity(f"network {name}"), kind, (subnet,)), **more)  # type: ignore[arg-type]


def s1_cloud(datapath_type: str = "netdev", kind: str = "gre") -> Cloud:
    """Scenario S1: two tunnel networks, r1 on network1, vm1 (floating IP) on compute1, vm2 and vm3 on compute2."""
    vlans = {"internal": 1, "internal2": 2, "ext": 3}
    mapping = (BridgeMapping("physnet1", "br-ex", "eth2"),)
    nodes = [Node("controller1", frozenset({"controller"}), "10.0.0.11", "10.0.1.11", "eth1")]
    for name, role, last in (("network1", "network", 21), ("compute1", "compute", 31), ("compute2", "compute", 32)):
        mappings = mapping if role == "network" else ()
        nodes.append(
            Node(
                name,
                frozenset({role}),
                f"10.0.0.{last}",
                f"10.0.1.{last}",
                "eth1",
                datapath_type,
                "qemu",
                mappings,
                vlans,
            )
        )
    ext = make_network("ext", "flat", "172.16.0.0/16", "172.16.0.1", physical_network="physnet1", external=True)
    ext = replace(ext, subnets=(replace(ext.subnets[0], enable_dhcp=False),))
    networks = [
        make_network("internal", kind, "10.18.0.0/24", "10.18.0.1", segmentation_id=2, mtu=1458, isolated=False),
        make_network("internal2", kind, "10.22.22.0/24", "10.22.22.1", segmentation_id=3, mtu=1458, isolated=False),
        ext,
    ]
    vm1 = make_port("internal", "10.18.0.3", "compute1", OWNER_INSTANCE, "vm1")
    vm2 = make_port("internal", "10.18.0.4", "compute2", OWNER_INSTANCE, "vm2")
    vm3 = make_port("internal2", "10.22.22.3", "compute2", OWNER_INSTANCE, "vm3")
    instances = [
        make_instance("vm1", 0x1E, "compute1", vm1, keys=(("ops", "ssh-ed25519 AAAA ops"),), user_data="#!/bin/sh\n"),
        make_instance("vm2", 0x1F, "compute2", vm2),
        make_instance("vm3", 0x20, "compute2", vm3, state="stopped"),
    ]
    router = Router(
        "r1",
        identity("router r1"),
        ("network1",),
        make_port("ext", "172.16.19.1", "network1", OWNER_ROUTER_GATEWAY, "r1"),
        interfaces=(
            make_port("internal", "10.18.0.1", "network1", OWNER_ROUTER_INTERFACE, "r1"),
            make_port("internal2", "10.22.22.1", "network1", OWNER_ROUTER_INTERFACE, "r1"),
        ),
        floating_ips=(FloatingIp("172.16.19.232", "ext", "10.18.0.3", "vm1", identity("floating ip 172.16.19.232")),),
    )
    dhcp = {
        "internal": (make_port("internal", "10.18.0.2", "network1", OWNER_DHCP, "internal"),),
        "internal2": (make_port("internal2", "10.22.22.2", "network1", OWNER_DHCP, "internal2"),),
    }
    return Cloud(
        "lab",
        {node.name: node for node in nodes},
        {network.name: network for network in networks},
        {"r1": router},
        {guest.name: guest for guest in instances},
        dhcp,
    )


def provider_cloud() -> Cloud:
    """An all-in-one node (kernel datapath) with an isolated vlan, a flat and a local network, and a guest on each."""
    node = Node(
        "all1",
        frozenset({"controller", "network", "compute"}),
        "10.0.0.11",
        "10.0.1.11",
        "eth0",
        mappings=(BridgeMapping("default", "br-eth0", "eth1"), BridgeMapping("physnet2", "br-flat")),
        local_vlans={"prov": 1, "flat": 2, "loc": 3},
    )
    prov = make_network(
        "prov", "vlan", "192.168.0.0/16", "192.168.0.1", physical_network="default", segmentation_id=2000
    )
    prov = replace(prov, subnets=(replace(prov.subnets[0], dns_nameservers=("192.168.0.53", "192.168.1.53")),))
    networks = [
        prov,
        make_network("flat", "flat", "192.168.3.0/24", "192.168.3.1", physical_network="physnet2"),
        make_network("loc", "local", "10.5.0.0/24", ""),
    ]
    addresses = {"prov": "192.168.12.7", "flat": "192.168.3.110", "loc": "10.5.0.9"}
    instances = [
        make_instance(f"{name}1", number, "all1", make_port(name, address, "all1", OWNER_INSTANCE, f"{name}1"))
        for number, (name, address) in enumerate(addresses.items(), start=1)
    ]
    dhcp = {
        name: (make_port(name, address, "all1", OWNER_DHCP, name),)
        for name, address in (("prov", "192.168.12.1"), ("flat", "192.168.3.100"), ("loc", "10.5.0.2"))
    }
    return Cloud(
        "prov",
        {"all1": node},
        {network.name: network for network in networks},
        {},
        {guest.name: guest for guest in instances},
        dhcp,
    )

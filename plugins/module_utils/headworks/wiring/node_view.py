"""The part of the cloud that concerns one node: its ports, its networks, and the other nodes of these networks.

One ``Index`` serves all nodes. What does not belong here: records of the node state, which the other files of this
package make.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv6Address, ip_address, ip_network

from ..plan.cloud import (
    OWNER_DHCP,
    TUNNEL_TYPES,
    BridgeMapping,
    Cloud,
    FixedIp,
    Instance,
    Network,
    Node,
    Port,
    Router,
    Subnet,
)
from .errors import WiringError
from .owners import may_serve_dhcp


@dataclass(frozen=True)
class Index:
    """The cloud's ports, instances and routers by node and by network. Every tuple is sorted, so that equal clouds give
    equal documents."""

    cloud: Cloud
    ports_of_node: Mapping[str, tuple[Port, ...]]
    ports_of_network: Mapping[str, tuple[Port, ...]]
    macs_of_network: Mapping[str, frozenset[str]]
    nodes_of_network: Mapping[str, frozenset[str]]
    instances_of_node: Mapping[str, tuple[Instance, ...]]
    instances_of_network: Mapping[str, tuple[Instance, ...]]
    routers_of_node: Mapping[str, tuple[Router, ...]]
    routed_subnets: frozenset[tuple[str, str]]  # (network, subnet) whose gateway address is a router's

    @classmethod
    def of(cls, cloud: Cloud) -> Index:
        """Index ``cloud`` in a time that is linear in its ports."""
        ports = list(_all_ports(cloud))
        by_node: dict[str, list[Port]] = defaultdict(list)
        by_network: dict[str, list[Port]] = defaultdict(list)
        for port in ports:
            for node in port.nodes:
                by_node[node].append(port)
            by_network[port.network].append(port)
        instances: dict[str, list[Instance]] = defaultdict(list)
        on_network: dict[str, dict[str, Instance]] = defaultdict(dict)
        for name in sorted(cloud.instances):
            instance = cloud.instances[name]
            instances[instance.node].append(instance)
            for port in instance.ports:
                on_network[port.network][name] = instance
        routers: dict[str, list[Router]] = defaultdict(list)
        for name in sorted(cloud.routers):
            for node in cloud.routers[name].nodes:
                routers[node].append(cloud.routers[name])
        return cls(
            cloud=cloud,
            ports_of_node=_sorted_ports(by_node),
            ports_of_network=_sorted_ports(by_network),
            macs_of_network={name: frozenset(port.mac for port in ports) for name, ports in by_network.items()},
            nodes_of_network={
                name: frozenset(node for port in ports for node in port.nodes) for name, ports in by_network.items()
            },
            instances_of_node={name: tuple(on_node) for name, on_node in instances.items()},
            instances_of_network={name: tuple(by_name.values()) for name, by_name in on_network.items()},
            routers_of_node={name: tuple(on_node) for name, on_node in routers.items()},
            routed_subnets=frozenset(_routed_subnets(cloud)),
        )


@dataclass(frozen=True)
class NodeView:
    """The part of the cloud that concerns one node."""

    index: Index
    node: Node

    @property
    def cloud(self) -> Cloud:
        """The whole cloud."""
        return self.index.cloud

    @property
    def carries_network(self) -> bool:
        """Whether the node carries networks. A node that is only a controller does not."""
        return bool(self.node.roles & {"network", "compute"})

    @property
    def userspace(self) -> bool:
        """Whether the node switches in userspace (``node_datapath_type: netdev``) and not in the kernel."""
        return self.node.datapath_type == "netdev"

    @property
    def offload(self) -> bool:
        """Whether a sender may leave checksums to the receiver. It may not on the userspace datapath, which never
        completes them."""
        return not self.userspace

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """The ports on this node, by id."""
        return self.index.ports_of_node.get(self.node.name, ())

    @cached_property
    def instances(self) -> tuple[Instance, ...]:
        """The instances on this node, by name."""
        return self.index.instances_of_node.get(self.node.name, ())

    @cached_property
    def routers(self) -> tuple[Router, ...]:
        """The routers on this node, by name."""
        return self.index.routers_of_node.get(self.node.name, ())

    @cached_property
    def dhcp(self) -> tuple[tuple[Network, Port], ...]:
        """The networks that this node serves by DHCP, each with its DHCP port, sorted by network name."""
        ports = {port.network: port for port in self.ports if port.owner == OWNER_DHCP}
        return tuple((self.cloud.networks[name], ports[name]) for name in sorted(ports))

    @cached_property
    def networks(self) -> tuple[Network, ...]:
        """The networks that have a port on this node, by name."""
        return tuple(self.cloud.networks[name] for name in sorted({port.network for port in self.ports}))

    @cached_property
    def mappings(self) -> Mapping[str, BridgeMapping]:
        """The node's provider bridges by physical network."""
        return {mapping.physical_network: mapping for mapping in self.node.mappings}

    def vlan(self, network: str) -> int:
        """Return the local VLAN of ``network``, which is valid on this node only.

        :raises WiringError: the network has a port here, but no VLAN.
        """
        vlan = self.node.local_vlans.get(network)
        if vlan is None:
            raise WiringError(f"node {self.node.name}: network {network} has a port here but no local VLAN")
        return vlan

    def peers(self, network: Network) -> tuple[Node, ...]:
        """Return the other nodes with ports of ``network``, by name."""
        others = self.index.nodes_of_network.get(network.name, frozenset()) - {self.node.name}
        return tuple(self.cloud.nodes[name] for name in sorted(others))

    @cached_property
    def tunnelled(self) -> tuple[Network, ...]:
        """The networks on this node that use tunnels, by name."""
        return tuple(network for network in self.networks if network.type in TUNNEL_TYPES)

    @cached_property
    def tunnels(self) -> tuple[tuple[str, Node], ...]:
        """(tunnel type, remote node), sorted, for each remote node that shares a network of this tunnel type."""
        pairs = {(network.type, peer.name) for network in self.tunnelled for peer in self.peers(network)}
        return tuple((kind, self.cloud.nodes[name]) for kind, name in sorted(pairs))

    def remote_ports(self, network: Network) -> tuple[Port, ...]:
        """Return the ports of ``network`` that other nodes have, by id. This node may have them as well."""
        ports, here = self.index.ports_of_network.get(network.name, ()), (self.node.name,)
        return tuple(port for port in ports if port.nodes != here)

    def provider(self, network: Network) -> BridgeMapping | None:
        """Return the provider bridge of ``network`` on this node; None if the network is not a provider network."""
        return self.mappings.get(network.physical_network) if network.type in ("vlan", "flat") else None

    def dhcp_peers(self, network: Network) -> tuple[Node, ...]:
        """Return the other nodes that can have a DHCP server of ``network``, by name."""
        nodes = {node for port in self.remote_ports(network) if may_serve_dhcp(port) for node in port.nodes}
        return tuple(self.cloud.nodes[name] for name in sorted(nodes - {self.node.name}))

    def macs(self, network: str) -> frozenset[str]:
        """Return the MACs of all ports of a network, on all nodes."""
        return self.index.macs_of_network.get(network, frozenset())

    def addresses(self, network: str) -> Iterator[tuple[Port, str]]:
        """Yield each address of each port of a network, on all nodes, with the port: its fixed addresses, and the
        link-local address that its owner derives from the MAC."""
        for port in self.index.ports_of_network.get(network, ()):
            yield from ((port, fixed.address) for fixed in port.fixed_ips)
            yield port, link_local(port.mac)

    def subnet(self, network: str, name: str) -> Subnet:
        """Return a subnet by its name.

        :raises WiringError: the network has no such subnet.
        """
        for subnet in self.cloud.networks[network].subnets:
            if subnet.name == name:
                return subnet
        raise WiringError(f"network {network}: a port has an address in subnet {name}, which the network lacks")

    def with_prefix(self, port: Port) -> tuple[str, ...]:
        """Return the port's addresses as ``ip/prefix``, in the port's order."""
        return tuple(f"{fixed.address}/{_prefix(self.subnet(port.network, fixed.subnet))}" for fixed in port.fixed_ips)

    def routed(self, port: Port, fixed: FixedIp) -> bool:
        """Whether a router is the gateway of the subnet of ``fixed`` (this router then serves the subnet's
        metadata)."""
        return (port.network, fixed.subnet) in self.index.routed_subnets


def is_ipv4(address: str) -> bool:
    """Whether an address or CIDR is IPv4."""
    return ":" not in address


def link_local(mac: str) -> str:
    """Return the link-local address that a guest derives from its MAC (modified EUI-64)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    host = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + host))


def contains(cidr: str, address: str) -> bool:
    """Whether ``address`` lies in ``cidr`` (False for another IP version)."""
    return ip_address(address) in ip_network(cidr, strict=False)


def _prefix(subnet: Subnet) -> str:
    return subnet.cidr.partition("/")[2]


def _all_ports(cloud: Cloud) -> Iterator[Port]:
    for instance in cloud.instances.values():
        yield from instance.ports
    for ports in cloud.dhcp_ports.values():
        yield from ports
    for router in cloud.routers.values():
        yield from router.interfaces
        if router.gateway is not None:
            yield router.gateway


def _sorted_ports(groups: Mapping[str, list[Port]]) -> dict[str, tuple[Port, ...]]:
    return {name: tuple(sorted(ports, key=lambda port: port.id)) for name, ports in groups.items()}


def _routed_subnets(cloud: Cloud) -> Iterator[tuple[str, str]]:
    """Yield (network, subnet) of each subnet whose gateway address a router has. Guests do not send to other routers on
    the subnet."""
    for router in cloud.routers.values():
        for port in router.interfaces:
            gateways = {subnet.name: subnet.gateway_ip for subnet in cloud.networks[port.network].subnets}
            for fixed in port.fixed_ips:
                if gateways.get(fixed.subnet) == fixed.address:
                    yield port.network, fixed.subnet

"""DHCP of a network: the dnsmasq service and the L3 configuration of its namespace.

What does not belong here: the metadata proxy that may share the namespace (``metadata.py``). IPv4 only: the
plan does not have DHCPv6 and router advertisements yet.
"""

from __future__ import annotations

from ..plan.cloud import FixedIp, Network, Port, Subnet
from ..state.dhcp import DhcpHost, DhcpNetwork, DhcpSubnet, HostRoute
from ..state.l3 import Device, NamespaceConfig
from ..state.metadata import METADATA_ADDRESS
from . import names
from .node_view import NodeView, is_ipv4
from .owners import owner_device


def dhcp_networks(view: NodeView) -> list[DhcpNetwork]:
    """Return the dnsmasq service of every network that this node serves."""
    return [_service(view, network, port) for network, port in view.dhcp]


def dhcp_l3(view: NodeView) -> list[NamespaceConfig]:
    """Return the namespaces of these services: the server's addresses, and the metadata address if a subnet has no
    router.

    The metadata address is a /32: guests on the link get a route to it (DHCP option 121). With a /16, the whole
    link-local range would be reachable from the namespace.
    """
    return [_namespace(view, network, port) for network, port in view.dhcp]


def serves_metadata(view: NodeView, port: Port) -> bool:
    """Whether the namespace of DHCP port ``port`` serves metadata: it does if a subnet of the port has no
    router."""
    return any(is_ipv4(fixed.address) and not view.routed(port, fixed) for fixed in port.fixed_ips)


def _namespace(view: NodeView, network: Network, port: Port) -> NamespaceConfig:
    addresses = set(view.with_prefix(port))
    if serves_metadata(view, port):
        addresses.add(f"{METADATA_ADDRESS}/32")
    # A new namespace begins with the IPv4 values of the root namespace.
    sysctls = {"ipv4/ip_forward": "0", "ipv4/conf/all/proxy_arp": "0"}
    sysctls[f"ipv4/conf/{owner_device(port)}/proxy_arp"] = "0"
    if all(is_ipv4(fixed.address) for fixed in port.fixed_ips):
        sysctls |= {"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1"}
    device = Device(
        name=owner_device(port),
        mac=port.mac,
        mtu=network.mtu,
        addresses=tuple(sorted(addresses)),
        tx_checksum=view.offload,
        announce=True,
    )
    return NamespaceConfig(name=names.dhcp_netns(network), devices=(device,), sysctls=sysctls)


def _service(view: NodeView, network: Network, port: Port) -> DhcpNetwork:
    served = {}
    for fixed in port.fixed_ips:
        subnet = view.subnet(network.name, fixed.subnet)
        if subnet.enable_dhcp and subnet.ip_version == 4:
            served[subnet.name] = _subnet(view, port, subnet, fixed)
    return DhcpNetwork(
        name=network.id,
        netns=names.dhcp_netns(network),
        interface=owner_device(port),
        mtu=network.mtu,
        domain=network.dns_domain,
        subnets=tuple(served[name] for name in sorted(served)),
        hosts=_hosts(view, network, frozenset(served)),
    )


def _subnet(view: NodeView, port: Port, subnet: Subnet, server: FixedIp) -> DhcpSubnet:
    routes = [HostRoute(destination, nexthop) for destination, nexthop in subnet.host_routes]
    if not view.routed(port, server):
        routes.append(HostRoute(f"{METADATA_ADDRESS}/32", server.address))
    return DhcpSubnet(
        tag=f"subnet-{subnet.id}",
        cidr=subnet.cidr,
        server=server.address,
        gateway=subnet.gateway_ip,
        dns=subnet.dns_nameservers,
        routes=tuple(routes),
    )


def _hosts(view: NodeView, network: Network, served: frozenset[str]) -> tuple[DhcpHost, ...]:
    """Return the leases of all guests of the network, on all nodes. dnsmasq adds the network's domain to the names."""
    hosts = [
        DhcpHost(mac=port.mac, address=fixed.address, hostname=instance.name.removesuffix(f".{network.dns_domain}"))
        for instance in view.index.instances_of_network.get(network.name, ())
        for port in instance.ports
        if port.network == network.name
        for fixed in port.fixed_ips
        if fixed.subnet in served
    ]
    return tuple(sorted(hosts, key=lambda host: (host.mac, host.address)))

"""Metadata: which namespaces of a node answer, and for which instances.

What does not belong here: the content of an instance's metadata tree (``metadata_tree.py``).
"""

from __future__ import annotations

from collections.abc import Iterator

from ..state.metadata import InstanceMetadata, MetadataProxy, ServedNetwork
from . import names
from .dhcp import serves_metadata
from .metadata_tree import MetadataTree
from .node_view import NodeView, is_ipv4

Served = tuple[str, str]  # (network name, subnet name)


def metadata_proxies(view: NodeView) -> list[MetadataProxy]:
    """Return a proxy for each router's namespace, for the subnets whose gateway is the router, and for each DHCP
    namespace, for the subnets without a router."""
    proxies = []
    for netns, served in _served(view):
        networks = tuple(
            ServedNetwork(view.cloud.networks[network].id, view.subnet(network, subnet).cidr)
            for network, subnet in sorted(set(served))
        )
        proxies.append(MetadataProxy(name=netns, networks=networks))
    return sorted(proxies, key=lambda proxy: proxy.name)


def instance_metadata(view: NodeView) -> list[InstanceMetadata]:
    """Return what each instance reads from each of its addresses in the subnets that this node serves."""
    served = {subnet for _, subnets in _served(view) for subnet in subnets}
    tree = MetadataTree(view.cloud)
    by_name: dict[str, InstanceMetadata] = {}
    for network in sorted({name for name, _ in served}):
        for instance in view.index.instances_of_network.get(network, ()):
            for port in instance.ports:
                for fixed in port.fixed_ips:
                    if port.network == network and (network, fixed.subnet) in served and is_ipv4(fixed.address):
                        metadata = tree.at(instance, port, fixed.address)
                        by_name[metadata.name] = metadata
    return [by_name[name] for name in sorted(by_name)]


def _served(view: NodeView) -> Iterator[tuple[str, list[Served]]]:
    """Yield (namespace, subnets whose guests it answers), without namespaces that answer no subnet."""
    for router in view.routers:
        served = [
            (port.network, fixed.subnet)
            for port in router.interfaces
            for fixed in port.fixed_ips
            if is_ipv4(fixed.address) and view.routed(port, fixed)
        ]
        if served:
            yield names.router_netns(router), served
    for network, port in view.dhcp:
        if serves_metadata(view, port):
            yield (
                names.dhcp_netns(network),
                [(network.name, fixed.subnet) for fixed in port.fixed_ips if not view.routed(port, fixed)],
            )

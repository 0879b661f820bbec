"""Metadata: which namespaces of a node answer, and for which instances. The trees are ``metadata_tree.py``'s."""

from __future__ import annotations

from collections.abc import Iterator

from ..state.metadata import InstanceMetadata, MetadataProxy, ServedNetwork
from . import names
from .dhcp import serves_metadata
from .metadata_tree import MetadataTree
from .node_view import NodeView, is_ipv4

Served = tuple[str, str]  # (network name, subnet name)


def metadata_proxies(view: NodeView) -> list[MetadataProxy]:
    """A proxy in each router's namespace for the subnets whose gateway it is, and in each DHCP namespace for those
    that have no router."""
    found = []
    for netns, served in _served(view):
        networks = tuple(
            ServedNetwork(view.cloud.networks[network].id, view.subnet(network, subnet).cidr)
            for network, subnet in sorted(set(served))
        )
        found.append(MetadataProxy(name=netns, networks=networks))
    return sorted(found, key=lambda proxy: proxy.name)


def instance_metadata(view: NodeView) -> list[InstanceMetadata]:
    """What each instance reads at each of its addresses in the subnets that this node serves."""
    served = {one for _, ones in _served(view) for one in ones}
    tree = MetadataTree(view.cloud)
    found: dict[str, InstanceMetadata] = {}
    for network in sorted({name for name, _ in served}):
        for instance in view.index.instances_of_network.get(network, ()):
            for port in instance.ports:
                for fixed in port.fixed_ips:
                    if port.network == network and (network, fixed.subnet) in served and is_ipv4(fixed.address):
                        one = tree.at(instance, port, fixed.address)
                        found[one.name] = one
    return [found[name] for name in sorted(found)]


def _served(view: NodeView) -> Iterator[tuple[str, list[Served]]]:
    """(namespace, the subnets it answers for); only namespaces that answer for any."""
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
                [(network.name, one.subnet) for one in port.fixed_ips if not view.routed(port, one)],
            )

"""Links of a node for its ports, and the namespaces of routers and DHCP services.

What does not belong here: how a link becomes a port of the switch, and the mechanism's own links (``mechanism/``);
which links a guest's port needs (``firewall/``); the record of a veth pair (``veth.py``); the configuration inside
namespaces (``router.py``, ``dhcp.py``).
"""

from __future__ import annotations

from ..state.links import Link
from ..state.namespaces import Namespace
from . import names
from .firewall.registry import firewall_of
from .mechanism.registry import mechanism_of
from .node_view import NodeView
from .owners import owner_of
from .veth import veth_pair


def namespaces(view: NodeView) -> list[Namespace]:
    """Return a namespace per router and per network with DHCP."""
    namespace_names = [names.router_netns(router) for router in view.routers]
    namespace_names += [names.dhcp_netns(network) for network, _ in view.dhcp]
    return [Namespace(name) for name in sorted(namespace_names)]


def links(view: NodeView) -> list[Link]:
    """Return the firewall driver's links for each guest's port, and a veth pair for each router or DHCP port. The far
    end of the pair is created in the owner's namespace."""
    mechanism, firewall = mechanism_of(view.cloud), firewall_of(view.cloud)
    node_links: list[Link] = []
    for port in view.ports:
        master = mechanism.master(view, port)
        if owner_of(port).link == "tap":
            node_links += firewall.links(port, view.cloud.networks[port.network].mtu, master)
        else:
            node_links.append(veth_pair(view, port, master))
    return node_links

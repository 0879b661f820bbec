"""Links of a node for its ports, and the namespaces that some of them lead into.

What does not belong here: how the switch takes a link as a port, and the mechanism's own links (``mechanism/``); which
links a guest's port needs (``firewall/``); what a veth pair is (``veth.py``); what is inside the namespaces
(``router.py``, ``dhcp.py``).
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
    """One namespace per router and per network with DHCP."""
    found = [names.router_netns(router) for router in view.routers]
    found += [names.dhcp_netns(network) for network, _ in view.dhcp]
    return [Namespace(name) for name in sorted(found)]


def links(view: NodeView) -> list[Link]:
    """What the firewall driver makes for a guest's port; a veth pair per router or DHCP port, its far end born in the
    namespace."""
    mechanism, firewall = mechanism_of(view.cloud), firewall_of(view.cloud)
    found: list[Link] = []
    for port in view.ports:
        master = mechanism.master(view, port)
        if owner_of(port).link == "tap":
            found += firewall.links(port, view.cloud.networks[port.network].mtu, master)
        else:
            found.append(veth_pair(view, port, master))
    return found

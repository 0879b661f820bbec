"""Links of a node: taps for guests, veth pairs into router and DHCP namespaces; and those namespaces.

What does not belong here: their rows in OVSDB (``ovs.py``), what is inside the namespaces (``router.py``, ``dhcp.py``).
"""

from __future__ import annotations

from ..plan.cloud import OWNER_DHCP, OWNER_INSTANCE, Port
from ..state.links import Link
from ..state.namespaces import Namespace
from . import names
from .node_view import NodeView, port_device


def namespaces(view: NodeView) -> list[Namespace]:
    """One namespace per router and per network with DHCP."""
    found = [names.router_netns(router) for router in view.routers]
    found += [names.dhcp_netns(network) for network, _ in view.dhcp]
    return [Namespace(name) for name in sorted(found)]


def links(view: NodeView) -> list[Link]:
    """A tap per guest NIC; a veth pair per router or DHCP port, its far end born in the namespace."""
    return [_link(view, port) for port in view.ports]


def _link(view: NodeView, port: Port) -> Link:
    mtu = view.cloud.networks[port.network].mtu
    if port.owner == OWNER_INSTANCE:
        # A tap's offloads are QEMU's to negotiate (see Nic.offload), so nothing is said of them here.
        return Link(name=port.tap, kind="tap", mtu=mtu)
    return Link(
        name=port.tap,
        kind="veth",
        mtu=mtu,
        peer=port_device(port),
        peer_netns=_netns(view, port),
        peer_mac=port.mac,
        tx_checksum=view.offload,
    )


def _netns(view: NodeView, port: Port) -> str:
    if port.owner == OWNER_DHCP:
        return names.dhcp_netns(view.cloud.networks[port.network])
    return names.router_netns(view.cloud.routers[port.device])

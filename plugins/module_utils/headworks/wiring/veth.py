"""The veth pair of a router's or a DHCP service's port: one end for the switch, the other in the owner's namespace.

What does not belong here: the links of guests (``firewall/``), and which link a port gets (``links.py``).
"""

from __future__ import annotations

from ..plan.cloud import Port
from ..state.links import Link
from . import names
from .node_view import NodeView
from .owners import owner_device, owner_of

SWITCH_PREFIX = "tap"


def switch_end(port: Port) -> str:
    """Return the name of the switch's end of the pair."""
    return names.port_device(SWITCH_PREFIX, port)


def veth_pair(view: NodeView, port: Port, master: str) -> Link:
    """Return the pair. ``master`` is the Linux bridge of the switch's end, "" if it is in no bridge."""
    return Link(
        name=switch_end(port),
        kind="veth",
        mtu=view.cloud.networks[port.network].mtu,
        peer=owner_device(port),
        peer_netns=owner_of(port).netns(view.cloud, port),
        peer_mac=port.mac,
        master=master,
        tx_checksum=view.offload,
    )

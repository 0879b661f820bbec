"""The MTU of a network, computed from the NICs that carry it. It is not sticky: it follows the MTU of the NICs."""

from __future__ import annotations

from collections.abc import Mapping

from ..model.inventory import Inventory
from .facts import NodeFacts

DEFAULT = 1500
# The bytes that an encapsulation over IPv4 adds: outer IP 20, inner Ethernet 14, and UDP 8 + VXLAN 8 (Geneve without
# options 8), or GRE 4 + key 4.
OVERHEAD = {"vxlan": 50, "geneve": 50, "gre": 42}


def maximum(inventory: Inventory, facts: Mapping[str, NodeFacts], network: str) -> int:
    """The largest MTU of ``network`` that the NICs carrying it allow.

    A node whose NIC is unknown is ignored. If no NIC is known, each is assumed to have MTU 1500.
    """
    model = inventory.cloud.networks[network]
    if model.type == "local":
        return DEFAULT
    below = []
    for name, entry in inventory.nodes.items():
        node = facts.get(name)
        if node is None or not entry.roles & {"network", "compute"}:
            continue
        if model.type in OVERHEAD:
            nic = node.nic_with(tunnel_ip(inventory, name))
        else:
            mapping = entry.model.bridge_mappings.get(model.physical_network or "")
            nic = mapping.interface or "" if mapping else ""
        if nic in node.nics:
            below.append(node.nics[nic].mtu)
    return min(below, default=DEFAULT) - OVERHEAD.get(model.type, 0)


def tunnel_ip(inventory: Inventory, node: str) -> str:
    """A node's tunnel address: ``node_tunnel_ip``, else ``ansible_host`` if that is an address, else ""."""
    entry = inventory.nodes[node]
    return entry.model.tunnel_ip or (entry.management if entry.management_is_ip else "")

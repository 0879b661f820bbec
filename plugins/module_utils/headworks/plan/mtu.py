"""The MTU of every network, computed from the NICs below it: it is not sticky, for it must follow the wire."""

from __future__ import annotations

from collections.abc import Mapping

from ..model.inventory import Inventory
from .facts import NodeFacts

DEFAULT = 1500
# What an encapsulation adds over IPv4: outer IP 20, inner Ethernet 14, and UDP 8 + VXLAN 8 (Geneve without
# options 8), or GRE 4 + key 4.
OVERHEAD = {"vxlan": 50, "geneve": 50, "gre": 42}


def maximum(inventory: Inventory, facts: Mapping[str, NodeFacts], network: str) -> int:
    """The most that the NICs below ``network`` carry. Nodes whose NIC is not known do not count; with none known,
    1500 is assumed."""
    model = inventory.cloud.networks[network]
    if model.type == "local":
        return DEFAULT
    below = []
    for name, entry in inventory.nodes.items():
        known = facts.get(name)
        if known is None or not entry.roles & {"network", "compute"}:
            continue
        if model.type in OVERHEAD:
            nic = known.nic_with(tunnel_ip(inventory, name))
        else:
            mapping = entry.model.bridge_mappings.get(model.physical_network or "")
            nic = mapping.interface or "" if mapping else ""
        if nic in known.nics:
            below.append(known.nics[nic].mtu)
    return min(below, default=DEFAULT) - OVERHEAD.get(model.type, 0)


def tunnel_ip(inventory: Inventory, node: str) -> str:
    """A node's end of the tunnels: ``node_tunnel_ip``, else the management address if it is one, else ""."""
    entry = inventory.nodes[node]
    return entry.model.tunnel_ip or (entry.management if entry.management_is_ip else "")

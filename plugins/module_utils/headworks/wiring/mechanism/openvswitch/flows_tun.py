"""Flows of br-tun: they replace local VLANs by tunnel ids and tunnel ids by local VLANs, and choose the remote nodes.

MACs and ARP answers of remote ports come from the plan; floods go only to nodes with ports of the network. The tables
have Neutron's numbers; docs/on-a-node.md describes them. What does not belong here: the tunnel ports (``ports.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from ....plan.cloud import Network
from ....state.openflow import LEARN_COOKIE, Flow
from ...node_view import NodeView, is_ipv4
from . import names
from .matches import DHCP_DISCOVERY

SORT, FROM_INT, LEARN, UNICAST, ARP, FLOOD, DISCOVERY = 0, 2, 10, 20, 21, 22, 23
FROM_TUNNEL = {"gre": 3, "vxlan": 4, "geneve": 6}

# MACs that the plan does not have (behind a guest, allowed pairs) are learned, with a lower priority than the plan's.
_LEARN = (
    f"learn(table={UNICAST},hard_timeout=300,priority=1,cookie={LEARN_COOKIE:#x},NXM_OF_VLAN_TCI[0..11],"
    "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],"
    f"output:NXM_OF_IN_PORT[]),output:{{{names.PATCH_INT}}}"
)


def tun_flows(view: NodeView) -> list[Flow]:
    """Return all flows of br-tun."""
    flows = list(_base())
    for kind, remote in view.tunnels:
        port = names.tunnel_port(kind, remote.tunnel_ip)
        flows.append(_flow(SORT, 1, f"in_port={{{port}}}", f"resubmit(,{FROM_TUNNEL[kind]})"))
    for network in view.tunnelled:
        flows += _network(view, network)
    return flows


def _flow(table: int, priority: int, match: str, actions: str) -> Flow:
    return Flow(names.BR_TUN, table, priority, match, actions)


def _base() -> Iterator[Flow]:
    """Yield the flows that every node has."""
    yield _flow(SORT, 1, f"in_port={{{names.PATCH_INT}}}", f"resubmit(,{FROM_INT})")
    yield _flow(SORT, 0, "", "drop")
    yield _flow(FROM_INT, 1, "arp,dl_dst=ff:ff:ff:ff:ff:ff", f"resubmit(,{ARP})")
    for match in DHCP_DISCOVERY:
        yield _flow(FROM_INT, 1, match, f"resubmit(,{DISCOVERY})")
    yield _flow(FROM_INT, 0, "dl_dst=00:00:00:00:00:00/01:00:00:00:00:00", f"resubmit(,{UNICAST})")
    yield _flow(FROM_INT, 0, "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", f"resubmit(,{FLOOD})")
    for table in FROM_TUNNEL.values():
        yield _flow(table, 0, "", "drop")
    yield _flow(LEARN, 1, "", _LEARN)
    yield _flow(UNICAST, 0, "", f"resubmit(,{FLOOD})")
    yield _flow(ARP, 0, "", f"resubmit(,{FLOOD})")
    yield _flow(FLOOD, 0, "", "drop")
    yield _flow(DISCOVERY, 0, "", "drop")


def _network(view: NodeView, network: Network) -> Iterator[Flow]:
    vlan = view.vlan(network.name)
    tag = f"push_vlan:0x8100,set_field:{names.VLAN_PRESENT + vlan}->vlan_vid"
    yield from _arriving(view, network, f"{tag},resubmit(,{LEARN})")
    peers = view.peers(network)
    if not peers:
        return
    encapsulate = f"pop_vlan,set_field:{network.segmentation_id:#x}->tun_id"
    outputs = {peer.name: f"output:{{{names.tunnel_port(network.type, peer.tunnel_ip)}}}" for peer in peers}
    yield _flow(FLOOD, 1, f"dl_vlan={vlan}", ",".join([encapsulate, *outputs.values()]))
    servers = [outputs[node.name] for node in view.dhcp_peers(network)]
    if servers:
        yield _flow(DISCOVERY, 1, f"dl_vlan={vlan}", ",".join([encapsulate, *servers]))
    for port in view.remote_ports(network):
        # If several nodes have the port, each gets a copy, since the plan does not know which of them uses it now.
        towards = [outputs[node] for node in sorted(port.nodes) if node != view.node.name]
        yield _flow(UNICAST, 2, f"dl_vlan={vlan},dl_dst={port.mac}", ",".join([encapsulate, *towards]))
        if view.node.name in port.nodes:
            # If this node has the port, its owner may answer. Another answer from br-tun would make br-int learn a
            # wrong port.
            continue
        for fixed in port.fixed_ips:
            if is_ipv4(fixed.address):
                match = f"arp,dl_vlan={vlan},arp_tpa={fixed.address},arp_op=1"
                yield _flow(ARP, 1, match, _responder(port.mac, fixed.address))


def _arriving(view: NodeView, network: Network, accept: str) -> Iterator[Flow]:
    """Yield the flows that accept packets with the network's tunnel id from nodes that have a port of the network, and
    from no other node. They list the nodes that have a port, or those that have none, whichever are fewer."""
    table, match = FROM_TUNNEL[network.type], f"tun_id={network.segmentation_id:#x}"
    members = {peer.name for peer in view.peers(network)}
    ports = {
        remote.name: f"in_port={{{names.tunnel_port(kind, remote.tunnel_ip)}}}"
        for kind, remote in view.tunnels
        if kind == network.type
    }
    others = sorted(set(ports) - members)
    if len(others) < len(members):
        yield _flow(table, 1, match, accept)
        for name in others:
            yield _flow(table, 2, f"{match},{ports[name]}", "drop")
        return
    for name in sorted(members):
        yield _flow(table, 1, f"{match},{ports[name]}", accept)


def _responder(mac: str, address: str) -> str:
    """Return the actions that turn an ARP request into the answer and send it back to its port."""
    hardware, protocol = int(mac.replace(":", ""), 16), int(IPv4Address(address))
    return (
        f"move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:{mac}->eth_src,load:0x2->NXM_OF_ARP_OP[],"
        "move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],"
        f"load:{hardware:#x}->NXM_NX_ARP_SHA[],load:{protocol:#x}->NXM_OF_ARP_SPA[],IN_PORT"
    )

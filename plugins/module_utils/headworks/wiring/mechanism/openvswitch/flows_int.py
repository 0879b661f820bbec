"""Flows of br-int: they translate provider VLANs, drop guests' packets with other addresses, and switch the rest.

What does not belong here: the tables and their order (``pipeline.py``), tunnels (``flows_tun.py``), the other side
of the provider patches (``flows_provider.py``), security groups (``wiring/firewall/``).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address

from ....plan.cloud import Port
from ....state.openflow import Flow
from ...devices import switch_device
from ...firewall.interface import Stage
from ...firewall.registry import firewall_of
from ...node_view import NodeView, is_ipv4
from ...owners import owner_of
from . import names
from .pipeline import (
    ARP_SPOOF,
    BANDWIDTH,
    CANARY,
    IP_SPOOF,
    MAC_SPOOF,
    PACKET_RATE,
    SORT,
    TRANSIENT,
    Pipeline,
)

_TAGGED = "vlan_tci=0x1000/0x1000"
_UNTAGGED = "vlan_tci=0x0000/0x1fff"


def int_flows(view: NodeView) -> list[Flow]:
    """Return all flows of br-int."""
    firewall = firewall_of(view.cloud)
    pipeline = Pipeline(firewall)
    flows = [*_base(pipeline), *_from_providers(view, pipeline)]
    guards = SpoofGuards(pipeline)
    for port in view.ports:
        if port.port_security and owner_of(port).spoof_guards:
            flows += guards.flows(switch_device(view.cloud, port), port)
    return [*flows, *firewall.flows(view, pipeline)]


def _flow(stage: Stage, priority: int, match: str, actions: str) -> Flow:
    return Flow(names.BR_INT, stage.table, priority, match, actions)


def _base(pipeline: Pipeline) -> Iterator[Flow]:
    """Yield the flows that every node has. Only packets from guarded ports enter the stages of the spoof guards."""
    past_guards = pipeline.to(PACKET_RATE)
    allowed = pipeline.after(IP_SPOOF)
    yield _flow(SORT, 65535, "dl_vlan=4095", "drop")
    yield _flow(SORT, 0, "", past_guards)
    yield _flow(CANARY, 0, "", "drop")
    for stage in (ARP_SPOOF, MAC_SPOOF):
        yield _flow(stage, 30, _TAGGED, "drop")  # with a VLAN tag, a guest could choose its network
    # A guest with any address may not be a DHCP server or send router advertisements.
    yield _flow(IP_SPOOF, 20, "udp,tp_src=67,tp_dst=68", "drop")
    yield _flow(IP_SPOOF, 20, "udp6,tp_src=547,tp_dst=546", "drop")
    yield _flow(IP_SPOOF, 20, "icmp6,icmp_type=134", "drop")
    # Packets without an address: DHCP discovery, router solicitation, multicast reports. Their MAC was checked before.
    yield _flow(IP_SPOOF, 10, "udp,nw_src=0.0.0.0,tp_src=68,tp_dst=67", allowed)
    for kind in (131, 133, 143):
        yield _flow(IP_SPOOF, 10, f"icmp6,ipv6_src=::,icmp_type={kind}", allowed)
    for stage in (ARP_SPOOF, MAC_SPOOF, IP_SPOOF):
        yield _flow(stage, 0, "", "drop")
    yield _flow(PACKET_RATE, 0, "", pipeline.after(PACKET_RATE))
    yield _flow(BANDWIDTH, 0, "", pipeline.after(BANDWIDTH))
    yield _flow(TRANSIENT, 1, "", pipeline.after(TRANSIENT))


def _from_providers(view: NodeView, pipeline: Pipeline) -> Iterator[Flow]:
    """Yield the flows that replace a provider network's VLAN by its local VLAN, and drop every other VLAN."""
    past_guards = pipeline.to(PACKET_RATE)
    for bridge in sorted({mapping.bridge for mapping in view.node.mappings}):
        yield _flow(SORT, 2, f"in_port={{{names.int_patch(bridge)}}}", "drop")
    for network in view.networks:
        mapping = view.mappings.get(network.physical_network)
        if mapping is None or network.type not in ("vlan", "flat"):
            continue
        tag = f"dl_vlan={network.segmentation_id}" if network.type == "vlan" else _UNTAGGED
        push = "" if network.type == "vlan" else "push_vlan:0x8100,"
        local = f"set_field:{names.VLAN_PRESENT + view.vlan(network.name)}->vlan_vid,{past_guards}"
        yield _flow(SORT, 3, f"in_port={{{names.int_patch(mapping.bridge)}}},{tag}", push + local)


class SpoofGuards:
    """Makes the flows that drop a guest's packets with addresses of others: ten flows for a port with one IPv4 address.
    The actions are the same for every port and are looked up once."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.to_arp = pipeline.to(ARP_SPOOF)
        self.to_mac = pipeline.to(MAC_SPOOF)
        self.to_ip = pipeline.to(IP_SPOOF)
        self.allowed = pipeline.after(IP_SPOOF)

    def flows(self, device: str, port: Port) -> Iterator[Flow]:
        """Yield the guards of ``port``, whose switch device is ``device``."""
        from_port = f"in_port={{{device}}}"
        yield _flow(SORT, 10, f"arp,{from_port}", self.to_arp)
        yield _flow(SORT, 10, f"icmp6,{from_port},icmp_type=136", self.to_arp)
        yield _flow(SORT, 9, from_port, self.to_mac)
        permitted = _permitted(port)
        for mac in sorted({mac for mac, _ in permitted}):
            yield _flow(MAC_SPOOF, 2, f"{from_port},dl_src={mac}", self.to_ip)
        for mac, address in permitted:
            yield from self._ipv4(from_port, mac, address) if is_ipv4(address) else self._ipv6(from_port, mac, address)

    def _ipv4(self, from_port: str, mac: str, address: str) -> Iterator[Flow]:
        guest = f"arp,{from_port},dl_src={mac}"
        yield _flow(ARP_SPOOF, 2, f"{guest},arp_spa={address},arp_sha={mac}", self.allowed)
        # Probes (RFC 5227) only for its own address: a probe for another guest's address would make that guest give it
        # up.
        probe = f"{guest},arp_spa=0.0.0.0,arp_tpa={address},arp_op=1,arp_sha={mac}"
        yield _flow(ARP_SPOOF, 3, probe, self.allowed)
        yield _flow(IP_SPOOF, 2, f"ip,{from_port},dl_src={mac},nw_src={address}", self.allowed)

    def _ipv6(self, from_port: str, mac: str, address: str) -> Iterator[Flow]:
        # The next two stages check the MAC and the source address of an advertisement.
        yield _flow(ARP_SPOOF, 2, f"icmp6,{from_port},icmp_type=136,nd_target={address}", self.to_mac)
        probe = f"icmp6,{from_port},dl_src={mac},ipv6_src=::,icmp_type=135,nd_target={address}"
        yield _flow(IP_SPOOF, 3, probe, self.allowed)
        yield _flow(IP_SPOOF, 2, f"ipv6,{from_port},dl_src={mac},ipv6_src={address}", self.allowed)


def _permitted(port: Port) -> list[tuple[str, str]]:
    """Return each (MAC, address or CIDR) that the guest may send from: those of the port, the allowed pairs, and the
    link-local addresses of their MACs."""
    pairs = {(port.mac, fixed.address) for fixed in port.fixed_ips}
    pairs |= {(mac or port.mac, cidr.removesuffix("/32").removesuffix("/128")) for mac, cidr in port.allowed_pairs}
    pairs |= {(mac, _link_local(mac)) for mac in {mac for mac, _ in pairs} | {port.mac}}
    return sorted(pairs)


def _link_local(mac: str) -> str:
    """Return the link-local address that a guest derives from its MAC (modified EUI-64)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    host = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + host))

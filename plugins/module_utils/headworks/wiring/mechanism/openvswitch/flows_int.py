"""Flows of br-int: they translate provider VLANs, drop guests' packets with other addresses, and switch the rest.

What does not belong here: the tables and their order (``pipeline.py``), tunnels (``flows_tun.py``), the other side
of the provider patches (``flows_provider.py``), security groups (``wiring/firewall/``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from ipaddress import ip_address, ip_network

from ....plan.cloud import Port
from ....state.metadata import METADATA_ADDRESS
from ....state.openflow import Flow
from ...devices import switch_device
from ...firewall.interface import Stage
from ...firewall.registry import firewall_of
from ...node_view import NodeView, is_ipv4, link_local
from ...owners import is_guarded, may_serve_dhcp
from . import names
from .matches import DHCP_DISCOVERY
from .pipeline import (
    ARP_SPOOF,
    BANDWIDTH,
    CANARY,
    DISCOVERY,
    IP_SPOOF,
    MAC_SPOOF,
    PACKET_RATE,
    SORT,
    SWITCH,
    TRANSIENT,
    Pipeline,
)

_TAGGED = "vlan_tci=0x1000/0x1000"
_UNTAGGED = "vlan_tci=0x0000/0x1fff"
_METADATA_IPV6 = "fe80::a9fe:a9fe"  # nothing serves it yet, but guests ask there


# Priorities of the spoof guards: a guest's own addresses, then what no guest may use as another's, then allowed pairs.
_OWN, _OTHERS, _PAIR = 3, 2, 1


def int_flows(view: NodeView) -> list[Flow]:
    """Return all flows of br-int."""
    firewall = firewall_of(view.cloud)
    pipeline = Pipeline(firewall)
    flows = [*_base(pipeline), *_from_providers(view, pipeline), *_discovery(view)]
    guards = SpoofGuards(pipeline)
    guarded = [port for port in view.ports if is_guarded(port)]
    for port in guarded:
        macs = view.macs(port.network)
        flows += guards.flows(switch_device(view.cloud, port), port, view.vlan(port.network), macs)
    flows += _claims(view, guarded)
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
    # A guest with any address may not answer as a DHCP server, whatever its source port, or send router advertisements.
    yield _flow(IP_SPOOF, 20, "udp,tp_dst=68", "drop")
    yield _flow(IP_SPOOF, 20, "udp6,tp_dst=546", "drop")
    yield _flow(IP_SPOOF, 20, "icmp6,icmp_type=134", "drop")
    # Packets without an address: DHCP discovery, router solicitation, multicast reports. Their MAC was checked before.
    yield _flow(IP_SPOOF, 10, "udp,nw_src=0.0.0.0,tp_src=68,tp_dst=67", allowed)
    for kind in (131, 133, 143):
        yield _flow(IP_SPOOF, 10, f"icmp6,ipv6_src=::,icmp_type={kind}", allowed)
    yield from _metadata()
    for stage in (ARP_SPOOF, MAC_SPOOF, IP_SPOOF):
        yield _flow(stage, 0, "", "drop")
    yield _flow(PACKET_RATE, 0, "", pipeline.after(PACKET_RATE))
    yield _flow(BANDWIDTH, 0, "", pipeline.after(BANDWIDTH))
    for match in DHCP_DISCOVERY:
        yield _flow(TRANSIENT, 2, match, pipeline.to(DISCOVERY))
    yield _flow(TRANSIENT, 1, "", pipeline.after(TRANSIENT))
    yield _flow(DISCOVERY, 0, "", pipeline.after(TRANSIENT))


def _metadata() -> Iterator[Flow]:
    """Yield the flows that keep the address of the metadata service from allowed pairs: a guest neither asks for
    metadata from the address of a pair, which can be another guest's, nor answers as the service."""
    yield _flow(ARP_SPOOF, _OTHERS, f"arp,arp_spa={METADATA_ADDRESS}", "drop")
    yield _flow(ARP_SPOOF, _OTHERS, f"icmp6,icmp_type=136,nd_target={_METADATA_IPV6}", "drop")
    for end in ("src", "dst"):
        yield _flow(IP_SPOOF, _OTHERS, f"ip,nw_{end}={METADATA_ADDRESS}", "drop")
        yield _flow(IP_SPOOF, _OTHERS, f"ipv6,ipv6_{end}={_METADATA_IPV6}", "drop")


def _from_providers(view: NodeView, pipeline: Pipeline) -> Iterator[Flow]:
    """Yield the flows that replace a provider network's VLAN by its local VLAN, and drop every other VLAN."""
    past_guards = pipeline.to(PACKET_RATE)
    for bridge in sorted({mapping.bridge for mapping in view.node.mappings}):
        yield _flow(SORT, 2, f"in_port={{{names.int_patch(bridge)}}}", "drop")
    for network in view.networks:
        mapping = view.provider(network)
        if mapping is None:
            continue
        tag = f"dl_vlan={network.segmentation_id}" if network.type == "vlan" else _UNTAGGED
        push = "" if network.type == "vlan" else "push_vlan:0x8100,"
        local = f"set_field:{names.VLAN_PRESENT + view.vlan(network.name)}->vlan_vid,{past_guards}"
        yield _flow(SORT, 3, f"in_port={{{names.int_patch(mapping.bridge)}}},{tag}", push + local)


def _discovery(view: NodeView) -> Iterator[Flow]:
    """Yield the flows that send DHCP discovery only to where a DHCP server can be: the network's DHCP ports, guests
    without port security, and the provider network. Other guests do not see it.

    A packet from a guarded guest has the local VLAN in reg6, and a packet from another node or the provider network is
    tagged. At the end, the switch learns the MAC of the sender: a packet to its own sender is learned and goes nowhere.
    """
    learn = f"move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],{SWITCH}"
    servers = [
        (port.network, f"output:{{{switch_device(view.cloud, port)}}}") for port in view.ports if may_serve_dhcp(port)
    ]
    for network in view.networks:
        vlan, mapping = view.vlan(network.name), view.provider(network)
        here = [output for name, output in servers if name == network.name]
        beyond = names.int_patch(mapping.bridge) if mapping else names.PATCH_TUN if view.dhcp_peers(network) else ""
        tagged = f"push_vlan:0x8100,set_field:{names.VLAN_PRESENT + vlan}->vlan_vid"
        there = [f"clone({tagged},output:{{{beyond}}})"] if beyond else []
        yield _flow(DISCOVERY, 1, f"reg6={vlan:#x}", ",".join([*here, *there, learn]))
        arrived = [f"clone(pop_vlan,{','.join(here)})"] if here else []
        yield _flow(DISCOVERY, 1, f"dl_vlan={vlan}", ",".join([*arrived, learn]))


def _claims(view: NodeView, guarded: Sequence[Port]) -> Iterator[Flow]:
    """Yield the flows by which an allowed pair does not take an address away from the port that has it.

    A guest may send from the addresses of its pairs, but it may not tell others, by ARP or neighbour discovery, that
    the address of another port is at its own MAC. Otherwise it would get the answers to that port, such as its
    metadata. There are no such flows for addresses in nobody's pairs.
    """
    pairs: dict[str, dict[str, set[str]]] = {}  # network → CIDR → ids of the ports with this pair
    for port in guarded:
        for _, cidr in port.allowed_pairs:
            pairs.setdefault(port.network, {}).setdefault(cidr, set()).add(port.id)
    for network in sorted(pairs):
        ranges = [(ip_network(cidr, strict=False), ids) for cidr, ids in pairs[network].items()]
        register = f"reg6={view.vlan(network):#x}"
        for owner, address in view.addresses(network):
            packed = ip_address(address)
            if any(packed in covered and ids != {owner.id} for covered, ids in ranges):
                yield from _claim(register, address)


def _claim(register: str, address: str) -> Iterator[Flow]:
    """Yield the flows that drop what others say about ``address``."""
    if is_ipv4(address):
        yield _flow(ARP_SPOOF, _OTHERS, f"arp,{register},arp_spa={address}", "drop")
        yield _flow(ARP_SPOOF, _OTHERS, f"arp,{register},arp_spa=0.0.0.0,arp_tpa={address}", "drop")
        return
    yield _flow(ARP_SPOOF, _OTHERS, f"icmp6,{register},icmp_type=136,nd_target={address}", "drop")
    yield _flow(IP_SPOOF, _OTHERS, f"icmp6,{register},ipv6_src=::,icmp_type=135,nd_target={address}", "drop")
    for kind in (133, 135):  # solicitations tell the MAC of their sender
        yield _flow(IP_SPOOF, _OTHERS, f"icmp6,{register},ipv6_src={address},icmp_type={kind}", "drop")


class SpoofGuards:
    """Makes the flows that drop a guest's packets with addresses of others: ten flows for a port with one IPv4 address.
    The actions are the same for every port and are looked up once."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.to_arp = pipeline.to(ARP_SPOOF)
        self.to_mac = pipeline.to(MAC_SPOOF)
        self.to_ip = pipeline.to(IP_SPOOF)
        self.allowed = pipeline.after(IP_SPOOF)

    def flows(self, device: str, port: Port, vlan: int, macs: Collection[str]) -> Iterator[Flow]:
        """Yield the guards of ``port``, whose switch device is ``device``. ``macs`` are those of all ports of its
        network."""
        from_port, register = f"in_port={{{device}}}", f"set_field:{vlan:#x}->reg6"
        yield _flow(SORT, 10, f"arp,{from_port}", f"{register},{self.to_arp}")
        yield _flow(SORT, 10, f"icmp6,{from_port},icmp_type=136", f"{register},{self.to_arp}")
        yield _flow(SORT, 9, from_port, f"{register},{self.to_mac}")
        own = {(port.mac, fixed.address) for fixed in port.fixed_ips} | {(port.mac, link_local(port.mac))}
        pairs = _pairs(port, macs) - own
        for mac in sorted({mac for mac, _ in own | pairs}):
            yield _flow(MAC_SPOOF, 2, f"{from_port},dl_src={mac}", self.to_ip)
        for priority, permitted in ((_OWN, own), (_PAIR, pairs)):
            for mac, address in sorted(permitted):
                ip = self._ipv4 if is_ipv4(address) else self._ipv6
                yield from ip(priority, from_port, mac, address)

    def _ipv4(self, priority: int, from_port: str, mac: str, address: str) -> Iterator[Flow]:
        guest = f"arp,{from_port},dl_src={mac}"
        claim = f"{guest}{_field('arp_spa', address)},arp_sha={mac}"
        yield _flow(ARP_SPOOF, priority, claim, self.allowed)
        # Probes (RFC 5227) only for its own address: a probe for another guest's address would make that guest give it
        # up.
        probe = f"{guest},arp_spa=0.0.0.0{_field('arp_tpa', address)},arp_op=1,arp_sha={mac}"
        yield _flow(ARP_SPOOF, priority, probe, self.allowed)
        source = _field("nw_src", address)
        yield _flow(IP_SPOOF, priority, f"ip,{from_port},dl_src={mac}{source}", self.allowed)

    def _ipv6(self, priority: int, from_port: str, mac: str, address: str) -> Iterator[Flow]:
        target, source = _field("nd_target", address), _field("ipv6_src", address)
        # The next two stages check the MAC and the source address of an advertisement.
        yield _flow(ARP_SPOOF, priority, f"icmp6,{from_port},icmp_type=136{target}", self.to_mac)
        probe = f"icmp6,{from_port},dl_src={mac},ipv6_src=::,icmp_type=135{target}"
        yield _flow(IP_SPOOF, priority, probe, self.allowed)
        yield _flow(IP_SPOOF, priority, f"ipv6,{from_port},dl_src={mac}{source}", self.allowed)


def _field(name: str, address: str) -> str:
    """Return ``,name=address``; "" if the address is the CIDR of all addresses, as the switch writes this match."""
    return "" if address.endswith("/0") else f",{name}={address}"


def _pairs(port: Port, macs: Collection[str]) -> set[tuple[str, str]]:
    """Return each (MAC, address or CIDR) of the port's allowed pairs, and the link-local addresses of their MACs. A
    pair with the MAC of another port of the network is left out: the switch would send that port's packets here."""
    pairs = {(mac or port.mac, cidr.removesuffix("/32").removesuffix("/128")) for mac, cidr in port.allowed_pairs}
    pairs = {(mac, address) for mac, address in pairs if mac == port.mac or mac not in macs}
    return pairs | {(mac, link_local(mac)) for mac, _ in pairs}

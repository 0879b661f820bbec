"""Flows of br-int: provider VLANs come in, guests are held to their own addresses, the rest is switched (NORMAL).

Tables (Neutron's numbers; 26 is ours): 0 sorts by port; 23 canary; 24 ARP and neighbour advertisements of guests; 25
their MAC; 26 their IP addresses; 58 and 59 the places of the rate meters; 60 switches.
Security groups will go between 26 and 58.
What does not belong here: tunnels (``flows_tun.py``), the far side of the provider patches (``flows_provider.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address

from ....plan.cloud import OWNER_INSTANCE, Port
from ....state.openflow import Flow
from ... import names
from ...node_view import NodeView, is_ipv4

INGRESS, CANARY, ARP_SPOOF, MAC_SPOOF, IP_SPOOF, PACKET_RATE, BANDWIDTH, TRANSIENT = 0, 23, 24, 25, 26, 58, 59, 60

_TAGGED = "vlan_tci=0x1000/0x1000"
_UNTAGGED = "vlan_tci=0x0000/0x1fff"


def int_flows(view: NodeView) -> list[Flow]:
    """Every flow of br-int."""
    found = list(_base())
    for bridge in sorted({mapping.bridge for mapping in view.node.mappings}):
        found.append(_flow(INGRESS, 2, f"in_port={{{names.int_patch(bridge)}}}", "drop"))
    for network in view.networks:
        mapping = view.mappings.get(network.physical_network)
        if mapping is None or network.type not in ("vlan", "flat"):
            continue
        tag = f"dl_vlan={network.segmentation_id}" if network.type == "vlan" else _UNTAGGED
        push = "" if network.type == "vlan" else "push_vlan:0x8100,"
        local = f"set_field:{names.VLAN_PRESENT + view.vlan(network.name)}->vlan_vid,resubmit(,{PACKET_RATE})"
        found.append(_flow(INGRESS, 3, f"in_port={{{names.int_patch(mapping.bridge)}}},{tag}", push + local))
    for port in view.ports:
        if port.owner == OWNER_INSTANCE and port.port_security:
            found += _guards(port)
    return found


def _flow(table: int, priority: int, match: str, actions: str) -> Flow:
    return Flow(names.BR_INT, table, priority, match, actions)


def _base() -> Iterator[Flow]:
    """What every node has, whatever its ports. Only guarded ports ever get into tables 24 to 26."""
    yield _flow(INGRESS, 65535, "dl_vlan=4095", "drop")
    yield _flow(INGRESS, 0, "", f"resubmit(,{PACKET_RATE})")
    yield _flow(CANARY, 0, "", "drop")
    for table in (ARP_SPOOF, MAC_SPOOF):
        yield _flow(table, 30, _TAGGED, "drop")  # a guest's tag would choose the network it gets into
    # A guest is no DHCP server and no router, whatever its address.
    yield _flow(IP_SPOOF, 20, "udp,tp_src=67,tp_dst=68", "drop")
    yield _flow(IP_SPOOF, 20, "udp6,tp_src=547,tp_dst=546", "drop")
    yield _flow(IP_SPOOF, 20, "icmp6,icmp_type=134", "drop")
    # Without an address yet: DHCP discovery, router solicitation, multicast reports. The MAC has been checked by now.
    yield _flow(IP_SPOOF, 10, "udp,nw_src=0.0.0.0,tp_src=68,tp_dst=67", f"resubmit(,{PACKET_RATE})")
    for kind in (131, 133, 143):
        yield _flow(IP_SPOOF, 10, f"icmp6,ipv6_src=::,icmp_type={kind}", f"resubmit(,{PACKET_RATE})")
    for table in (ARP_SPOOF, MAC_SPOOF, IP_SPOOF):
        yield _flow(table, 0, "", "drop")
    yield _flow(PACKET_RATE, 0, "", f"resubmit(,{BANDWIDTH})")
    yield _flow(BANDWIDTH, 0, "", f"resubmit(,{TRANSIENT})")
    yield _flow(TRANSIENT, 1, "", "NORMAL")


def _guards(port: Port) -> Iterator[Flow]:
    """The spoof guards of a guest's port: ten flows for one IPv4 address."""
    from_port = f"in_port={{{port.tap}}}"
    yield _flow(INGRESS, 10, f"arp,{from_port}", f"resubmit(,{ARP_SPOOF})")
    yield _flow(INGRESS, 10, f"icmp6,{from_port},icmp_type=136", f"resubmit(,{ARP_SPOOF})")
    yield _flow(INGRESS, 9, from_port, f"resubmit(,{MAC_SPOOF})")
    permitted = _permitted(port)
    for mac in sorted({mac for mac, _ in permitted}):
        yield _flow(MAC_SPOOF, 2, f"{from_port},dl_src={mac}", f"resubmit(,{IP_SPOOF})")
    for mac, address in permitted:
        yield from _guards_ipv4(from_port, mac, address) if is_ipv4(address) else _guards_ipv6(from_port, mac, address)


def _guards_ipv4(from_port: str, mac: str, address: str) -> Iterator[Flow]:
    sender = f"dl_src={mac},arp_sha={mac}"
    yield _flow(ARP_SPOOF, 2, f"arp,{from_port},{sender},arp_spa={address}", f"resubmit(,{PACKET_RATE})")
    # A probe for its own address only (RFC 5227): one for another's address would make the owner give it up.
    probe = f"arp,{from_port},{sender},arp_op=1,arp_spa=0.0.0.0,arp_tpa={address}"
    yield _flow(ARP_SPOOF, 3, probe, f"resubmit(,{PACKET_RATE})")
    yield _flow(IP_SPOOF, 2, f"ip,{from_port},dl_src={mac},nw_src={address}", f"resubmit(,{PACKET_RATE})")


def _guards_ipv6(from_port: str, mac: str, address: str) -> Iterator[Flow]:
    # An advertisement still has its MAC and source address checked in 25 and 26.
    yield _flow(ARP_SPOOF, 2, f"icmp6,{from_port},icmp_type=136,nd_target={address}", f"resubmit(,{MAC_SPOOF})")
    probe = f"icmp6,{from_port},dl_src={mac},ipv6_src=::,icmp_type=135,nd_target={address}"
    yield _flow(IP_SPOOF, 3, probe, f"resubmit(,{PACKET_RATE})")
    yield _flow(IP_SPOOF, 2, f"ipv6,{from_port},dl_src={mac},ipv6_src={address}", f"resubmit(,{PACKET_RATE})")


def _permitted(port: Port) -> list[tuple[str, str]]:
    """(MAC, address or CIDR) that the guest may send from: its own, its MACs' link-local ones, the allowed pairs."""
    found = {(port.mac, one.address) for one in port.fixed_ips}
    found |= {(mac or port.mac, cidr.removesuffix("/32").removesuffix("/128")) for mac, cidr in port.allowed_pairs}
    found |= {(mac, _link_local(mac)) for mac in {mac for mac, _ in found} | {port.mac}}
    return sorted(found)


def _link_local(mac: str) -> str:
    """The link-local address that a guest derives from its MAC (modified EUI-64)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    host = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + host))

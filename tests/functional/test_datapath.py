"""The wiring's flows on real Open vSwitch bridges: which packets guests can send, and where these packets go."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from clouds import make_port, provider_cloud, tap_of
from frames import BROADCAST, arp, ethernet, icmp6, ip_packet, mac, udp
from guests_lab import (
    LEARNED,
    LOCAL2,
    LOCAL4,
    MAC1,
    MAC2,
    MAC4,
    OTHER,
    PORTS,
    TO_COMPUTE1,
    TO_NETWORK1,
    VM1,
    VM2,
    VM3,
    VM4,
    passes,
    s1_with_more,
    v4,
    v6,
)
from headworks.node.openflow.ofctl import dump
from headworks.node.openflow.syntax import parse
from headworks.plan.cloud import OWNER_INSTANCE
from headworks.wiring.documents import wire
from ovs_lab import GROUP, OFCTL, OvsLab, run
from router_lab import nft_text


@pytest.fixture(scope="module")
def compute2() -> Iterator[OvsLab]:
    """compute2 of S1, with the guests of ``s1_with_more``."""
    lab = OvsLab(wire(s1_with_more())["compute2"], "wdp")
    lab.up()
    for name in PORTS:
        lab.guest(PORTS[name].id)
    yield lab
    lab.down()


@pytest.fixture(scope="module")
def provider() -> Iterator[OvsLab]:
    """The all-in-one node with a vlan, a flat and a local network."""
    lab = OvsLab(wire(provider_cloud())["all1"], "wpr")
    lab.up()
    yield lab
    lab.down()


def advertisement(target: str, source: str = LOCAL2) -> bytes:
    """A neighbour advertisement for ``target``, to vm4."""
    body = b"\x20\0\0\0" + ip_address(target).packed + b"\x02\x01" + mac(MAC2)
    return v6(source, LOCAL4, 58, icmp6(source, LOCAL4, 136, body))


def solicitation(target: str, source: str = "::") -> bytes:
    """A neighbour solicitation for ``target``, to vm4 (duplicate address detection when from ``::``)."""
    return v6(source, LOCAL4, 58, icmp6(source, LOCAL4, 135, bytes(4) + ip_address(target).packed))


def tagged(vlan: int) -> Callable[[], bytes]:
    """Return a function that makes a packet in which only the VLAN tag is forbidden."""
    return lambda: ethernet(MAC2, MAC4, 0x0800, ip_packet(VM2, VM4, 17, udp(1000, 2000)), vlan=vlan)


ALLOWED: dict[str, Callable[[], bytes]] = {
    "own IPv4": lambda: v4(VM2, VM4, udp(1000, 2000)),
    "ARP request": lambda: arp(1, (MAC2, VM2), ("00:00:00:00:00:00", VM4)),
    "gratuitous ARP": lambda: arp(1, (MAC2, VM2), ("00:00:00:00:00:00", VM2)),
    "ARP probe for itself": lambda: arp(1, (MAC2, "0.0.0.0"), ("00:00:00:00:00:00", VM2)),
    "link-local IPv6": lambda: v6(LOCAL2, LOCAL4, 17, udp(1000, 2000)),
    "own advertisement": lambda: advertisement(LOCAL2),
    "address detection for itself": lambda: solicitation(LOCAL2),
    "solicitation of a neighbour": lambda: solicitation(LOCAL4, LOCAL2),
    "router solicitation": lambda: v6(
        "::", "ff02::2", 58, icmp6("::", "ff02::2", 133, bytes(4)), dst_mac="33:33:00:00:00:02"
    ),
    "metadata request": lambda: v4(VM2, "169.254.169.254", udp(1000, 80)),
}

FORBIDDEN: dict[str, Callable[[], bytes]] = {
    "another's IPv4": lambda: v4(VM1, VM4, udp(1000, 2000)),
    "no IPv4 address": lambda: v4("0.0.0.0", VM4, udp(1000, 2000)),
    "another's MAC": lambda: v4(VM2, VM4, udp(1000, 2000), src_mac=OTHER),
    "ARP with another's IPv4": lambda: arp(1, (MAC2, VM1), ("00:00:00:00:00:00", VM4)),
    "ARP answer for another": lambda: arp(2, (MAC2, VM1), (MAC4, VM4)),
    "ARP with another's MAC inside": lambda: arp(1, (OTHER, VM2), ("00:00:00:00:00:00", VM4), source=MAC2),
    "ARP from another MAC": lambda: arp(1, (MAC2, VM2), ("00:00:00:00:00:00", VM4), source=OTHER),
    "ARP probe for another": lambda: arp(1, (MAC2, "0.0.0.0"), ("00:00:00:00:00:00", VM4)),
    "DHCP offer": lambda: v4(VM2, VM4, udp(67, 68)),
    "DHCP offer to all": lambda: v4(VM2, "255.255.255.255", udp(67, 68), dst_mac=BROADCAST),
    "DHCP offer from another port": lambda: v4(VM2, VM4, udp(1000, 68)),
    "DHCP offer from another port to all": lambda: v4(VM2, "255.255.255.255", udp(68, 68), dst_mac=BROADCAST),
    "DHCP offer without an address": lambda: v4("0.0.0.0", "255.255.255.255", udp(68, 68), dst_mac=BROADCAST),
    "DHCPv6 answer": lambda: v6(LOCAL2, LOCAL4, 17, udp(547, 546)),
    "DHCPv6 answer from another port": lambda: v6(LOCAL2, LOCAL4, 17, udp(1000, 546)),
    "router advertisement": lambda: v6(
        LOCAL2, "ff02::1", 58, icmp6(LOCAL2, "ff02::1", 134, bytes(12)), dst_mac="33:33:00:00:00:01"
    ),
    "DHCP discover from another MAC": lambda: v4("0.0.0.0", "255.255.255.255", udp(68, 67), OTHER, BROADCAST),
    "another's link-local address": lambda: v6("fe80::1", LOCAL4, 17, udp(1000, 2000)),
    "a global IPv6 address": lambda: v6("2001:db8::5", LOCAL4, 17, udp(1000, 2000)),
    "advertisement for another": lambda: advertisement("fe80::1"),
    "advertisement from another": lambda: advertisement(LOCAL2, source="fe80::1"),
    "address detection for another": lambda: solicitation(LOCAL4),
    "another ethertype": lambda: ethernet(MAC2, MAC4, 0x88B5, bytes(46)),
    "RARP": lambda: ethernet(MAC2, BROADCAST, 0x8035, bytes(46)),
    "a VLAN tag of its own network": tagged(1),
    "a VLAN tag of another network": tagged(2),
    "VLAN tag zero": tagged(0),
    "the dead VLAN": tagged(4095),
}


@pytest.mark.parametrize("what", ALLOWED)
def test_guest_can_send_from_its_own_addresses(compute2: OvsLab, what: str) -> None:
    assert passes(compute2, PORTS["vm2"], PORTS["vm4"], ALLOWED[what](), v4(VM2, VM4, udp(1, 2)))


@pytest.mark.parametrize("what", FORBIDDEN)
def test_guest_cannot_send_forbidden_packets(compute2: OvsLab, what: str) -> None:
    assert not passes(compute2, PORTS["vm2"], PORTS["vm4"], FORBIDDEN[what](), v4(VM2, VM4, udp(1, 2)))


@pytest.mark.parametrize(
    "what",
    [
        "another's IPv4",
        "another's MAC",
        "ARP answer for another",
        "another ethertype",
        "DHCP offer",
        "DHCP offer from another port",
    ],
)
def test_port_without_security_sends_anything(compute2: OvsLab, what: str) -> None:
    assert passes(compute2, PORTS["free"], PORTS["vm4"], FORBIDDEN[what](), v4(VM2, VM4, udp(1, 2)))


@pytest.mark.parametrize(("address", "through"), [("10.18.0.7", True), ("10.18.0.100", True), ("10.18.0.112", False)])
def test_allowed_pair_admits_its_range_and_no_more(compute2: OvsLab, address: str, through: bool) -> None:
    port = PORTS["pair"]
    fence = v4("10.18.0.7", VM4, udp(1, 2), port.mac)
    assert passes(compute2, port, PORTS["vm4"], v4(address, VM4, udp(5, 6), port.mac), fence) is through
    claim = arp(1, (port.mac, address), ("00:00:00:00:00:00", VM4))
    assert passes(compute2, port, PORTS["vm4"], claim, fence) is through


def test_guest_of_another_network_on_the_same_node_sees_nothing(compute2: OvsLab) -> None:
    vm3 = make_port("internal2", VM3, "compute2", OWNER_INSTANCE, "vm3")
    receivers = [compute2.guest(vm3.id), compute2.guest(PORTS["vm4"].id)]
    compute2.guest(PORTS["vm2"].id).send(arp(1, (MAC2, VM2), ("00:00:00:00:00:00", "10.18.0.200")) + b"<to all>")
    assert receivers[1].until(b"<to all>")
    with pytest.raises(TimeoutError):
        receivers[0].until(b"<to all>", seconds=0.2)


def test_arp_for_a_known_remote_address_is_answered_here_and_not_flooded(compute2: OvsLab) -> None:
    tunnels = [compute2.socket("", name) for name in (TO_COMPUTE1, TO_NETWORK1)]
    guest = compute2.guest(PORTS["vm2"].id)
    guest.send(arp(1, (MAC2, VM2), ("00:00:00:00:00:00", VM1)) + b"<question>")
    answer = guest.until(mac(MAC1) + bytes([10, 18, 0, 3]))[-1]
    assert answer[:14] == mac(MAC2) + mac(MAC1) + b"\x08\x06"
    assert answer[20:42] == b"\0\x02" + mac(MAC1) + bytes([10, 18, 0, 3]) + mac(MAC2) + bytes([10, 18, 0, 4])
    for tunnel in tunnels:
        with pytest.raises(TimeoutError):
            tunnel.until(b"<question>", seconds=0.2)


def test_arp_for_an_address_of_the_other_network_is_not_answered(compute2: OvsLab) -> None:
    guest = compute2.guest(PORTS["vm2"].id)
    guest.send(arp(1, (MAC2, VM2), ("00:00:00:00:00:00", "10.22.22.1")))
    with pytest.raises(TimeoutError):
        guest.until(b"\x08\x06\0\x01\x08\0\x06\x04\0\x02", seconds=0.3)


def test_unicast_uses_only_the_tunnel_to_the_node_of_the_address(compute2: OvsLab) -> None:
    flow = f"in_port={{patch-int}},udp,dl_vlan=1,dl_src={MAC2},dl_dst={MAC1},nw_src={VM2},nw_dst={VM1}"
    assert compute2.outputs("br-tun", flow) == {TO_COMPUTE1}
    assert "set_field:0x2->tun_id" in compute2.trace("br-tun", flow)
    sent = v4(VM2, VM1, udp(7, 8), dst_mac=MAC1) + b"<unicast>"
    tunnel = compute2.socket("", TO_COMPUTE1)
    compute2.guest(PORTS["vm2"].id).send(sent)
    assert tunnel.until(b"<unicast>")[-1] == sent, "it must go out untagged and unchanged"


@pytest.mark.parametrize(
    ("vlan", "where"), [(1, {TO_COMPUTE1, TO_NETWORK1}), (2, {TO_NETWORK1}), (3, set()), (9, set())]
)
def test_flood_reaches_exactly_the_nodes_with_members(compute2: OvsLab, vlan: int, where: set[str]) -> None:
    flow = f"in_port={{patch-int}},udp,dl_vlan={vlan},dl_src={MAC2},dl_dst={BROADCAST}"
    assert compute2.outputs("br-tun", flow) == where


@pytest.mark.parametrize(("tunnel_id", "arrives"), [(2, True), (3, False), (7, False)])
def test_packets_from_a_tunnel_reach_a_guest_only_with_the_id_of_its_network(
    compute2: OvsLab, tunnel_id: int, arrives: bool
) -> None:
    flow = f"in_port={{{TO_COMPUTE1}}},tun_id={tunnel_id},udp,dl_src={MAC1},dl_dst={BROADCAST},nw_src={VM1}"
    found = compute2.outputs("br-tun", flow)
    assert (tap_of(PORTS["vm2"]) in found) is arrives
    assert not found & {TO_COMPUTE1, TO_NETWORK1}, "a packet from a tunnel must not leave by a tunnel"


def test_packets_from_a_node_without_a_port_of_the_network_are_dropped(compute2: OvsLab) -> None:
    """internal2 has ports here and on network1, and none on compute1."""
    vm3 = make_port("internal2", VM3, "compute2", OWNER_INSTANCE, "vm3")
    for tunnel, arrives in ((TO_NETWORK1, True), (TO_COMPUTE1, False)):
        flow = f"in_port={{{tunnel}}},tun_id=3,udp,dl_src={OTHER},dl_dst={BROADCAST},nw_src=10.22.22.9"
        assert (tap_of(vm3) in compute2.outputs("br-tun", flow)) is arrives


def test_unknown_address_behind_a_remote_guest_is_learned(compute2: OvsLab) -> None:
    behind = "fa:16:3e:77:77:77"
    question = f"in_port={{patch-int}},udp,dl_vlan=1,dl_src={MAC2},dl_dst={behind}"
    assert compute2.outputs("br-tun", question) == {TO_COMPUTE1, TO_NETWORK1}
    arriving = f"in_port={{{TO_COMPUTE1}}},tun_id=2,udp,dl_src={behind},dl_dst={MAC2}"
    compute2.trace("br-tun", arriving, "-generate")
    learned = run(*OFCTL, "dump-flows", compute2.ours("br-tun"), f"table=20,cookie={LEARNED}/-1")
    assert behind in learned
    assert compute2.outputs("br-tun", question) == {TO_COMPUTE1}


def test_guest_cannot_reach_the_node_itself(compute2: OvsLab) -> None:
    """The node's kernel gets the packets that a packet socket reads. Without the host's tables it answers them,
    whatever the flows are."""
    node = "10.18.0.250"
    guest, tap = compute2.guest(PORTS["vm2"].id), tap_of(PORTS["vm2"])
    tables = "".join(nft_text(table) for table in compute2.sections["nft"]).replace("26743", str(GROUP))
    run("ip", "address", "add", f"{node}/32", "dev", "lo")
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind((node, 0))
    listener.settimeout(0.3)
    target = Path("/sys/class/net", tap, "address").read_text().strip()
    knock = v4(VM2, node, udp(1000, listener.getsockname()[1], b"knock"), dst_mac=target)
    answer = mac(target) + bytes([10, 18, 0, 250]) + mac(MAC2)

    def answers() -> tuple[bool, bool]:
        guest.send(arp(1, (MAC2, VM2), ("00:00:00:00:00:00", node)))
        guest.send(knock)
        try:
            heard = listener.recv(100) == b"knock"
        except TimeoutError:
            heard = False
        try:
            return bool(guest.until(answer, seconds=0.3)), heard
        except TimeoutError:
            return False, heard

    try:
        assert answers() == (True, True), "without the tables the node must answer"
        run("nft", "-f", "-", text=tables.replace("headworks", "wdp"))
        assert answers() == (False, False)
    finally:
        for family in ("inet", "arp"):
            subprocess.run(["nft", "delete", "table", family, "wdp"], capture_output=True, check=False)
        run("ip", "address", "del", f"{node}/32", "dev", "lo")
        listener.close()


def test_switch_has_exactly_the_flows_of_the_wiring(compute2: OvsLab, provider: OvsLab) -> None:
    for lab in (compute2, provider):
        for bridge in lab.bridges:
            words = [*OFCTL, "diff-flows", lab.ours(bridge), "/dev/stdin"]
            done = subprocess.run(words, input=lab.flow_texts(bridge), capture_output=True, text=True, check=False)
            assert not done.stderr
            assert [line for line in done.stdout.splitlines() if LEARNED not in line] == []


def test_matches_are_spelled_as_the_switch_prints_them(compute2: OvsLab, provider: OvsLab) -> None:
    """The node recognises its flows by their text. A flow with another text needs a slower comparison by ovs-ofctl."""
    for lab in (compute2, provider):
        for bridge in lab.bridges:
            printed = {parse(f" {line}").where for line in dump(lab.ours(bridge))}
            flows = re.findall(r"^table=(\d+),priority=(\d+)(?:,(.+?))?,actions=", lab.flow_texts(bridge), re.MULTILINE)
            assert len(flows) == len(lab.flow_texts(bridge).splitlines()) > 2
            ours = {(int(table), int(priority), match) for table, priority, match in flows}
            assert ours - printed == set()


def test_guest_of_a_vlan_network_leaves_with_the_providers_tag(provider: OvsLab) -> None:
    port = make_port("prov", "192.168.12.7", "all1", OWNER_INSTANCE, "prov1")
    wire_side = provider.socket("", provider.nic("br-eth0"))
    provider.guest(port.id).send(arp(1, (port.mac, "192.168.12.7"), ("00:00:00:00:00:00", "192.168.13.2")) + b"<out>")
    assert wire_side.until(b"<out>")[-1][12:18] == b"\x81\0\x07\xd0\x08\x06", "tag 2000 before the ethertype"


@pytest.mark.parametrize(
    ("bridge", "tag", "guest"),
    [
        ("br-eth0", 2000, "prov1"),
        ("br-eth0", 2001, None),
        ("br-eth0", None, None),
        ("br-eth0", 1, None),
        ("br-flat", None, "flat1"),
        ("br-flat", 2, None),
        ("br-flat", 2000, None),
    ],
)
def test_provider_frames_reach_only_the_network_of_their_tag(
    provider: OvsLab, bridge: str, tag: int | None, guest: str | None
) -> None:
    taps = {tap_of(port): port.device for instance in provider_cloud().instances.values() for port in instance.ports}
    vlan = "vlan_tci=0" if tag is None else f"dl_vlan={tag}"
    flow = f"in_port={{{provider.nic(bridge)}}},{vlan},dl_src={OTHER},dl_dst={BROADCAST}"
    found = provider.outputs(bridge, flow)
    assert {taps[name] for name in found if name in taps} == ({guest} if guest else set())


def test_packets_of_a_flat_network_leave_untagged_and_of_a_local_network_never(provider: OvsLab) -> None:
    flat = make_port("flat", "192.168.3.110", "all1", OWNER_INSTANCE, "flat1")
    nic = provider.socket("", provider.nic("br-flat"))
    sent = arp(1, (flat.mac, "192.168.3.110"), ("00:00:00:00:00:00", "192.168.3.1")) + b"<flat>"
    provider.guest(flat.id).send(sent)
    assert nic.until(b"<flat>")[-1] == sent
    local = f"in_port={{phy-br-flat}},dl_vlan=3,dl_src={flat.mac},dl_dst={BROADCAST}"
    assert provider.outputs("br-flat", local) == set()

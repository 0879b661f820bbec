"""What a guest gets by allowed pairs, and who sees the DHCP discovery of a guest, on real Open vSwitch bridges.

What does not belong here: what a guest without allowed pairs can send (``test_datapath.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest
from clouds import tap_of
from frames import BROADCAST, arp, icmp6, mac, udp
from guests_lab import (
    LOCAL2,
    LOCAL4,
    MAC1,
    MAC2,
    MAC4,
    PORTS,
    TO_COMPUTE1,
    TO_NETWORK1,
    VM1,
    VM2,
    VM4,
    passes,
    s1_with_more,
    v4,
    v6,
)
from headworks.wiring.documents import wire
from ovs_lab import OvsLab, run


@pytest.fixture(scope="module")
def compute2() -> Iterator[OvsLab]:
    """compute2 of S1, with the guests of ``s1_with_more``."""
    lab = OvsLab(wire(s1_with_more())["compute2"], "wpd")
    lab.up()
    for name in PORTS:
        lab.guest(PORTS[name].id)
    yield lab
    lab.down()


DISCOVERY: dict[str, Callable[[], bytes]] = {
    "DHCP discover": lambda: v4("0.0.0.0", "255.255.255.255", udp(68, 67), dst_mac=BROADCAST),
    "DHCP rebinding": lambda: v4(VM2, "255.255.255.255", udp(68, 67), dst_mac=BROADCAST),
    "DHCPv6 solicit": lambda: v6(LOCAL2, "ff02::1:2", 17, udp(546, 547), dst_mac="33:33:00:01:00:02"),
}

WIDE, TO_MAC, TO = PORTS["wide"].mac, PORTS["pair"].mac, "10.18.0.7"
WIDE_LOCAL = "fe80::f816:3eff:fe12:8"


def wide_v6(source: str, kind: int, target: str, dst: str = "fe80::f816:3eff:fe12:7") -> bytes:
    """A neighbour discovery message of guest ``wide`` about ``target``, which says that its MAC is that of ``wide``."""
    body = bytes(4) + ip_address(target).packed + (b"\x02" if kind == 136 else b"\x01") + b"\x01" + mac(WIDE)
    return v6(source, dst, 58, icmp6(source, dst, kind, body), src_mac=WIDE, dst_mac=TO_MAC)


PAIR_ALLOWED: dict[str, Callable[[], bytes]] = {
    "IPv4 of another guest": lambda: v4(VM4, TO, udp(1000, 2000), WIDE, TO_MAC),
    "IPv4 of nobody": lambda: v4("10.99.0.1", TO, udp(1000, 2000), WIDE, TO_MAC),
    "ARP for an address of nobody": lambda: arp(2, (WIDE, "10.18.0.200"), (TO_MAC, TO)),
    "ARP for itself": lambda: arp(2, (WIDE, "10.18.0.8"), (TO_MAC, TO)),
    "advertisement of nobody's address": lambda: wide_v6(WIDE_LOCAL, 136, "fe80::77"),
    "own metadata request": lambda: v4("10.18.0.8", "169.254.169.254", udp(1000, 80), WIDE, TO_MAC),
}

PAIR_FORBIDDEN: dict[str, Callable[[], bytes]] = {
    "metadata request of another guest": lambda: v4(VM4, "169.254.169.254", udp(1000, 80), WIDE, TO_MAC),
    "metadata request of a guest elsewhere": lambda: v4(VM1, "169.254.169.254", udp(1000, 80), WIDE, TO_MAC),
    "metadata request of nobody": lambda: v4("10.18.0.200", "169.254.169.254", udp(1000, 80), WIDE, TO_MAC),
    "metadata answer": lambda: v4("169.254.169.254", TO, udp(80, 1000), WIDE, TO_MAC),
    "ARP for a guest on this node": lambda: arp(2, (WIDE, VM4), (TO_MAC, TO)),
    "ARP for a guest elsewhere": lambda: arp(2, (WIDE, VM1), (TO_MAC, TO)),
    "ARP for the router": lambda: arp(2, (WIDE, "10.18.0.1"), (TO_MAC, TO)),
    "ARP for the DHCP server": lambda: arp(1, (WIDE, "10.18.0.2"), (TO_MAC, TO)),
    "ARP for the metadata service": lambda: arp(2, (WIDE, "169.254.169.254"), (TO_MAC, TO)),
    "ARP probe for a guest": lambda: arp(1, (WIDE, "0.0.0.0"), ("00:00:00:00:00:00", VM2)),
    "advertisement for another guest": lambda: wide_v6(WIDE_LOCAL, 136, LOCAL4),
    "solicitation from another guest": lambda: wide_v6(LOCAL4, 135, "fe80::f816:3eff:fe12:7"),
    "router solicitation from another guest": lambda: wide_v6(LOCAL4, 133, LOCAL2),
    "address detection for another guest": lambda: wide_v6("::", 135, LOCAL4),
    "advertisement for the metadata service": lambda: wide_v6(WIDE_LOCAL, 136, "fe80::a9fe:a9fe"),
    "DHCP offer": lambda: v4("10.18.0.2", TO, udp(67, 68), WIDE, TO_MAC),
    "the MAC of another guest": lambda: v4("10.18.0.9", TO, udp(1000, 2000), MAC4, TO_MAC),
}

FENCE_OF_WIDE = v4("10.18.0.8", TO, udp(1, 2), WIDE, TO_MAC)


@pytest.mark.parametrize("what", PAIR_ALLOWED)
def test_allowed_pair_lets_a_guest_send_from_any_of_its_addresses(compute2: OvsLab, what: str) -> None:
    assert passes(compute2, PORTS["wide"], PORTS["pair"], PAIR_ALLOWED[what](), FENCE_OF_WIDE)


@pytest.mark.parametrize("what", PAIR_FORBIDDEN)
def test_allowed_pair_takes_neither_the_address_nor_the_metadata_of_another_port(compute2: OvsLab, what: str) -> None:
    assert not passes(compute2, PORTS["wide"], PORTS["pair"], PAIR_FORBIDDEN[what](), FENCE_OF_WIDE)


@pytest.mark.parametrize("what", DISCOVERY)
def test_dhcp_discovery_goes_only_to_where_servers_can_be(compute2: OvsLab, what: str) -> None:
    """The DHCP server is on network1; the guest without port security may be one. Nobody else gets the packet."""
    mark = b"<discovery>"
    server = [compute2.socket("", TO_NETWORK1), compute2.guest(PORTS["free"].id)]
    others = [compute2.guest(PORTS[name].id) for name in ("vm4", "pair", "wide")]
    others.append(compute2.socket("", TO_COMPUTE1))
    sent = DISCOVERY[what]() + mark
    compute2.guest(PORTS["vm2"].id).send(sent)
    assert [receiver.until(mark)[-1] for receiver in server] == [sent, sent], "unchanged and untagged"
    for receiver in others:
        with pytest.raises(TimeoutError):
            receiver.until(mark, seconds=0.1)


@pytest.mark.parametrize("what", DISCOVERY)
def test_dhcp_discovery_from_another_node_reaches_only_servers(compute2: OvsLab, what: str) -> None:
    kinds = {"DHCPv6 solicit": "udp6,dl_dst=33:33:00:01:00:02,udp_src=546,udp_dst=547"}
    match = kinds.get(what, f"udp,dl_dst={BROADCAST},udp_src=68,udp_dst=67")
    arriving = f"in_port={{{TO_COMPUTE1}}},tun_id=2,{match},dl_src={MAC1}"
    compute2.trace("br-tun", arriving, "-generate")  # the switch learns the MAC
    assert compute2.outputs("br-tun", arriving) == {tap_of(PORTS["free"])}


def test_the_switch_learns_the_guest_from_its_discovery_so_the_answer_is_not_flooded(compute2: OvsLab) -> None:
    tunnel = compute2.socket("", TO_NETWORK1)
    run("ovs-appctl", "revalidator/purge")
    run("ovs-appctl", "fdb/flush", compute2.ours("br-int"))
    compute2.guest(PORTS["vm2"].id).send(DISCOVERY["DHCP discover"]() + b"<learn>")
    tunnel.until(b"<learn>")
    offer = f"in_port={{{TO_NETWORK1}}},tun_id=2,udp,dl_src=fa:16:3e:12:00:02,dl_dst={MAC2},nw_src=10.18.0.2,udp_dst=68"
    assert compute2.outputs("br-tun", offer) == {tap_of(PORTS["vm2"])}

"""A guest whose tap is no port of the switch reaches nothing of the node: its frames come to the node's own stack.

A namespace stands for the node. The test opens the tap as QEMU does, so it is the guest. Each kind of frame is sent
through an open link first: there the node answers, so an answer can be seen.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from clouds import s1_cloud
from frames import arp, ethernet, icmp6, ip_packet
from frames import mac as octets
from headworks.engine.converge import converge
from headworks.node.links.links import LinkSubsystem
from headworks.state.links import Link
from headworks.wiring.documents import wire
from router_lab import nft_text
from shell import link, sh

GUEST, GUEST_IP, GUEST_IP6 = "fa:16:3e:00:00:07", "10.18.0.7", "fe80::f816:3eff:fe00:7"
NODE_IP, NODE_IP6 = "192.0.2.21", "2001:db8:1::21"
TAP_IP6, SNOOPED = "fe80::1", "ff02::1:ff00:1"  # the address of an open tap, and its multicast group
TAP = Link("tap7", "tap", 1450)


def echo(target: str) -> bytes:
    body = struct.pack("!HH", 7, 1)
    if ":" in target:
        return ip_packet(GUEST_IP6, target, 58, icmp6(GUEST_IP6, target, 128, body))
    return ip_packet(GUEST_IP, target, 1, b"\x08\x00" + struct.pack("!H", 0xFFFF - 0x0800 - 7 - 1) + body)


def arp_for_the_node(mac: str) -> bytes:
    return arp(1, (GUEST, GUEST_IP), ("00:00:00:00:00:00", NODE_IP))


def ping_ipv4(mac: str) -> bytes:
    return ethernet(GUEST, mac, 0x0800, echo(NODE_IP))


def ping_ipv6(mac: str) -> bytes:
    return ethernet(GUEST, mac, 0x86DD, echo(NODE_IP6))


def ping_all_nodes(mac: str) -> bytes:
    return ethernet(GUEST, "33:33:00:00:00:01", 0x86DD, echo("ff02::1"))


def neighbour_solicitation(mac: str) -> bytes:
    target = bytes(4) + ip_address(TAP_IP6).packed + b"\x01\x01" + octets(GUEST)
    packet = ip_packet(GUEST_IP6, SNOOPED, 58, icmp6(GUEST_IP6, SNOOPED, 135, target))
    return ethernet(GUEST, "33:33:ff:00:00:01", 0x86DD, packet)


FRAMES: dict[str, Callable[[str], bytes]] = {
    "ARP for the node's address": arp_for_the_node,
    "ping of the node": ping_ipv4,
    "IPv6 ping of the node": ping_ipv6,
    "IPv6 ping of all nodes": ping_all_nodes,
    "neighbour solicitation": neighbour_solicitation,
}
NOT_IPV4 = [name for name in FRAMES if name != "ping of the node"]


@contextmanager
def guest(tap: str) -> Iterator[int]:
    """The open tap, as QEMU has it."""
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.ioctl(file, 0x400454CA, struct.pack("16sH22x", tap.encode(), 0x0002 | 0x1000))
        yield file
    finally:
        os.close(file)


def answers(file: int, frame: bytes) -> int:
    """Send a frame as the guest, and return how many frames come to the guest within 0.4 seconds."""
    while select.select([file], [], [], 0.05)[0]:
        os.read(file, 4096)
    os.write(file, frame)
    end, count = time.monotonic() + 0.4, 0
    while select.select([file], [], [], max(0.0, end - time.monotonic()))[0]:
        count += bool(os.read(file, 4096))
    return count


@pytest.fixture
def node(private_root: None) -> None:
    """The node has addresses on a NIC, and routes to everywhere, also to the guest."""
    sh("ip", "link", "set", "lo", "up")
    for key in ("all", "default"):
        Path(f"/proc/sys/net/ipv4/conf/{key}/rp_filter").write_text("0")
    sh("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "wire0")
    for name in ("eth0", "wire0"):
        sh("ip", "link", "set", name, "up")
    sh("ip", "address", "add", f"{NODE_IP}/24", "dev", "eth0")
    sh("ip", "address", "add", f"{NODE_IP6}/64", "nodad", "dev", "eth0")
    assert converge([(LinkSubsystem("cloud"), {TAP.name: TAP})]).changed


def open_the_tap() -> None:
    """Make the tap as it would be without headworks' care, with a way back to the guest."""
    sh("ip", "link", "set", TAP.name, "arp", "on", "addrgenmode", "eui64")
    Path(f"/proc/sys/net/ipv6/conf/{TAP.name}/disable_ipv6").write_text("0")
    sh("ip", "address", "add", f"{TAP_IP6}/64", "nodad", "dev", TAP.name, check=False)
    way_back()


def way_back() -> None:
    sh("ip", "route", "replace", f"{GUEST_IP}/32", "dev", TAP.name)
    for address in (GUEST_IP, GUEST_IP6):  # the second is refused on a link without IPv6
        sh("ip", "neigh", "replace", address, "lladdr", GUEST, "dev", TAP.name, "nud", "permanent", check=False)


def protect() -> None:
    for table in wire(s1_cloud("system"))["compute1"]["sections"]["nft"]:
        if not table["name"]:
            sh("nft", "-f", "-", stdin=nft_text(table))


def counted(names: list[str]) -> dict[str, int]:
    shown = link(TAP.name)
    assert shown is not None
    with guest(TAP.name) as file:
        time.sleep(0.3)  # the link has a carrier now: what the node sends by itself comes first
        return {name: answers(file, FRAMES[name](shown["address"])) for name in names}


@pytest.mark.usefixtures("node")
def test_the_stack_answers_on_a_link_that_is_not_closed() -> None:
    open_the_tap()
    assert [name for name, count in counted(list(FRAMES)).items() if not count] == []


@pytest.mark.usefixtures("node")
def test_without_nftables_the_stack_takes_no_arp_and_no_ipv6_from_a_tap() -> None:
    way_back()
    assert counted(NOT_IPV4) == dict.fromkeys(NOT_IPV4, 0)
    assert counted(["ping of the node"])["ping of the node"] > 0, "only nftables drops IPv4"


@pytest.mark.usefixtures("node")
def test_with_nftables_a_guest_gets_no_answer_at_all() -> None:
    protect()
    way_back()
    assert counted(list(FRAMES)) == dict.fromkeys(FRAMES, 0)


@pytest.mark.usefixtures("node")
def test_nftables_alone_protects_an_open_link() -> None:
    protect()
    open_the_tap()
    assert counted(list(FRAMES)) == dict.fromkeys(FRAMES, 0)


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("device", ["br-int", "br-tun"])
def test_nftables_protects_the_devices_of_the_switches(device: str) -> None:
    converge([(LinkSubsystem("cloud"), {})])
    sh("ip", "tuntap", "add", device, "mode", "tap")
    sh("ip", "link", "set", device, "up")
    sh("ip", "address", "add", "10.18.0.1/24", "dev", device)
    shown = link(device)
    assert shown is not None
    names = list(FRAMES)
    with guest(device) as file:
        time.sleep(0.3)
        sh("ip", "neigh", "replace", GUEST_IP, "lladdr", GUEST, "dev", device, "nud", "permanent")
        assert answers(file, ping_ipv4(shown["address"])) > 0
        protect()
        assert {name: answers(file, FRAMES[name](shown["address"])) for name in names} == dict.fromkeys(names, 0)


@pytest.mark.usefixtures("node")
def test_a_link_that_was_opened_is_closed_again() -> None:
    for command in (["arp", "on"], ["addrgenmode", "eui64"]):
        sh("ip", "link", "set", TAP.name, *command)
    Path(f"/proc/sys/net/ipv6/conf/{TAP.name}/disable_ipv6").write_text("0")
    before = link(TAP.name)
    assert [change["verb"] for change in converge([(LinkSubsystem("cloud"), {TAP.name: TAP})]).changes] == ["change"]
    after = link(TAP.name)
    assert before is not None
    assert after is not None
    assert after["ifindex"] == before["ifindex"]
    assert "NOARP" in after["flags"]
    assert Path(f"/proc/sys/net/ipv6/conf/{TAP.name}/disable_ipv6").read_text() == "1\n"
    assert not converge([(LinkSubsystem("cloud"), {TAP.name: TAP})]).changed

"""Tunnel packets to a node, by real frames: only from peers, only by the tunnel NIC, only with the id of a network.

Both datapaths: nftables in a namespace that stands for the node, and userspace bridges with real tunnel ports.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from clouds import identity, make_port, s1_cloud
from frames import BROADCAST, ethernet, ip_packet, udp
from frames import mac as octets
from headworks.plan.cloud import OWNER_ROUTER_INTERFACE
from headworks.system.netns import in_netns
from headworks.wiring.documents import wire
from ovs_lab import OFCTL, OvsLab, run
from router_lab import nft_text

NODE, COMPUTE1, COMPUTE2, STRANGER = "10.0.1.21", "10.0.1.31", "10.0.1.32", "10.0.1.99"
ROUTER_MAC, SENDER = "fa:16:3e:12:00:01", "02:00:00:00:00:09"
MARKS = iter(range(1 << 30))


def gre(source: str, key: int, inner: bytes, target: str = NODE) -> bytes:
    """A GRE packet with a key, as the cloud's gre tunnels send it."""
    return ip_packet(source, target, 47, b"\x20\0\x65\x58" + key.to_bytes(4, "big") + inner)


# The userspace datapath.


class Node(OvsLab):
    """network1 of S1 with the userspace datapath, with real gre ports and br-phy. A veth stands for each NIC; its far
    end is in a namespace."""

    nics: ClassVar = {"br-phy": "wtgphy", "br-ex": "wtgex"}

    def up(self) -> None:
        super().up()
        self._ours["br-phy"] = "wtg-br-phy"
        run("ovs-vsctl", "add-br", "wtg-br-phy", "--", "set", "bridge", "wtg-br-phy", "datapath_type=netdev",
            "fail_mode=standalone")  # fmt: skip
        for bridge, nic in self.nics.items():
            run("ip", "netns", "add", f"{nic}-far")
            run("ip", "link", "add", nic, "type", "veth", "peer", "name", "eth0", "netns", f"{nic}-far")
            run("ip", "link", "set", nic, "up")
            run("ip", "-n", f"{nic}-far", "link", "set", "eth0", "up")
            run("ovs-vsctl", "add-port", self.ours(bridge), nic)
        run("ip", "address", "add", f"{NODE}/24", "dev", "wtg-br-phy")
        run("ip", "link", "set", "wtg-br-phy", "up")
        for port in self.sections["ovs_ports"]:
            if port.get("type") == "gre":
                options = [f"options:{key}={value}" for key, value in port["options"].items()]
                run("ovs-vsctl", "set", "interface", port["name"], "type=gre", *options)
        self._numbers.clear()
        for bridge in (*self.bridges, "br-phy"):
            self._flows(bridge)

    def down(self) -> None:
        super().down()
        run("ovs-vsctl", "--if-exists", "del-br", "wtg-br-phy")
        for nic in self.nics.values():
            subprocess.run(["ip", "netns", "del", f"{nic}-far"], capture_output=True, check=False)

    def arrives(self, bridge: str, source: str, key: int) -> bool:
        """Whether the router's interface gets a packet that comes to the NIC of ``bridge`` from ``source``."""
        port = make_port("internal", "10.18.0.1", "network1", OWNER_ROUTER_INTERFACE, "r1")
        router = self.socket(f"qrouter-{identity('router r1')}", f"qr-{port.id[:11]}")
        mark = f"<tunnel {next(MARKS)}>".encode()
        inner = ethernet(SENDER, BROADCAST, 0x0800, ip_packet("10.18.0.3", "10.18.0.1", 17, udp(1, 2, mark)))
        target = Path("/sys/class/net/wtg-br-phy/address").read_text().strip()
        frame = ethernet(SENDER, target, 0x0800, gre(source, key, inner))
        self.socket(f"{self.nics[bridge]}-far", "eth0").send(frame)
        try:
            return bool(router.until(mark, seconds=0.5))
        except TimeoutError:
            return False


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    node = Node(wire(s1_cloud("netdev", "gre"))["network1"], "wtg")
    node.up()
    yield node
    node.down()


@pytest.mark.parametrize("source", [COMPUTE1, COMPUTE2])
def test_userspace_a_packet_from_a_peer_arrives(node: Node, source: str) -> None:
    assert node.arrives("br-phy", source, 2)


@pytest.mark.parametrize(
    ("bridge", "source", "key"),
    [
        ("br-phy", STRANGER, 2),
        ("br-phy", COMPUTE1, 9),
        ("br-ex", COMPUTE1, 2),
        ("br-ex", STRANGER, 2),
    ],
)
def test_userspace_a_packet_from_elsewhere_is_dropped(node: Node, bridge: str, source: str, key: int) -> None:
    assert not node.arrives(bridge, source, key)


def test_userspace_a_stranger_is_dropped_by_a_flow_and_other_traffic_of_the_nic_is_not(node: Node) -> None:
    bridge = node.ours("br-phy")
    tail = f"nw_src={STRANGER},nw_dst={NODE},dl_src={SENDER},dl_dst={BROADCAST}"
    for match, passes in (("ip,nw_proto=47", False), ("udp,udp_dst=4789", True), ("tcp,tcp_dst=22", True)):
        trace = run("ovs-appctl", "ofproto/trace", bridge, f"in_port={node.nics['br-phy']},{match},{tail}")
        assert ("Datapath actions: drop" not in trace) is passes, trace
    flows = run(*OFCTL, "dump-flows", "--no-stats", bridge)
    assert "priority=0 actions=NORMAL" in flows, "the switch's own flow stays"


def test_userspace_flows_of_the_underlay_are_those_of_the_wiring(node: Node) -> None:
    done = subprocess.run([*OFCTL, "diff-flows", node.ours("br-phy"), "/dev/stdin"], input=node.flow_texts("br-phy"),
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.stdout.splitlines() == ["-priority=0 actions=NORMAL"]


# The kernel datapath.

NICS = ("02:00:00:00:01:00", "02:00:00:00:01:01")


@pytest.fixture
def kernel(unique: str) -> Iterator[str]:
    """The namespace of a node with the tunnel NIC eth1, another NIC eth0, and the tables of network1. The far ends are
    in the namespaces with -0 and -1."""
    names = (unique, f"{unique}-0", f"{unique}-1")
    for name in names:
        run("ip", "netns", "add", name)
    for number in (0, 1):
        peer = ["type", "veth", "peer", "name", "far", "netns", f"{unique}-{number}"]
        run("ip", "-n", unique, "link", "add", f"eth{number}", "address", NICS[number], *peer)
        run("ip", "-n", unique, "link", "set", f"eth{number}", "up")
        run("ip", "-n", f"{unique}-{number}", "link", "set", "far", "up")
    run("ip", "-n", unique, "address", "add", f"{NODE}/24", "dev", "eth1")
    run("ip", "-n", unique, "address", "add", "10.0.9.21/24", "dev", "eth0")
    with in_netns(unique):
        for key in ("all", "eth0", "eth1"):
            Path(f"/proc/sys/net/ipv4/conf/{key}/rp_filter").write_text("0")
    yield unique
    for name in names:
        run("ip", "netns", "del", name)


def protect(netns: str, kind: str) -> None:
    for table in wire(s1_cloud("system", kind))["network1"]["sections"]["nft"]:
        if not table["name"]:
            run("ip", "netns", "exec", netns, "nft", "-f", "-", text=nft_text(table))


def heard(netns: str, number: int, protocol: int, port: int, source: str, target: str = NODE) -> bool:
    """Whether a program of the node gets a packet that comes to eth<number>."""
    with in_netns(netns):
        kind = socket.SOCK_RAW if protocol == 47 else socket.SOCK_DGRAM
        listener = socket.socket(socket.AF_INET, kind, protocol)
        listener.bind(("0.0.0.0", port))
        listener.settimeout(0.3)
    with in_netns(f"{netns}-{number}"):
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sender.bind(("far", 0))
    mark = b"<tunnel packet>"
    packet = gre(source, 2, mark, target) if protocol == 47 else ip_packet(source, target, 17, udp(5000, port, mark))
    with listener, sender:
        sender.send(octets(NICS[number]) + octets(SENDER) + b"\x08\0" + packet)
        try:
            return mark in listener.recv(2048)
        except TimeoutError:
            return False


KINDS = {"gre": (47, 0), "vxlan": (17, 4789), "geneve": (17, 6081)}


@pytest.mark.parametrize("kind", KINDS)
def test_kernel_only_peers_on_the_tunnel_nic_are_heard(kernel: str, kind: str) -> None:
    number, port = KINDS[kind]
    cases = ((1, COMPUTE1, True), (1, COMPUTE2, True), (1, STRANGER, False), (0, COMPUTE1, False), (0, STRANGER, False))
    assert all(heard(kernel, nic, number, port, source) for nic, source, _ in cases), "without the table all are heard"
    protect(kernel, kind)
    for nic, source, expected in cases:
        assert heard(kernel, nic, number, port, source) is expected, (nic, source)


def test_kernel_other_traffic_stays(kernel: str) -> None:
    protect(kernel, "vxlan")
    assert heard(kernel, 1, 17, 4790, STRANGER)
    assert heard(kernel, 0, 17, 4789, STRANGER, "10.0.9.21"), "another address of the node"
    assert heard(kernel, 1, 47, 0, STRANGER), "the cloud has no gre networks"


def test_kernel_a_link_of_ours_that_is_no_port_of_the_switch_reaches_nothing(kernel: str) -> None:
    """A guest runs, and its tap is no port: then the kernel's stack gets its packets."""
    cloud = s1_cloud("system")
    tables = [table for table in wire(cloud)["compute1"]["sections"]["nft"] if not table["name"]]
    assert heard(kernel, 0, 17, 5555, STRANGER, "10.0.9.21")
    for table in tables:
        run("ip", "netns", "exec", kernel, "nft", "-f", "-", text=nft_text(table))
    assert heard(kernel, 0, 17, 5555, STRANGER, "10.0.9.21")
    run("ip", "-n", kernel, "link", "set", "eth0", "group", "26743")
    assert not heard(kernel, 0, 17, 5555, STRANGER, "10.0.9.21")

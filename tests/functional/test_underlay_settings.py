"""A NIC's bridge has the NIC's MTU and IPv4 sysctls, and the node's own sysctls stay as they are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from headworks.engine.converge import converge
from headworks.node.ovs.bridges import OvsBridgeSubsystem
from headworks.node.underlay import moves, rollback
from headworks.node.underlay.nics import UnderlaySubsystem
from headworks.state.ovs import OvsBridge
from headworks.state.underlay import NicAttachment
from shell import link, sh
from wires import host, namespace, pings

CONF = Path("/proc/sys/net/ipv4/conf")
OWN = {"rp_filter": "2", "arp_ignore": "1", "arp_announce": "2", "accept_redirects": "0"}


@pytest.fixture
def nic(unique: str) -> Iterator[str]:
    """A NIC with MTU 9000 and its own sysctls, with a neighbour in namespace <NIC>-n."""
    name = f"n{unique}"
    namespace(f"{name}-n")
    ends = ["type", "veth", "peer", "name", "eth0", "netns", f"{name}-n"]
    sh("ip", "link", "add", name, "mtu", "9000", *ends)
    sh("ip", "link", "set", "eth0", "mtu", "9000", "up", netns=f"{name}-n")
    sh("ethtool", "-K", "eth0", "tx", "off", netns=f"{name}-n")
    sh("ip", "link", "set", name, "up")
    host(f"{name}-n", "eth0", "10.231.7.2/24")
    sh("ip", "address", "add", "10.231.7.1/24", "dev", name)
    for key, value in OWN.items():
        (CONF / name / key).write_text(value)
    yield name
    attach(name, "")
    moves.forget_move(name)
    rollback.disarm(name)
    converge([(OvsBridgeSubsystem(name), {})])
    sh("ip", "link", "delete", name, check=False)
    sh("ip", "netns", "delete", f"{name}-n")


def attach(nic: str, bridge: str) -> None:
    """Move the NIC into a bridge, or out of its bridge with ""."""
    if bridge:
        converge([(OvsBridgeSubsystem(nic), {bridge: OvsBridge(bridge, "netdev", "standalone")})])
    desired = {nic: NicAttachment(nic, bridge, "netdev")} if bridge else {}
    converge([(UnderlaySubsystem(nic), desired)])
    confirmed = rollback.confirm()
    while confirmed.left:
        confirmed = rollback.confirm()


def mtu_of(device: str) -> int:
    shown = link(device)
    assert shown is not None
    return int(shown["mtu"])


def wait_for_mtu(device: str, mtu: int) -> None:
    deadline = time.monotonic() + 5
    while mtu_of(device) != mtu:
        assert time.monotonic() < deadline, f"{device} has MTU {mtu_of(device)}"
        time.sleep(0.05)


def test_the_bridge_has_the_mtu_of_its_nic_and_follows_it(nic: str) -> None:
    bridge = f"b{nic[1:]}"
    attach(nic, bridge)
    assert mtu_of(bridge) == 9000
    large = ["ping", "-c", "1", "-W", "2", "-M", "do", "-s", "8972", "10.231.7.1"]
    assert "1 received" in sh(*large, netns=f"{nic}-n", check=False)
    sh("ip", "link", "set", nic, "mtu", "1400")
    wait_for_mtu(bridge, 1400)
    attach(nic, "")
    assert mtu_of(nic) == 1400


def test_the_bridge_treats_packets_as_its_nic_did(nic: str) -> None:
    bridge = f"b{nic[1:]}"
    converge([(OvsBridgeSubsystem(nic), {bridge: OvsBridge(bridge, "netdev", "standalone")})])
    defaults = {key: (CONF / bridge / key).read_text().strip() for key in OWN}
    assert defaults != OWN
    attach(nic, bridge)
    assert {key: (CONF / bridge / key).read_text().strip() for key in OWN} == OWN
    assert pings(f"{nic}-n", "10.231.7.1")


def test_a_move_leaves_the_sysctls_of_the_node_alone(nic: str) -> None:
    def node() -> dict[str, str]:
        paths = [
            path
            for family, part in (("ipv4", "all"), ("ipv4", "default"), ("ipv6", "all"), ("ipv6", "default"))
            for path in sorted((Path("/proc/sys/net") / family / "conf" / part).iterdir())
            if path.name != "stable_secret"
        ]
        paths += [Path("/proc/sys/net/ipv4/ip_forward"), *sorted(Path("/proc/sys/net/bridge").glob("*"))]
        return {str(path): path.read_text() for path in paths}

    before = node()
    attach(nic, f"b{nic[1:]}")
    attach(nic, "")
    assert node() == before


def link_local(device: str) -> str:
    return sh("ip", "-6", "address", "show", "dev", device)


def test_the_bridge_of_a_nic_without_addresses_is_no_member_of_its_network(nic: str) -> None:
    bridge = f"b{nic[1:]}"
    sh("ip", "address", "flush", "dev", nic)
    attach(nic, bridge)
    shown = link(bridge)
    assert shown is not None
    assert "UP" in shown["flags"]
    assert link_local(bridge) == ""
    assert Path(f"/proc/sys/net/ipv6/conf/{bridge}/accept_ra").read_text() == "0\n"
    sh("ip", "address", "add", "2001:db8:7::1/64", "nodad", "dev", bridge)
    assert "2001:db8:7::1" in link_local(bridge), "an operator may add an address"


def test_the_bridge_of_a_nic_with_addresses_has_ipv6_as_the_nic_had(nic: str) -> None:
    bridge = f"b{nic[1:]}"
    assert "fe80::" in link_local(nic)
    attach(nic, bridge)
    assert "fe80::" in link_local(bridge)


def test_a_bridge_that_somebody_configured_stays_as_it_is(nic: str) -> None:
    bridge = f"b{nic[1:]}"
    sh("ip", "address", "flush", "dev", nic)
    converge([(OvsBridgeSubsystem(nic), {bridge: OvsBridge(bridge, "netdev", "standalone")})])
    sh("ip", "link", "set", bridge, "up")
    attach(nic, bridge)
    assert Path(f"/proc/sys/net/ipv6/conf/{bridge}/accept_ra").read_text() == "1\n"

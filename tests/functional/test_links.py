"""LinkSubsystem with real links, in a network namespace that stands for the node's root."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from headworks.engine.converge import ConvergeError, Result, converge
from headworks.node.links.links import REMOVAL_GROUP, LinkSubsystem
from headworks.state.links import GROUP, Link
from headworks.system.netns import in_netns
from shell import link, sh

pytestmark = pytest.mark.usefixtures("private_root")
MAC = "fa:16:3e:01:02:03"


@pytest.fixture
def netns(unique: str) -> Iterator[str]:
    sh("ip", "netns", "add", f"{unique}-a")
    yield f"{unique}-a"
    sh("ip", "netns", "delete", f"{unique}-a")


def run(*links: Link, owner: str | None = "cloud") -> Result:
    return converge([(LinkSubsystem(owner), {link.name: link for link in links})])


def labels(result: Result) -> list[str]:
    return [f"{change['verb']} {change['name']}" for change in result.changes]


def existing_link(name: str, netns: str = "") -> dict[str, Any]:
    """Return a link of the node as ``ip`` shows it; the link must exist."""
    shown = link(name, netns)
    assert shown is not None, name
    return shown


def pair(netns: str) -> Link:
    return Link("tap1", "veth", 1450, peer="qr-1", peer_netns=netns, peer_mac=MAC, tx_checksum=False)


def test_a_veth_is_created_with_its_peer_in_the_namespace(netns: str) -> None:
    assert labels(run(pair(netns))) == ["add tap1"]
    veth, peer = existing_link("tap1"), existing_link("qr-1", netns)
    assert (veth["mtu"], veth["group"], "UP" in veth["flags"]) == (1450, str(GROUP), True)
    assert (peer["mtu"], peer["address"]) == (1450, MAC)
    assert not run(pair(netns)).changed


def test_both_ends_in_the_root_namespace_are_up() -> None:
    run(Link("qvb1", "veth", peer="qvo1"))
    for name in ("qvb1", "qvo1"):
        assert existing_link(name)["operstate"] == "UP"
    assert not run(Link("qvb1", "veth", peer="qvo1")).changed
    run()
    assert link("qvb1") is link("qvo1") is None


def test_the_transmit_checksum_offload_is_switched_off(netns: str) -> None:
    run(pair(netns))
    assert "tx-checksumming: off" in sh("ethtool", "-k", "tap1")
    sh("ethtool", "-K", "tap1", "tx", "on")
    assert labels(run(pair(netns))) == ["change tap1"]
    assert "tx-checksumming: off" in sh("ethtool", "-k", "tap1")


def test_a_link_is_changed_in_place(netns: str) -> None:
    run(pair(netns))
    before = existing_link("tap1")
    sh("ip", "link", "set", "tap1", "down")
    desired = replace(pair(netns), mtu=1400, mac="fe:16:3e:01:02:03")
    assert labels(run(desired)) == ["change tap1"]
    after = existing_link("tap1")
    assert after["ifindex"] == before["ifindex"]
    assert (after["mtu"], after["address"], "UP" in after["flags"]) == (1400, "fe:16:3e:01:02:03", True)


def test_a_veth_with_another_peer_is_recreated(netns: str, unique: str) -> None:
    other = f"{unique}-b"
    sh("ip", "netns", "add", other)
    try:
        run(pair(netns))
        assert labels(run(pair(other))) == ["change tap1"]
        assert link("qr-1", netns) is None
        assert link("qr-1", other) is not None
        assert labels(run(replace(pair(other), peer="qr-2"))) == ["change tap1"]
        assert link("qr-2", other) is not None
    finally:
        sh("ip", "netns", "delete", other)


def test_a_veth_that_disappeared_with_its_namespace_is_recreated(netns: str) -> None:
    run(pair(netns))
    sh("ip", "netns", "delete", netns)
    sh("ip", "netns", "add", netns)
    run(pair(netns))
    assert link("qr-1", netns) is not None


def test_many_links_are_removed_and_foreign_links_stay(netns: str) -> None:
    sh("ip", "link", "add", "foreign0", "type", "veth", "peer", "name", "foreign1")
    links = [Link(f"v{i}", "veth", peer=f"p{i}", peer_netns=netns) for i in range(50)]
    run(*links, Link("b0", "bridge"), Link("t0", "tap"))
    assert len(run(links[0]).changes) == 51
    names = {name for name in os.listdir("/proc/sys/net/ipv4/conf") if name[0] in "vbtf"}
    assert names == {"v0", "foreign0", "foreign1"}


@pytest.mark.parametrize("kind", ["veth", "tap", "bridge"])
def test_a_foreign_link_with_a_desired_name_is_refused_and_left_alone(kind: str) -> None:
    sh("ip", "link", "add", "tap1", "type", "bridge")
    before = link("tap1")
    with pytest.raises(ConvergeError, match="tap1 exists and is not ours"):
        run(Link("tap1", kind, peer="p1" if kind == "veth" else ""))
    assert link("tap1") == before


def test_without_an_owner_existing_links_are_used_and_new_links_are_not_marked() -> None:
    sh("ip", "link", "add", "br5", "type", "bridge")
    result = run(Link("br5", "bridge"), Link("br6", "bridge"), owner=None)
    assert labels(result) == ["change br5", "add br6"]  # br5 was down
    assert existing_link("br6")["group"] == "default"


@pytest.mark.parametrize("desired", [True, False])
def test_the_next_run_completes_a_removal_that_was_killed(netns: str, desired: bool) -> None:
    run(pair(netns), Link("tap2", "tap"))
    sh("ip", "link", "set", "tap1", "group", str(REMOVAL_GROUP))
    run(*([pair(netns)] if desired else []))
    tap1 = link("tap1")
    assert (tap1 is not None) == desired
    assert not desired or (tap1 is not None and tap1["group"] == str(GROUP))
    assert link("tap2") is None


def test_a_tap_that_a_guest_has_open_stays_ours_and_unchanged() -> None:
    tap = Link("tap9", "tap", 1450, tx_checksum=False)
    run(tap)
    with open("/dev/net/tun", "r+b", buffering=0) as file:  # as libvirt and QEMU do: with a virtio header
        fcntl.ioctl(file, 0x400454CA, struct.pack("16sH22x", b"tap9", 0x0002 | 0x1000 | 0x4000))
        assert not run(tap).changed
    shown = existing_link("tap9")
    assert shown["linkinfo"]["info_data"]["persist"] is True
    assert shown["group"] == str(GROUP)


def test_a_tap_never_exists_without_its_mark() -> None:
    """An incomplete tap disappears with the process. Here the process is not killed: completing the tap fails."""
    with pytest.raises(ConvergeError):
        run(Link("tap9", "tap", master="nosuchbridge"))
    assert link("tap9") is None


def test_more_taps_are_created_than_one_batch_has() -> None:
    run(*(Link(f"tap{i}", "tap") for i in range(300)))
    assert not run(*(Link(f"tap{i}", "tap") for i in range(300))).changed


def test_a_bridge_keeps_its_mtu_when_it_gets_ports() -> None:
    sh("ip", "link", "add", "nic0", "type", "veth", "peer", "name", "wire0")
    bridge = Link("brq1", "bridge", 1500)
    ports = [Link("tap1", "tap", 1450, master="brq1"), Link("nic0", "existing", 0, master="brq1")]
    assert len(run(bridge, *ports).changes) == 3
    for name, mtu in (("tap1", 1450), ("nic0", 1500)):
        port = existing_link(name)
        assert (port["master"], port["mtu"]) == ("brq1", mtu)
    assert existing_link("brq1")["mtu"] == 1500
    assert not run(bridge, *ports).changed
    assert labels(run(bridge, replace(ports[0], master=""), ports[1])) == ["change tap1"]
    assert "master" not in existing_link("tap1")
    run()
    assert link("nic0") is not None


def test_a_nic_that_does_not_exist_is_refused_by_its_name() -> None:
    with pytest.raises(ConvergeError, match=r"eth7.*no such interface"):
        run(Link("eth7", "existing", 0))


def test_a_name_that_is_not_a_link_name_is_refused() -> None:
    with pytest.raises(ValueError, match="not a link name"):
        Link("tap1 up\nlink delete eth0", "tap")


def test_a_link_of_the_same_name_inside_a_namespace_does_not_count(netns: str) -> None:
    with in_netns(netns):
        sh("ip", "link", "add", "tap1", "type", "bridge")
    assert labels(run(Link("tap1", "tap"))) == ["add tap1"]


def test_the_node_has_no_ipv6_address_on_links_of_guests(netns: str) -> None:
    run(pair(netns), Link("tap2", "tap"))
    sh("ip", "link", "set", "dev", "qr-1", "up", netns=netns)
    for name in ("tap1", "tap2"):
        assert sh("ip", "-6", "address", "show", "dev", name) == "", name
    assert "fe80::" in sh("ip", "-6", "address", "show", "dev", "qr-1", netns=netns), "the peer has an address"

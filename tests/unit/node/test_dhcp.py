"""DHCP: the files dnsmasq reads, the leases, and what is taken for a difference."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from headworks.node.services import daemons
from headworks.node.services.dhcp.dnsmasq import DhcpSubsystem
from headworks.node.services.dhcp.files import CONFIG, HOSTS, NAMES, OPTIONS, render
from headworks.node.services.dhcp.leases import Lease, mended, parse_leases, release_packet, stale
from headworks.state.codec import encode
from headworks.state.dhcp import DhcpHost, DhcpNetwork, DhcpSubnet, HostRoute
from headworks.system import systemd
from headworks.system.systemd import UnitState

A, B = "fa:16:3e:00:00:0a", "fa:16:3e:00:00:0b"
SUBNET = DhcpSubnet(tag="s0", cidr="10.18.0.0/24", server="10.18.0.2", gateway="10.18.0.1")
NET = DhcpNetwork("net1", "qdhcp-net1", "ns-1", subnets=(SUBNET,), hosts=(DhcpHost(A, "10.18.0.3", "vm1"),))


def lines(network: DhcpNetwork, name: str) -> list[str]:
    return render(network, Path("/d"))[name].splitlines()[1:]


class Node:
    """systemd with units that start and stop, and processes that are where they should be."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.active: dict[str, str] = {}
        self.calls: list[tuple[str, ...]] = []
        self.root = tmp_path / "dhcp"
        monkeypatch.setattr(systemd, "RUNTIME_DIR", tmp_path / "system")
        monkeypatch.setattr(systemd, "UNIT_DIR", tmp_path / "etc")
        monkeypatch.setattr(systemd, "UNREAD", tmp_path / "unread")
        monkeypatch.setattr(systemd, "run", self.run)
        monkeypatch.setattr(systemd, "read_states", self.states)
        monkeypatch.setattr(systemd, "in_namespace", lambda pid, netns: True)

    def run(self, args: Sequence[str], **more: object) -> str:
        verb, names = args[1], args[2:]
        self.calls.append(tuple(args[1:]))
        if verb in ("start", "stop"):
            self.active |= dict.fromkeys(names, "active" if verb == "start" else "inactive")
        return ""

    def states(self, pattern: str) -> dict[str, UnitState]:
        return {name: UnitState(state) for name, state in self.active.items()}

    def go(self, *wanted: DhcpNetwork, owner: str | None = "lab") -> list[str]:
        subsystem = DhcpSubsystem(owner, self.root)
        desired = {one.name: one for one in wanted}
        changes = subsystem.diff(desired, subsystem.read(desired))
        self.calls.clear()
        for part in ([one for one in changes if not one.after], [one for one in changes if one.after]):
            if part:
                subsystem.apply(part)
        assert subsystem.diff(desired, subsystem.read(desired)) == []
        return [change.label for change in changes]

    def problems(self, name: str = "net1", owner: str | None = "lab") -> tuple[str, ...]:
        read = DhcpSubsystem(owner, self.root).read({name: NET})
        return tuple(read.objects[name].problems)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Node:
    return Node(monkeypatch, tmp_path)


def test_the_configuration_serves_static_leases_of_known_hosts_only() -> None:
    config = lines(NET, CONFIG)
    assert "dhcp-range=set:s0,10.18.0.0,static,255.255.255.0,86400s" in config
    assert "dhcp-ignore=tag:!known" in config
    assert "dhcp-option-force=option:mtu,1500" in config
    assert "interface=ns-1" in config
    assert "domain=novalocal" in config
    assert "no-resolv" in config
    assert "dhcp-authoritative" not in config  # would refuse guests that chose the network's other server


def test_hosts_and_options_are_not_in_the_configuration_so_that_they_need_no_restart() -> None:
    more = replace(
        NET,
        hosts=(*NET.hosts, DhcpHost(B, "10.18.0.4", "vm2")),
        subnets=(replace(SUBNET, gateway="", dns=("9.9.9.9",), routes=(HostRoute("10.0.0.0/8", "10.18.0.9"),)),),
    )
    assert lines(more, CONFIG) == lines(NET, CONFIG)
    assert lines(more, HOSTS) != lines(NET, HOSTS)
    assert lines(more, OPTIONS) != lines(NET, OPTIONS)


def test_a_host_has_a_lease_and_a_name_in_both_forms() -> None:
    assert lines(NET, HOSTS) == [f"{A},vm1.novalocal,10.18.0.3"]
    assert lines(NET, NAMES) == ["10.18.0.3 vm1.novalocal vm1"]
    bare = replace(NET, domain="", hosts=(DhcpHost(A, "10.18.0.3", ""),))
    assert lines(bare, HOSTS) == [f"{A},host-10-18-0-3,10.18.0.3"]
    assert lines(bare, NAMES) == ["10.18.0.3 host-10-18-0-3"]


def test_option_121_has_the_default_route_and_the_other_subnets_but_only_if_there_are_routes() -> None:
    assert lines(NET, OPTIONS) == ["tag:s0,option:dns-server,10.18.0.2", "tag:s0,option:router,10.18.0.1"]
    routed = replace(SUBNET, routes=(HostRoute("169.254.169.254/32", "10.18.0.2"),))
    other = DhcpSubnet(tag="s1", cidr="10.22.0.0/16", server="10.22.0.2", dns=("9.9.9.9", "1.1.1.1"))
    options = lines(replace(NET, subnets=(routed, other)), OPTIONS)
    routes = "10.22.0.0/16,0.0.0.0,169.254.169.254/32,10.18.0.2,0.0.0.0/0,10.18.0.1"
    assert f"tag:s0,option:classless-static-route,{routes}" in options
    assert f"tag:s0,249,{routes}" in options
    assert "tag:s1,option:dns-server,9.9.9.9,1.1.1.1" in options
    assert "tag:s1,option:router" in options  # an empty one: dnsmasq must not name itself
    assert "tag:s1,option:classless-static-route,10.18.0.0/24,0.0.0.0" in options


def test_ipv6_subnets_and_hosts_have_their_own_forms() -> None:
    six = DhcpSubnet(tag="s6", cidr="fd00:18::/64", server="fd00:18::2")
    network = replace(NET, subnets=(SUBNET, six), hosts=(DhcpHost(A, "fd00:18::3", "vm1"),), lease_seconds=-1)
    assert "dhcp-range=set:s6,fd00:18::,static,64,infinite" in lines(network, CONFIG)
    assert lines(network, HOSTS) == [f"{A},vm1.novalocal,[fd00:18::3]"]
    both = replace(network, hosts=(DhcpHost(A, "fd00:18::3", "vm1"), *NET.hosts, DhcpHost(A, "10.22.0.3", "vm1")))
    assert lines(both, HOSTS) == [f"{A},vm1.novalocal,10.18.0.3,[fd00:18::3]", f"{A},vm1.novalocal,10.22.0.3"]
    assert "tag:s6,option6:dns-server,[fd00:18::2]" in lines(network, OPTIONS)
    assert not any("fd00" in line for line in lines(network, OPTIONS) if "classless" in line)


def test_the_root_namespace_asks_the_nodes_own_resolvers() -> None:
    config = lines(replace(NET, netns=""), CONFIG)
    assert "strict-order" in config
    assert "no-resolv" not in config


@pytest.mark.parametrize(
    "bad",
    [
        replace(NET, domain="a\nuser=root"),
        replace(NET, interface="x,y"),
        replace(NET, hosts=(DhcpHost("FA:16:3E:00:00:0A", "10.18.0.3", "x"),)),
        replace(NET, hosts=(DhcpHost(A, "10.18.0.3", "x,set:evil"),)),
        replace(NET, hosts=(DhcpHost(A, "10.18.0.3,evil", "x"),)),
        replace(NET, subnets=(replace(SUBNET, tag="a,b"),)),
        replace(NET, subnets=(replace(SUBNET, dns=("9.9.9.9\n",)),)),
        replace(NET, subnets=(replace(SUBNET, routes=(HostRoute("10.0.0.0/8", "x"),)),)),
    ],
)
def test_a_value_that_would_be_more_than_a_value_is_refused(bad: DhcpNetwork, node: Node) -> None:
    with pytest.raises(ValueError, match=r"."):
        node.go(bad)
    assert not node.root.exists()


LEASES = f"""\
1700000000 {A} 10.18.0.3 vm1 01:{A}
1700000000 {B} 10.18.0.4 vm2 *
duid 00:01:00:01:aa
1700000000 123 fd00:18::3 vm1 00:01:02
"""


def test_leases_are_read_up_to_the_ipv6_ones() -> None:
    assert parse_leases(LEASES) == [Lease(A, "10.18.0.3", f"01:{A}"), Lease(B, "10.18.0.4", "*")]
    assert parse_leases("") == []


def test_a_lease_is_stale_when_its_host_left_or_moved() -> None:
    leases = parse_leases(LEASES)
    assert stale(leases, [DhcpHost(A, "10.18.0.3", "vm1")]) == [leases[1]]
    assert stale(leases, [DhcpHost(A, "10.18.0.4", "vm1"), DhcpHost(B, "10.18.0.4", "vm2")]) == [leases[0]]


def test_mending_keeps_what_guests_have_drops_what_is_stale_and_seeds_the_rest() -> None:
    hosts = (DhcpHost(A, "10.18.0.3", "vm1"), DhcpHost(B, "10.18.0.5", "vm2"), DhcpHost(A, "fd00:18::3", "vm1"))
    text = mended(LEASES, replace(NET, hosts=hosts), now=1000.5)
    assert text.splitlines() == [
        f"1700000000 {A} 10.18.0.3 vm1 01:{A}",
        f"{1000 + 86400} {B} 10.18.0.5 vm2 *",
        "duid 00:01:00:01:aa",
        "1700000000 123 fd00:18::3 vm1 00:01:02",
    ]
    assert mended(text, replace(NET, hosts=hosts), now=5.0) == text
    assert mended("", replace(NET, lease_seconds=-1), now=5.0) == f"0 {A} 10.18.0.3 vm1 *\n"


def test_a_release_says_what_the_guest_would_say() -> None:
    packet = release_packet(Lease(A, "10.18.0.3", f"01:{A}"), "10.18.0.2")
    assert struct.unpack("!BBBB", packet[:4]) == (1, 1, 6, 0)
    assert packet[12:16] == bytes([10, 18, 0, 3])
    assert packet[28:34] == bytes.fromhex(A.replace(":", ""))
    options = packet[236:]
    assert options.startswith(b"\x63\x82\x53\x63\x35\x01\x07\x36\x04\x0a\x12\x00\x02\x3d\x07\x01\xfa\x16")
    assert 61 not in release_packet(Lease(A, "10.18.0.3"), "10.18.0.2")[240:]


def test_twenty_networks_are_started_by_one_call_and_left_alone_by_the_next_run(node: Node) -> None:
    networks = [replace(NET, name=f"n{number:02}") for number in range(20)]
    assert len(node.go(*networks)) == 20
    assert [call[0] for call in node.calls] == ["start"]
    assert len(node.calls[0]) == 21
    assert node.go(*networks) == []


def test_a_host_more_is_a_reload_and_a_range_more_a_restart(node: Node) -> None:
    node.go(NET)
    more = replace(NET, hosts=(*NET.hosts, DhcpHost(B, "10.18.0.4", "vm2")))
    assert node.go(more) == ["~ dhcp net1"]
    assert node.calls == [("reload", "headworks-dhcp@net1.service")]
    node.go(replace(more, mtu=1400))
    assert [call[0] for call in node.calls] == ["stop", "reset-failed", "start"]


def test_nothing_of_a_removed_network_stays_and_with_the_last_goes_the_unit(node: Node) -> None:
    other = replace(NET, name="net2")
    node.go(NET, other)
    assert node.go(other) == ["- dhcp net1"]
    assert sorted(one.name for one in node.root.iterdir()) == ["net2"]
    assert (systemd.RUNTIME_DIR / "headworks-dhcp@.service").exists()
    node.go()
    assert not node.root.exists()
    assert not list(systemd.RUNTIME_DIR.iterdir())


def test_only_what_bears_our_mark_is_removed(node: Node) -> None:
    node.go(NET, owner="other")
    node.go(replace(NET, name="net2"), owner=None)
    assert node.go() == []
    assert node.go(owner="other") == ["- dhcp net1"]


def test_what_a_killed_run_left_without_a_record_is_ours_to_remove(node: Node) -> None:
    node.go(NET)
    (node.root / "net1" / daemons.RECORD).unlink()
    assert node.go() == ["- dhcp net1"]
    assert node.go() == []


def test_what_is_wrong_on_the_node_is_said(node: Node) -> None:
    node.go(NET)
    assert node.problems() == ()
    assert node.problems(owner="other") == ("it is marked as lab's",)
    (node.root / "net1" / HOSTS).write_text("x")
    (node.root / "net1" / daemons.PENDING).touch()
    node.active["headworks-dhcp@net1.service"] = "failed"
    assert node.problems() == ("an earlier run was cut off", "not as written: hosts", "dnsmasq is failed")
    (node.root / "net1" / daemons.RECORD).write_text('{"cloud": "lab", "record": {"surprise": 1}}')
    assert node.problems() == ("it has no record that can be read",)
    assert node.go(NET) == ["~ dhcp net1"]
    assert node.problems() == ()


def test_a_stale_lease_is_a_difference(node: Node) -> None:
    node.go(NET)
    (node.root / "net1" / "leases").write_text(LEASES)
    assert node.problems() == ("stale leases: 10.18.0.4",)


def test_a_bare_node_reads_as_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "RUNTIME_DIR", tmp_path)
    monkeypatch.setattr(systemd, "read_states", lambda pattern: pytest.fail("nothing to ask systemd for"))
    assert DhcpSubsystem("lab", tmp_path / "none").read({"net1": NET}).objects == {}


def test_the_record_survives_the_node_state_and_reads_well_in_a_diff() -> None:
    again = DhcpSubsystem.load([json.loads(json.dumps(encode(NET)))])["net1"]
    assert again == NET
    assert DhcpSubsystem().describe(NET)["hosts"] == [f"{A} 10.18.0.3 vm1"]

"""DHCP: the files that dnsmasq reads, the leases, and which differences count."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from headworks.node.services import daemons
from headworks.node.services.dhcp.dnsmasq import DhcpSubsystem
from headworks.node.services.dhcp.files import CONFIG, HOSTS, NAMES, OPTIONS, render
from headworks.node.services.dhcp.leases import Lease, parse_leases, release_packet, repair_leases, stale_leases
from headworks.node.subsystem import Change, Effect
from headworks.state.codec import encode
from headworks.state.dhcp import DhcpHost, DhcpNetwork, DhcpSubnet, HostRoute
from headworks.system import systemd
from headworks.system.process import ToolError
from headworks.system.systemd import UnitState

A, B = "fa:16:3e:00:00:0a", "fa:16:3e:00:00:0b"
SUBNET = DhcpSubnet(tag="s0", cidr="10.18.0.0/24", server="10.18.0.2", gateway="10.18.0.1")
NET = DhcpNetwork("net1", "qdhcp-net1", "ns-1", subnets=(SUBNET,), hosts=(DhcpHost(A, "10.18.0.3", "vm1"),))


def lines(network: DhcpNetwork, name: str) -> list[str]:
    return render(network, Path("/d"), "dnsmasq")[name].splitlines()[1:]


class ServiceFailures(ValueError):
    """The daemons that failed, name → why."""

    def __init__(self, failures: Mapping[str, str]) -> None:
        super().__init__("; ".join(failures.values()))
        self.failures = failures


class Node:
    """A simulated systemd: its units start and stop, and its processes run in the namespace of their record. Those in
    ``faulty`` neither start nor reload."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.active: dict[str, str] = {}
        self.calls: list[tuple[str, ...]] = []
        self.faulty: set[str] = set()
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
        faulty = self.faulty.intersection(names) if verb in ("start", "reload") else set()
        if verb == "start":
            self.active |= dict.fromkeys(faulty, "failed")
        if faulty:
            raise ToolError(f"systemctl {verb}: exit 1")
        return "the reason" if args[0] == "journalctl" else ""

    def states(self, pattern: str) -> dict[str, UnitState]:
        return {name: UnitState(state) for name, state in self.active.items()}

    def converge(self, *networks: DhcpNetwork, owner: str | None = "lab") -> list[str]:
        subsystem = DhcpSubsystem(owner, self.root, user="dnsmasq")
        desired = {network.name: network for network in networks}
        changes = subsystem.diff(desired, subsystem.read(desired))
        self.calls.clear()
        removals = [change for change in changes if not change.after]
        for part in (removals, [change for change in changes if change.after]):
            if part and (failures := subsystem.apply(part).failures):
                raise ServiceFailures(failures)
        assert subsystem.diff(desired, subsystem.read(desired)) == []
        return [change.label for change in changes]

    def problems(self, name: str = "net1", owner: str | None = "lab") -> tuple[str, ...]:
        read = DhcpSubsystem(owner, self.root, user="dnsmasq").read({name: NET})
        return tuple(read.objects[name].problems)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Node:
    return Node(monkeypatch, tmp_path)


def test_the_configuration_serves_only_static_leases_of_known_hosts() -> None:
    config = lines(NET, CONFIG)
    assert "dhcp-range=set:s0,10.18.0.0,static,255.255.255.0,86400s" in config
    assert "dhcp-ignore=tag:!known" in config
    assert "dhcp-ignore-clid" in config
    assert "dhcp-option-force=option:mtu,1500" in config
    assert "interface=ns-1" in config
    assert "domain=novalocal" in config
    assert "no-resolv" in config
    assert "dhcp-authoritative" not in config  # would refuse guests that chose the network's other server


def test_other_hosts_and_options_leave_the_configuration_unchanged() -> None:
    more = replace(
        NET,
        hosts=(*NET.hosts, DhcpHost(B, "10.18.0.4", "vm2")),
        subnets=(replace(SUBNET, gateway="", dns=("9.9.9.9",), routes=(HostRoute("10.0.0.0/8", "10.18.0.9"),)),),
    )
    assert lines(more, CONFIG) == lines(NET, CONFIG)
    assert lines(more, HOSTS) != lines(NET, HOSTS)
    assert lines(more, OPTIONS) != lines(NET, OPTIONS)


def test_a_host_has_a_lease_a_full_name_and_a_short_name() -> None:
    assert lines(NET, HOSTS) == [f"{A},vm1.novalocal,10.18.0.3"]
    assert lines(NET, NAMES) == ["10.18.0.3 vm1.novalocal vm1"]


def test_dhcp_gives_the_first_label_of_a_name_with_dots_and_dns_knows_the_whole_name() -> None:
    dotted = replace(NET, hosts=(DhcpHost(A, "10.18.0.3", "vm1.example.org"),))
    assert lines(dotted, HOSTS) == [f"{A},vm1.novalocal,10.18.0.3"]
    assert lines(dotted, NAMES) == ["10.18.0.3 vm1.example.org vm1.novalocal vm1"]


def test_dns_knows_the_first_label_only_if_one_host_has_it() -> None:
    hosts = (DhcpHost(A, "10.18.0.3", "vm1.example.org"), DhcpHost(B, "10.18.0.4", "vm1.example.com"))
    both = replace(NET, hosts=hosts)
    assert lines(both, NAMES) == ["10.18.0.3 vm1.example.org", "10.18.0.4 vm1.example.com"]
    plain = replace(NET, hosts=(hosts[0], DhcpHost(B, "10.18.0.4", "vm1")))
    assert lines(plain, NAMES) == ["10.18.0.3 vm1.example.org", "10.18.0.4 vm1.novalocal vm1"]


def test_a_host_without_a_name_is_named_by_its_address() -> None:
    nameless = replace(NET, domain="", hosts=(DhcpHost(A, "10.18.0.3", ""),))
    assert lines(nameless, HOSTS) == [f"{A},host-10-18-0-3,10.18.0.3"]
    assert lines(nameless, NAMES) == ["10.18.0.3 host-10-18-0-3"]


def test_with_routes_option_121_also_has_the_default_route_and_the_other_subnets() -> None:
    assert lines(NET, OPTIONS) == ["tag:s0,option:dns-server,10.18.0.2", "tag:s0,option:router,10.18.0.1"]
    routed = replace(SUBNET, routes=(HostRoute("169.254.169.254/32", "10.18.0.2"),))
    other = DhcpSubnet(tag="s1", cidr="10.22.0.0/16", server="10.22.0.2", dns=("9.9.9.9", "1.1.1.1"))
    options = lines(replace(NET, subnets=(routed, other)), OPTIONS)
    routes = "10.22.0.0/16,0.0.0.0,169.254.169.254/32,10.18.0.2,0.0.0.0/0,10.18.0.1"
    assert f"tag:s0,option:classless-static-route,{routes}" in options
    assert f"tag:s0,249,{routes}" in options
    assert "tag:s1,option:dns-server,9.9.9.9,1.1.1.1" in options
    assert "tag:s1,option:router" in options  # without a value: dnsmasq must not send its own address as the router
    assert "tag:s1,option:classless-static-route,10.18.0.0/24,0.0.0.0" in options


def test_ipv6_subnets_and_hosts_are_written_in_ipv6_syntax() -> None:
    ipv6_subnet = DhcpSubnet(tag="s6", cidr="fd00:18::/64", server="fd00:18::2")
    network = replace(NET, subnets=(SUBNET, ipv6_subnet), hosts=(DhcpHost(A, "fd00:18::3", "vm1"),), lease_seconds=-1)
    assert "dhcp-range=set:s6,fd00:18::,static,64,infinite" in lines(network, CONFIG)
    assert lines(network, HOSTS) == [f"{A},vm1.novalocal,[fd00:18::3]"]
    both = replace(network, hosts=(DhcpHost(A, "fd00:18::3", "vm1"), *NET.hosts, DhcpHost(A, "10.22.0.3", "vm1")))
    assert lines(both, HOSTS) == [f"{A},vm1.novalocal,10.18.0.3,[fd00:18::3]", f"{A},vm1.novalocal,10.22.0.3"]
    assert "tag:s6,option6:dns-server,[fd00:18::2]" in lines(network, OPTIONS)
    assert not any("fd00" in line for line in lines(network, OPTIONS) if "classless" in line)


def test_in_the_root_namespace_dnsmasq_asks_the_node_s_own_resolvers() -> None:
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
def test_a_value_that_would_end_its_field_or_line_is_refused(bad: DhcpNetwork, node: Node) -> None:
    with pytest.raises(ValueError, match=r"."):
        node.converge(bad)
    assert not node.root.exists()


def three() -> list[DhcpNetwork]:
    return [replace(NET, name=f"net{number}", netns=f"qdhcp-{number}") for number in (1, 2, 3)]


def unit(name: str) -> str:
    return f"headworks-dhcp@{name}.service"


def test_a_server_that_does_not_start_stops_no_other_and_its_log_is_told(node: Node) -> None:
    node.faulty = {unit("net2")}
    with pytest.raises(ServiceFailures) as caught:
        node.converge(*three())
    assert caught.value.failures == {"net2": f"dnsmasq: {unit('net2')} is failed: the reason"}
    assert [node.active[unit(name)] for name in ("net1", "net2", "net3")] == ["active", "failed", "active"]
    assert node.problems("net1") == ()
    node.faulty.clear()
    assert node.converge(*three()) == ["~ dhcp net2"]


def test_a_server_that_does_not_reload_stops_no_other(node: Node) -> None:
    node.converge(*three())
    node.faulty = {unit("net2")}
    changed = [replace(network, hosts=(*network.hosts, DhcpHost(B, "10.18.0.4", "vm2"))) for network in three()]
    with pytest.raises(ServiceFailures) as caught:
        node.converge(*changed)
    assert set(caught.value.failures) == {"net2"}
    assert ("reload", unit("net3")) in node.calls
    node.faulty.clear()
    assert node.converge(*changed) == ["~ dhcp net2"]


def test_a_bad_value_stops_only_its_own_server(node: Node) -> None:
    bad, good, _ = three()
    with pytest.raises(ServiceFailures) as caught:
        node.converge(replace(bad, domain="a b"), good)
    assert set(caught.value.failures) == {"net1"}
    assert node.problems("net2") == ()
    assert not (node.root / "net1").exists()


LEASES = f"""\
1700000000 {A} 10.18.0.3 vm1 01:{A}
1700000000 {B} 10.18.0.4 vm2 *
duid 00:01:00:01:aa
1700000000 123 fd00:18::3 vm1 00:01:02
"""


def test_only_ipv4_leases_are_read() -> None:
    assert parse_leases(LEASES) == [Lease(A, "10.18.0.3", f"01:{A}"), Lease(B, "10.18.0.4", "*")]
    assert parse_leases("") == []


def test_a_lease_is_stale_when_its_host_was_removed_or_has_another_address() -> None:
    leases = parse_leases(LEASES)
    assert stale_leases(leases, [DhcpHost(A, "10.18.0.3", "vm1")]) == [leases[1]]
    assert stale_leases(leases, [DhcpHost(A, "10.18.0.4", "vm1"), DhcpHost(B, "10.18.0.4", "vm2")]) == [leases[0]]


def test_repair_keeps_leases_of_hosts_drops_stale_leases_and_adds_missing_leases() -> None:
    hosts = (DhcpHost(A, "10.18.0.3", "vm1"), DhcpHost(B, "10.18.0.5", "vm2"), DhcpHost(A, "fd00:18::3", "vm1"))
    text = repair_leases(LEASES, replace(NET, hosts=hosts), now=1000.5)
    assert text.splitlines() == [
        f"1700000000 {A} 10.18.0.3 vm1 01:{A}",
        f"{1000 + 86400} {B} 10.18.0.5 vm2 *",
        "duid 00:01:00:01:aa",
        "1700000000 123 fd00:18::3 vm1 00:01:02",
    ]
    assert repair_leases(text, replace(NET, hosts=hosts), now=5.0) == text
    assert repair_leases("", replace(NET, lease_seconds=-1), now=5.0) == f"0 {A} 10.18.0.3 vm1 *\n"


def test_a_release_packet_equals_the_packet_that_the_guest_would_send() -> None:
    packet = release_packet(Lease(A, "10.18.0.3", f"01:{A}"), "10.18.0.2")
    assert struct.unpack("!BBBB", packet[:4]) == (1, 1, 6, 0)
    assert packet[12:16] == bytes([10, 18, 0, 3])
    assert packet[28:34] == bytes.fromhex(A.replace(":", ""))
    options = packet[236:]
    assert options.startswith(b"\x63\x82\x53\x63\x35\x01\x07\x36\x04\x0a\x12\x00\x02\x3d\x07\x01\xfa\x16")
    assert 61 not in release_packet(Lease(A, "10.18.0.3"), "10.18.0.2")[240:]


def test_twenty_networks_are_started_by_one_call_and_the_next_run_changes_nothing(node: Node) -> None:
    networks = [replace(NET, name=f"n{number:02}") for number in range(20)]
    assert len(node.converge(*networks)) == 20
    assert [call[0] for call in node.calls] == ["start"]
    assert len(node.calls[0]) == 21
    assert node.converge(*networks) == []


def test_dnsmasq_is_reloaded_for_another_host_and_restarted_for_another_mtu(node: Node) -> None:
    node.converge(NET)
    more = replace(NET, hosts=(*NET.hosts, DhcpHost(B, "10.18.0.4", "vm2")))
    assert node.converge(more) == ["~ dhcp net1"]
    assert node.calls == [("reload", "headworks-dhcp@net1.service")]
    node.converge(replace(more, mtu=1400))
    assert [call[0] for call in node.calls] == ["stop", "reset-failed", "start"]


def test_a_removed_network_leaves_no_files_and_the_last_network_no_unit(node: Node) -> None:
    other = replace(NET, name="net2")
    node.converge(NET, other)
    assert node.converge(other) == ["- dhcp net1"]
    assert sorted(path.name for path in node.root.iterdir()) == ["net2"]
    assert (systemd.RUNTIME_DIR / "headworks-dhcp@.service").exists()
    node.converge()
    assert not node.root.exists()
    assert not list(systemd.RUNTIME_DIR.iterdir())


def test_only_networks_with_our_mark_are_removed(node: Node) -> None:
    node.converge(NET, owner="other")
    node.converge(replace(NET, name="net2"), owner=None)
    assert node.converge() == []
    assert node.converge(owner="other") == ["- dhcp net1"]


def test_a_directory_without_a_record_is_removed(node: Node) -> None:
    node.converge(NET)
    (node.root / "net1" / daemons.RECORD).unlink()
    assert node.converge() == ["- dhcp net1"]
    assert node.converge() == []


def test_each_difference_between_the_node_and_a_record_is_a_problem(node: Node) -> None:
    node.converge(NET)
    assert node.problems() == ()
    assert node.problems(owner="other") == ("it belongs to cloud lab",)
    (node.root / "net1" / HOSTS).write_text("x")
    (node.root / "net1" / daemons.PENDING).touch()
    node.active["headworks-dhcp@net1.service"] = "failed"
    assert node.problems() == (
        "an earlier run did not complete",
        "files differ from its record: hosts",
        "dnsmasq is failed",
    )
    (node.root / "net1" / daemons.RECORD).write_text('{"cloud": "lab", "record": {"surprise": 1}}')
    assert node.problems() == ("its record is missing or cannot be read",)
    assert node.converge(NET) == ["~ dhcp net1"]
    assert node.problems() == ()


def test_a_stale_lease_is_a_problem(node: Node) -> None:
    node.converge(NET)
    (node.root / "net1" / "leases").write_text(LEASES)
    assert node.problems() == ("stale leases: 10.18.0.4",)


def test_the_reading_of_a_bare_node_is_empty_and_asks_no_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "RUNTIME_DIR", tmp_path)
    monkeypatch.setattr(systemd, "read_states", lambda pattern: pytest.fail("systemd was asked"))
    assert DhcpSubsystem("lab", tmp_path / "none", user="dnsmasq").read({"net1": NET}).objects == {}


def test_the_record_is_the_same_after_json_and_a_diff_has_one_line_for_each_host() -> None:
    assert DhcpSubsystem.load([json.loads(json.dumps(encode(NET)))])["net1"] == NET
    assert DhcpSubsystem(user="dnsmasq").describe(NET)["hosts"] == [f"{A} 10.18.0.3 vm1"]


def test_only_a_change_that_restarts_a_working_dnsmasq_is_foreseen_as_an_outage() -> None:
    def foreseen(before: DhcpNetwork | None, after: DhcpNetwork | None) -> list[tuple[str, Effect | None]]:
        notes = DhcpSubsystem("lab", user="dnsmasq").foreseen(Change("dhcp", "net1", before, after))
        return [(note.text, note.effect) for note in notes]

    restarted = [("dnsmasq (headworks-dhcp@net1.service) is restarted", Effect.OUTAGE)]
    assert foreseen(NET, replace(NET, mtu=1400)) == restarted
    assert foreseen(NET, replace(NET, hosts=())) == []
    assert foreseen(replace(NET, problems=("dnsmasq does not run",)), replace(NET, mtu=1400)) == []
    assert foreseen(None, NET) == foreseen(NET, None) == []
    assert foreseen(NET, replace(NET, domain="a\nb")) == []

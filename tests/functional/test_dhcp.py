"""DhcpSubsystem with real dnsmasq, systemd and namespaces; a guest is a veth in a namespace of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from dhcp_client import ACK, NAK, REQUEST, Answer, DhcpClient
from headworks.engine.converge import ConvergeError, Result, converge
from headworks.node.services.dhcp import dnsmasq as dhcp
from headworks.node.services.dhcp.dnsmasq import DhcpSubsystem
from headworks.state.dhcp import DhcpHost, DhcpNetwork, DhcpSubnet, HostRoute
from headworks.system import systemd
from headworks.system.netns import in_netns
from modules import run_module

OWNER = f"test{os.getpid()}"
A, B, C = "fa:16:3e:00:00:0a", "fa:16:3e:00:00:0b", "fa:16:3e:00:00:0c"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass
class Wire:
    """A network: the DHCP namespace with its interface, and a guest's namespace at the other end of the veth."""

    name: str

    @property
    def netns(self) -> str:
        return f"qdhcp-{self.name}"

    @property
    def guest(self) -> str:
        return f"guest-{self.name}"

    interface = "ns-test"

    def up(self) -> None:
        ip("netns", "add", self.netns)
        if not Path("/run/netns", self.guest).exists():
            ip("netns", "add", self.guest)
        ip("-n", self.netns, "link", "set", "lo", "up")
        self.plug()

    def plug(self) -> None:
        ip("-n", self.netns, "link", "add", self.interface, "type", "veth", "peer", "eth0", "netns", self.guest)
        ip("-n", self.netns, "addr", "add", "10.18.0.2/24", "dev", self.interface)
        ip("-n", self.netns, "link", "set", self.interface, "up")
        ip("-n", self.guest, "link", "set", "eth0", "up")
        time.sleep(0.1)

    def boot(self, mac: str) -> Answer | None:
        with_client = DhcpClient(self.guest, "eth0", mac)
        try:
            return with_client.boot()
        finally:
            with_client.close()

    def network(self, *hosts: DhcpHost, **values: object) -> DhcpNetwork:
        subnet = DhcpSubnet(
            tag="subnet0",
            cidr="10.18.0.0/24",
            server="10.18.0.2",
            gateway="10.18.0.1",
            dns=("9.9.9.9", "1.1.1.1"),
            routes=(HostRoute("169.254.169.254/32", "10.18.0.2"),),
        )
        given: dict[str, object] = {"mtu": 1458, "subnets": (subnet,), "hosts": hosts, **values}
        return DhcpNetwork(self.name, self.netns, self.interface, **given)  # type: ignore[arg-type]


@pytest.fixture
def wires() -> Iterator[list[Wire]]:
    """Makes wires on demand: append a Wire and call its ``up``; all are taken down after."""
    made: list[Wire] = []
    yield made
    converge([(DhcpSubsystem(OWNER), {})])
    for wire in made:
        systemd.stop([systemd.unit_name("headworks-dhcp", wire.name)])
        shutil.rmtree(dhcp.ROOT / wire.name, ignore_errors=True)
        for name in (wire.netns, wire.guest):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@pytest.fixture
def wire(wires: list[Wire]) -> Wire:
    wires.append(Wire(f"t{os.getpid()}"))
    wires[0].up()
    return wires[0]


def go(*networks: DhcpNetwork, owner: str | None = OWNER, check: bool = False) -> Result:
    return converge([(DhcpSubsystem(owner), {one.name: one for one in networks})], check=check)


def verbs(result: Result) -> list[tuple[str, str]]:
    return [(change["verb"], change["name"]) for change in result.changes]


def main_pid(name: str) -> int:
    words = ["systemctl", "show", "--value", "--property=MainPID", f"headworks-dhcp@{name}.service"]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def names_answer(wire: Wire, name: str) -> bytes:
    """An A query to the network's server from the guest's side of nothing but the namespace itself."""
    import socket

    question = b"\x12\x34\x01\x00\x00\x01" + bytes(6)
    question += b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\x01\0\x01"
    with in_netns(wire.netns), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(2)
        asking.sendto(question, ("10.18.0.2", 53))
        return asking.recv(512)


def test_a_guest_gets_its_address_and_every_option(wire: Wire) -> None:
    go(wire.network(DhcpHost(A, "10.18.0.3", "vm1")))
    answer = wire.boot(A)
    assert answer is not None
    assert answer.type == ACK
    assert answer.address == "10.18.0.3"
    assert answer.addresses(3) == ["10.18.0.1"]
    assert answer.addresses(6) == ["9.9.9.9", "1.1.1.1"]
    assert answer.options[15] == b"novalocal"
    assert answer.options[12] == b"vm1"
    assert int.from_bytes(answer.options[26], "big") == 1458
    assert answer.routes(121) == [("169.254.169.254/32", "10.18.0.2"), ("0.0.0.0/0", "10.18.0.1")]
    assert answer.routes(249) == answer.routes(121)
    assert names_answer(wire, "vm1.novalocal").endswith(bytes([10, 18, 0, 3]))


def test_a_stranger_gets_nothing_not_even_a_refusal(wire: Wire) -> None:
    go(wire.network(DhcpHost(A, "10.18.0.3", "vm1")))
    assert wire.boot(B) is None
    stranger = DhcpClient(wire.guest, "eth0", B, timeout=0.5)
    assert stranger.reboot("10.18.0.3") is None
    assert stranger.reboot("192.168.77.7") is None
    stranger.close()


def test_no_gateway_means_no_router_option_and_no_default_route(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    subnet = replace(network.subnets[0], gateway="", dns=())
    go(replace(network, subnets=(subnet,)))
    answer = wire.boot(A)
    assert answer is not None
    assert 3 not in answer.options
    assert answer.addresses(6) == ["10.18.0.2"]
    assert answer.routes() == [("169.254.169.254/32", "10.18.0.2")]


def test_a_second_run_changes_nothing_and_touches_nothing(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    assert verbs(go(network, check=True)) == [("add", wire.name)]
    assert not (dhcp.ROOT / wire.name).exists()
    assert verbs(go(network)) == [("add", wire.name)]
    before = main_pid(wire.name)
    stamps = {one: one.stat().st_mtime_ns for one in (dhcp.ROOT / wire.name).iterdir()}
    assert not go(network).changed
    assert main_pid(wire.name) == before
    assert {one: one.stat().st_mtime_ns for one in (dhcp.ROOT / wire.name).iterdir()} == stamps


def test_a_new_host_is_served_without_a_restart(wire: Wire) -> None:
    go(wire.network(DhcpHost(A, "10.18.0.3", "vm1")))
    before = main_pid(wire.name)
    go(wire.network(DhcpHost(A, "10.18.0.3", "vm1"), DhcpHost(B, "10.18.0.4", "vm2")))
    answer = wire.boot(B)
    assert answer is not None
    assert answer.address == "10.18.0.4"
    assert main_pid(wire.name) == before


def test_changed_options_need_no_restart(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    go(network)
    before = main_pid(wire.name)
    go(replace(network, subnets=(replace(network.subnets[0], dns=("8.8.8.8",)),)))
    answer = wire.boot(A)
    assert answer is not None
    assert answer.addresses(6) == ["8.8.8.8"]
    assert main_pid(wire.name) == before


def test_an_address_that_was_leased_can_go_to_another_guest_at_once(wire: Wire) -> None:
    go(wire.network(DhcpHost(A, "10.18.0.3", "vm1")))
    assert wire.boot(A) is not None
    before = main_pid(wire.name)
    assert verbs(go(wire.network(DhcpHost(B, "10.18.0.3", "vm2")))) == [("change", wire.name)]
    answer = wire.boot(B)
    assert answer is not None
    assert (answer.type, answer.address) == (ACK, "10.18.0.3")
    assert wire.boot(A) is None
    assert main_pid(wire.name) == before


def test_a_restart_refuses_no_guest_even_with_the_leases_lost(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    go(network)
    assert wire.boot(A) is not None
    go(replace(network, mtu=1400))
    systemd.stop([systemd.unit_name("headworks-dhcp", wire.name)])
    (dhcp.ROOT / wire.name / "leases").unlink()
    go(replace(network, mtu=1400))
    guest = DhcpClient(wire.guest, "eth0", A)
    answer = guest.reboot("10.18.0.3")
    assert answer is not None
    assert answer.type == ACK
    assert int.from_bytes(answer.options[26], "big") == 1400
    refused = guest.reboot("10.18.0.77")
    assert refused is None or refused.type == NAK
    guest.close()


def test_a_dnsmasq_that_died_is_started_again_by_systemd(wire: Wire) -> None:
    go(wire.network(DhcpHost(A, "10.18.0.3", "vm1")))
    before = main_pid(wire.name)
    os.kill(before, signal.SIGKILL)
    end = time.monotonic() + 8
    while main_pid(wire.name) in (0, before) and time.monotonic() < end:
        time.sleep(0.1)
    assert wire.boot(A) is not None


def test_a_stopped_dnsmasq_is_a_difference(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    go(network)
    systemd.stop([systemd.unit_name("headworks-dhcp", wire.name)])
    result = go(network)
    assert "inactive" in result.changes[0]["before"]["problems"][0]
    assert wire.boot(A) is not None


def test_a_file_edited_by_hand_is_a_difference(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    go(network)
    with (dhcp.ROOT / wire.name / "hosts").open("a") as hosts:
        hosts.write(f"{B},evil,10.18.0.66\n")
    assert go(network).changes[0]["before"]["problems"] == ["not as written: hosts"]
    assert not go(network).changed


def test_a_namespace_made_anew_gets_a_dnsmasq_of_its_own(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    go(network)
    ip("-n", wire.guest, "link", "delete", "eth0")
    ip("netns", "delete", wire.netns)
    wire.up()
    assert verbs(go(network)) == [("change", wire.name)]
    assert wire.boot(A) is not None


def test_an_interface_made_anew_is_served_by_the_same_dnsmasq(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    go(network)
    ip("-n", wire.guest, "link", "delete", "eth0")
    wire.plug()
    go(network)
    assert wire.boot(A) is not None


def test_a_run_cut_off_after_the_files_is_finished_by_the_next(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    go(wire.network(DhcpHost(A, "10.18.0.3", "vm1")))
    wanted = wire.network(DhcpHost(B, "10.18.0.3", "vm2"))
    with monkeypatch.context() as patch:
        patch.setattr(systemd, "reload", lambda names: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            go(wanted)
    assert verbs(go(wanted)) == [("change", wire.name)]
    assert wire.boot(B) is not None
    assert not go(wanted).changed


def test_a_removed_network_leaves_nothing_and_others_stay(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    go(network)
    assert not go(owner="another-cloud").changed
    assert verbs(go()) == [("remove", wire.name)]
    assert not (dhcp.ROOT / wire.name).exists()
    assert wire.boot(A) is None
    assert f"headworks-dhcp@{wire.name}.service" not in systemd.read_states("headworks-dhcp@*")
    assert not go().changed


def test_a_failed_start_names_the_unit_and_why(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    with pytest.raises(ConvergeError, match=f"headworks-dhcp@{wire.name}.service is .*step NETWORK"):
        go(replace(network, netns="qdhcp-that-is-not-there"))


def test_twenty_networks_start_in_one_call(wires: list[Wire]) -> None:
    networks = []
    for number in range(20):
        wires.append(Wire(f"t{os.getpid()}-{number}"))
        wires[-1].up()
        hosts = [DhcpHost(f"fa:16:3e:00:{number:02x}:{one:02x}", f"10.18.0.{one + 3}", f"vm{one}") for one in range(50)]
        networks.append(wires[-1].network(*hosts))
    start = time.monotonic()
    assert len(go(*networks).changes) == 20
    created = time.monotonic() - start
    start = time.monotonic()
    assert not go(*networks).changed
    again = time.monotonic() - start
    print(f"20 networks of 50 hosts: created {created * 1000:.0f} ms, again {again * 1000:.0f} ms")
    answer = wires[7].boot("fa:16:3e:00:07:05")
    assert answer is not None
    assert answer.address == "10.18.0.8"
    assert again < 2


def test_the_module_serves_changes_and_removes_without_marking(wire: Wire) -> None:
    hosts = [{"mac": A, "address": "10.18.0.3", "hostname": "vm1"}]
    options = {
        "name": wire.name,
        "netns": wire.netns,
        "interface": wire.interface,
        "subnets": [{"cidr": "10.18.0.0/24", "server": "10.18.0.2", "gateway": "10.18.0.1"}],
    }
    assert run_module("dhcp_network", check=True, hosts=hosts, **options)["changed"]
    assert wire.boot(A) is None
    assert run_module("dhcp_network", hosts=hosts, **options)["changed"]
    assert not run_module("dhcp_network", hosts=hosts, **options)["changed"]
    answer = wire.boot(A)
    assert answer is not None
    assert answer.addresses(6) == ["10.18.0.2"]
    assert not go().changed  # a cloud leaves it alone
    hosts.append({"mac": B, "address": "10.18.0.4", "hostname": "vm2"})
    changed = run_module("dhcp_network", diff=True, hosts=hosts, **options)
    assert f"{B} 10.18.0.4 vm2" in changed["diff"][0]["after"]
    assert f"{B} 10.18.0.4 vm2" not in changed["diff"][0]["before"]
    assert run_module("dhcp_network", name=wire.name, state="absent")["changed"]
    assert not (dhcp.ROOT / wire.name).exists()
    assert not run_module("dhcp_network", name=wire.name, state="absent")["changed"]


def test_the_module_names_what_is_wrong(wire: Wire) -> None:
    assert "interface" in run_module("dhcp_network", name=wire.name)["msg"]
    bad = {"mac": A, "address": "10.18.0.3", "hostname": "vm1\ndhcp-range=evil"}
    subnets = [{"cidr": "10.18.0.0/24", "server": "10.18.0.2"}]
    told = run_module("dhcp_network", name=wire.name, netns=wire.netns, interface="x", subnets=subnets, hosts=[bad])
    assert "hostname" in told["msg"]
    assert not (dhcp.ROOT / wire.name).exists()


def test_two_servers_of_a_network_do_not_refuse_each_others_guests(wires: list[Wire]) -> None:
    first, second = Wire(f"t{os.getpid()}-1"), Wire(f"t{os.getpid()}-2")
    wires += [first, second]
    first.up()
    second.up()
    # one wire: the second server's guest side is bridged with the first's
    ip("-n", second.guest, "link", "set", "eth0", "netns", first.guest, "name", "eth1")
    ip("-n", second.netns, "addr", "del", "10.18.0.2/24", "dev", second.interface)
    ip("-n", second.netns, "addr", "add", "10.18.0.5/24", "dev", second.interface)
    ip("-n", first.guest, "link", "add", "br0", "type", "bridge")
    for device in ("eth0", "eth1"):
        ip("-n", first.guest, "link", "set", device, "master", "br0", "up")
    ip("-n", first.guest, "link", "set", "br0", "up")
    hosts = [DhcpHost(f"fa:16:3e:00:01:{one:02x}", f"10.18.0.{one + 10}", f"vm{one}") for one in range(10)]
    other = second.network(*hosts)
    go(first.network(*hosts), replace(other, subnets=(replace(other.subnets[0], server="10.18.0.5"),)))
    for host in hosts:
        guest = DhcpClient(first.guest, "br0", host.mac)
        offer = guest.discover()
        assert offer is not None
        # whichever is chosen: the one chosen acknowledges, the other holds its tongue
        for server in ("10.18.0.2", "10.18.0.5"):
            options = {50: bytes(map(int, host.address.split("."))), 54: bytes(map(int, server.split(".")))}
            answers = guest.ask_all(REQUEST, options)
            assert [(one.type, one.addresses(54)) for one in answers] == [(ACK, [server])]
        guest.close()


def test_a_network_of_the_host_itself_is_served_in_the_root_namespace(wires: list[Wire]) -> None:
    wire = Wire(f"t{os.getpid()}")
    wires.append(wire)
    device = f"hw{os.getpid()}"
    ip("netns", "add", wire.guest)
    ip("link", "add", device, "type", "veth", "peer", "eth0", "netns", wire.guest)
    ip("addr", "add", "10.77.0.1/24", "dev", device)
    ip("link", "set", device, "up")
    ip("-n", wire.guest, "link", "set", "eth0", "up")
    subnet = DhcpSubnet(tag="flat", cidr="10.77.0.0/24", server="10.77.0.1", gateway="10.77.0.1")
    host = DhcpHost(A, "10.77.0.2", "cirros")
    go(DhcpNetwork(wire.name, "", device, lease_seconds=120, subnets=(subnet,), hosts=(host,)))
    answer = wire.boot(A)
    assert answer is not None
    assert answer.address == "10.77.0.2"
    assert int.from_bytes(answer.options[51], "big") == 120
    assert answer.addresses(6) == ["10.77.0.1"]

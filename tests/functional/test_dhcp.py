"""DhcpSubsystem with real dnsmasq, systemd and namespaces. A guest is a veth in its own namespace."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from dhcp_client import ACK, NAK, REQUEST, DhcpClient
from dhcp_wire import Wire, ip
from headworks.engine.converge import ConvergeError, Result, converge
from headworks.node.services.dhcp import dnsmasq as dhcp
from headworks.node.services.dhcp.dnsmasq import DhcpSubsystem
from headworks.state.dhcp import DhcpHost, DhcpNetwork, DhcpSubnet
from headworks.system import systemd
from headworks.system.netns import in_netns
from modules import run_module

OWNER = f"test{os.getpid()}"
A, B, C = "fa:16:3e:00:00:0a", "fa:16:3e:00:00:0b", "fa:16:3e:00:00:0c"


@pytest.fixture
def wires() -> Iterator[list[Wire]]:
    """A list for the wires of a test: append a Wire and call its ``up``. After the test all wires are removed."""
    wires: list[Wire] = []
    yield wires
    converge([(DhcpSubsystem(OWNER, user="dnsmasq"), {})])
    for wire in wires:
        systemd.stop([systemd.unit_name("headworks-dhcp", wire.name)])
        shutil.rmtree(dhcp.ROOT / wire.name, ignore_errors=True)
        for name in (wire.netns, wire.guest):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@pytest.fixture
def wire(wires: list[Wire]) -> Wire:
    wires.append(Wire(f"t{os.getpid()}"))
    wires[0].up()
    return wires[0]


def run(*networks: DhcpNetwork, owner: str | None = OWNER, check: bool = False) -> Result:
    subsystem = DhcpSubsystem(owner, user="dnsmasq")
    return converge([(subsystem, {network.name: network for network in networks})], check=check)


def verbs(result: Result) -> list[tuple[str, str]]:
    return [(change["verb"], change["name"]) for change in result.changes]


def main_pid(name: str) -> int:
    words = ["systemctl", "show", "--value", "--property=MainPID", f"headworks-dhcp@{name}.service"]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def ask_dns(wire: Wire, name: str) -> bytes:
    """Send an A query to the network's server from its own namespace. Returns the answer."""
    import socket

    question = b"\x12\x34\x01\x00\x00\x01" + bytes(6)
    question += b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\x01\0\x01"
    with in_netns(wire.netns), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(2)
        asking.sendto(question, ("10.18.0.2", 53))
        return asking.recv(512)


def test_a_guest_gets_its_address_and_every_option(wire: Wire) -> None:
    run(wire.network(DhcpHost(A, "10.18.0.3", "vm1")))
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
    assert ask_dns(wire, "vm1.novalocal").endswith(bytes([10, 18, 0, 3]))


def test_a_server_that_cannot_start_stops_no_other_and_is_named_with_its_reason(wires: list[Wire]) -> None:
    for number in range(3):
        wires.append(Wire(f"t{os.getpid()}{number}"))
        wires[-1].up()
    networks = [wire.network(DhcpHost(A, "10.18.0.3", "vm1")) for wire in wires]
    broken = replace(networks[1], netns="no-such-namespace")
    with pytest.raises(ConvergeError) as caught:
        run(networks[0], broken, networks[2])
    (failure,) = caught.value.result.failures
    assert (failure.kind, failure.name) == ("dhcp", broken.name)
    assert f"headworks-dhcp@{broken.name}.service is " in failure.text
    assert [wire.boot(A) is not None for wire in (wires[0], wires[2])] == [True, True]
    assert verbs(run(*networks)) == [("change", broken.name)]
    assert wires[1].boot(A) is not None


def test_an_unknown_guest_gets_no_answer_not_even_a_nak(wire: Wire) -> None:
    run(wire.network(DhcpHost(A, "10.18.0.3", "vm1")))
    assert wire.boot(B) is None
    unknown = DhcpClient(wire.guest, "eth0", B, timeout=0.5)
    assert unknown.reboot("10.18.0.3") is None
    assert unknown.reboot("192.168.77.7") is None
    unknown.close()


def test_without_a_gateway_there_is_no_router_option_and_no_default_route(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    subnet = replace(network.subnets[0], gateway="", dns=())
    run(replace(network, subnets=(subnet,)))
    answer = wire.boot(A)
    assert answer is not None
    assert 3 not in answer.options
    assert answer.addresses(6) == ["10.18.0.2"]
    assert answer.routes() == [("169.254.169.254/32", "10.18.0.2")]


def test_a_second_run_changes_nothing_and_writes_no_file(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    assert verbs(run(network, check=True)) == [("add", wire.name)]
    assert not (dhcp.ROOT / wire.name).exists()
    assert verbs(run(network)) == [("add", wire.name)]
    before = main_pid(wire.name)
    stamps = {path: path.stat().st_mtime_ns for path in (dhcp.ROOT / wire.name).iterdir()}
    assert not run(network).changed
    assert main_pid(wire.name) == before
    assert {path: path.stat().st_mtime_ns for path in (dhcp.ROOT / wire.name).iterdir()} == stamps


def test_a_new_host_is_served_without_a_restart(wire: Wire) -> None:
    run(wire.network(DhcpHost(A, "10.18.0.3", "vm1")))
    before = main_pid(wire.name)
    run(wire.network(DhcpHost(A, "10.18.0.3", "vm1"), DhcpHost(B, "10.18.0.4", "vm2")))
    answer = wire.boot(B)
    assert answer is not None
    assert answer.address == "10.18.0.4"
    assert main_pid(wire.name) == before


def test_changed_options_need_no_restart(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    run(network)
    before = main_pid(wire.name)
    run(replace(network, subnets=(replace(network.subnets[0], dns=("8.8.8.8",)),)))
    answer = wire.boot(A)
    assert answer is not None
    assert answer.addresses(6) == ["8.8.8.8"]
    assert main_pid(wire.name) == before


def test_another_guest_gets_a_leased_address_at_once(wire: Wire) -> None:
    run(wire.network(DhcpHost(A, "10.18.0.3", "vm1")))
    assert wire.boot(A) is not None
    before = main_pid(wire.name)
    assert verbs(run(wire.network(DhcpHost(B, "10.18.0.3", "vm2")))) == [("change", wire.name)]
    answer = wire.boot(B)
    assert answer is not None
    assert (answer.type, answer.address) == (ACK, "10.18.0.3")
    assert wire.boot(A) is None
    assert main_pid(wire.name) == before


def test_a_guest_keeps_its_address_after_a_restart_that_lost_the_leases(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    run(network)
    assert wire.boot(A) is not None
    run(replace(network, mtu=1400))
    systemd.stop([systemd.unit_name("headworks-dhcp", wire.name)])
    (dhcp.ROOT / wire.name / "leases").unlink()
    run(replace(network, mtu=1400))
    guest = DhcpClient(wire.guest, "eth0", A)
    answer = guest.reboot("10.18.0.3")
    assert answer is not None
    assert answer.type == ACK
    assert int.from_bytes(answer.options[26], "big") == 1400
    refused = guest.reboot("10.18.0.77")
    assert refused is None or refused.type == NAK
    guest.close()


def test_systemd_restarts_a_killed_dnsmasq(wire: Wire) -> None:
    run(wire.network(DhcpHost(A, "10.18.0.3", "vm1")))
    before = main_pid(wire.name)
    os.kill(before, signal.SIGKILL)
    end = time.monotonic() + 8
    while main_pid(wire.name) in (0, before) and time.monotonic() < end:
        time.sleep(0.1)
    assert wire.boot(A) is not None


def test_a_stopped_dnsmasq_is_a_difference(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    run(network)
    systemd.stop([systemd.unit_name("headworks-dhcp", wire.name)])
    result = run(network)
    assert "inactive" in result.changes[0]["before"]["problems"][0]
    assert wire.boot(A) is not None


def test_a_file_edited_by_hand_is_a_difference(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    run(network)
    with (dhcp.ROOT / wire.name / "hosts").open("a") as hosts:
        hosts.write(f"{B},evil,10.18.0.66\n")
    assert run(network).changes[0]["before"]["problems"] == ["files differ from its record: hosts"]
    assert not run(network).changed


def test_a_recreated_namespace_gets_another_dnsmasq(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    run(network)
    ip("-n", wire.guest, "link", "delete", "eth0")
    ip("netns", "delete", wire.netns)
    wire.up()
    assert verbs(run(network)) == [("change", wire.name)]
    assert wire.boot(A) is not None


def test_a_recreated_interface_is_served(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    run(network)
    ip("-n", wire.guest, "link", "delete", "eth0")
    wire.plug()
    run(network)
    assert wire.boot(A) is not None


def test_the_next_run_completes_a_run_that_was_interrupted_before_the_reload(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(wire.network(DhcpHost(A, "10.18.0.3", "vm1")))
    desired = wire.network(DhcpHost(B, "10.18.0.3", "vm2"))
    with monkeypatch.context() as patch:
        patch.setattr(systemd, "reload_each", lambda names: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(desired)
    assert verbs(run(desired)) == [("change", wire.name)]
    assert wire.boot(B) is not None
    assert not run(desired).changed


def test_a_removed_network_leaves_nothing_and_others_stay(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    run(network)
    assert not run(owner="another-cloud").changed
    assert verbs(run()) == [("remove", wire.name)]
    assert not (dhcp.ROOT / wire.name).exists()
    assert wire.boot(A) is None
    assert f"headworks-dhcp@{wire.name}.service" not in systemd.read_states("headworks-dhcp@*")
    assert not run().changed


def test_the_error_of_a_failed_start_has_the_unit_and_the_reason(wire: Wire) -> None:
    network = wire.network(DhcpHost(A, "10.18.0.3", "vm1"))
    # systemd's own line ("status=225/NETWORK") is always there. The line of the process that failed ("at step NETWORK")
    # is sometimes not: journald finds the unit of a line by its process, which may have ended by then.
    with pytest.raises(ConvergeError, match=f"headworks-dhcp@{wire.name}.service is .*NETWORK"):
        run(replace(network, netns="qdhcp-that-is-not-there"))


def test_twenty_networks_start_in_one_call(wires: list[Wire]) -> None:
    networks = []
    for number in range(20):
        wires.append(Wire(f"t{os.getpid()}-{number}"))
        wires[-1].up()
        hosts = [
            DhcpHost(f"fa:16:3e:00:{number:02x}:{guest:02x}", f"10.18.0.{guest + 3}", f"vm{guest}")
            for guest in range(50)
        ]
        networks.append(wires[-1].network(*hosts))
    start = time.monotonic()
    assert len(run(*networks).changes) == 20
    created = time.monotonic() - start
    start = time.monotonic()
    assert not run(*networks).changed
    second = time.monotonic() - start
    print(f"20 networks of 50 hosts: created in {created * 1000:.0f} ms, second run {second * 1000:.0f} ms")
    answer = wires[7].boot("fa:16:3e:00:07:05")
    assert answer is not None
    assert answer.address == "10.18.0.8"
    assert second < 2


def test_the_module_adds_changes_and_removes_a_network_without_a_mark(wire: Wire) -> None:
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
    assert not run().changed  # a run of a cloud does not touch it
    hosts.append({"mac": B, "address": "10.18.0.4", "hostname": "vm2"})
    changed = run_module("dhcp_network", diff=True, hosts=hosts, **options)
    assert f"{B} 10.18.0.4 vm2" in changed["diff"][0]["after"]
    assert f"{B} 10.18.0.4 vm2" not in changed["diff"][0]["before"]
    assert run_module("dhcp_network", name=wire.name, state="absent")["changed"]
    assert not (dhcp.ROOT / wire.name).exists()
    assert not run_module("dhcp_network", name=wire.name, state="absent")["changed"]


def test_the_module_refuses_a_bad_option_by_its_name(wire: Wire) -> None:
    assert "interface" in run_module("dhcp_network", name=wire.name)["msg"]
    bad = {"mac": A, "address": "10.18.0.3", "hostname": "vm1\ndhcp-range=evil"}
    subnets = [{"cidr": "10.18.0.0/24", "server": "10.18.0.2"}]
    answer = run_module("dhcp_network", name=wire.name, netns=wire.netns, interface="x", subnets=subnets, hosts=[bad])
    assert "hostname" in answer["msg"]
    assert not (dhcp.ROOT / wire.name).exists()


def test_a_server_does_not_refuse_guests_that_chose_the_network_s_other_server(wires: list[Wire]) -> None:
    first, second = Wire(f"t{os.getpid()}-1"), Wire(f"t{os.getpid()}-2")
    wires += [first, second]
    first.up()
    second.up()
    # A bridge in the first guest's namespace connects both servers.
    ip("-n", second.guest, "link", "set", "eth0", "netns", first.guest, "name", "eth1")
    ip("-n", second.netns, "addr", "del", "10.18.0.2/24", "dev", second.interface)
    ip("-n", second.netns, "addr", "add", "10.18.0.5/24", "dev", second.interface)
    ip("-n", first.guest, "link", "add", "br0", "type", "bridge")
    for device in ("eth0", "eth1"):
        ip("-n", first.guest, "link", "set", device, "master", "br0", "up")
    ip("-n", first.guest, "link", "set", "br0", "up")
    hosts = [DhcpHost(f"fa:16:3e:00:01:{guest:02x}", f"10.18.0.{guest + 10}", f"vm{guest}") for guest in range(10)]
    other = second.network(*hosts)
    run(first.network(*hosts), replace(other, subnets=(replace(other.subnets[0], server="10.18.0.5"),)))
    for host in hosts:
        guest = DhcpClient(first.guest, "br0", host.mac)
        offer = guest.discover()
        assert offer is not None
        # The server that the guest chooses acknowledges, the other server does not answer.
        for server in ("10.18.0.2", "10.18.0.5"):
            options = {50: bytes(map(int, host.address.split("."))), 54: bytes(map(int, server.split(".")))}
            answers = guest.ask_all(REQUEST, options)
            assert [(answer.type, answer.addresses(54)) for answer in answers] == [(ACK, [server])]
        guest.close()


def test_a_network_without_a_namespace_is_served_in_the_root_namespace(wires: list[Wire]) -> None:
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
    run(DhcpNetwork(wire.name, "", device, lease_seconds=120, subnets=(subnet,), hosts=(host,)))
    answer = wire.boot(A)
    assert answer is not None
    assert answer.address == "10.77.0.2"
    assert int.from_bytes(answer.options[51], "big") == 120
    assert answer.addresses(6) == ["10.77.0.1"]

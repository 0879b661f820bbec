"""The nftables table of a DHCP namespace with real dnsmasq: a guest cannot give up or decline the lease of another."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from clouds import identity, make_instance, make_port, s1_cloud
from dhcp_client import ACK, DhcpClient
from dhcp_wire import Wire, ip
from headworks.engine.converge import Result, converge
from headworks.node.nft.tables import NftSubsystem
from headworks.node.services.dhcp import dnsmasq as dhcp
from headworks.node.services.dhcp.dnsmasq import DhcpSubsystem
from headworks.node.services.dhcp.leases import Lease, parse_leases, release_packet
from headworks.plan.cloud import OWNER_INSTANCE, Cloud
from headworks.state.codec import decode
from headworks.state.dhcp import DhcpNetwork
from headworks.state.nft import NftTable
from headworks.system import systemd
from headworks.system.netns import in_netns
from headworks.wiring.documents import wire as documents

OWNER = f"test{os.getpid()}"
DECLINE = 4
VM1, VM2, SERVER = "10.18.0.3", "10.18.0.4", "10.18.0.2"
MAC1, MAC2, RELAY = "fa:16:3e:12:00:03", "fa:16:3e:12:00:04", "02:16:3e:12:00:09"


def cloud() -> Cloud:
    """Return S1 with a guest without port security, whose MAC begins with a zero as nft writes numbers without it."""
    port = make_port("internal", "10.18.0.9", "compute1", OWNER_INSTANCE, "relay", port_security=False, mac=RELAY)
    found = s1_cloud()
    return replace(found, instances={**found.instances, "relay": make_instance("relay", 9, "compute1", port)})


def records(wire: Wire, found: Cloud) -> tuple[NftTable, DhcpNetwork]:
    """Return the table and the DHCP service of network internal."""
    sections = documents(found)["network1"]["sections"]
    table = next(decode(NftTable, table) for table in sections["nft"] if table["name"] == wire.netns)
    service = next(decode(DhcpNetwork, service) for service in sections["dhcp"] if service["name"] == wire.name)
    return table, replace(service, interface=wire.interface)


def run(wire: Wire, found: Cloud, guarded: bool = True) -> Result:
    table, service = records(wire, found)
    key = NftSubsystem.key(table)
    tables = {key: table} if guarded else {key: replace(table, maps=(), chains=())}
    return converge([(NftSubsystem(), tables), (DhcpSubsystem(OWNER, user="dnsmasq"), {service.name: service})])


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire(identity("network internal"))
    wire.up()
    yield wire
    converge([(DhcpSubsystem(OWNER, user="dnsmasq"), {})])
    systemd.stop([systemd.unit_name("headworks-dhcp", wire.name)])
    shutil.rmtree(dhcp.ROOT / wire.name, ignore_errors=True)
    for name in (wire.netns, wire.guest):
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def become(wire: Wire, mac: str) -> None:
    """Give the guest's NIC another MAC, which its frames have as source MAC."""
    ip("-n", wire.guest, "link", "set", "eth0", "address", mac)


def boots(wire: Wire, mac: str) -> bool:
    become(wire, mac)
    answer = wire.boot(mac)
    return answer is not None and answer.type == ACK


def leased(wire: Wire) -> set[str]:
    return {lease.address for lease in parse_leases((Path(dhcp.ROOT) / wire.name / "leases").read_text())}


def decline(wire: Wire, mac: str) -> None:
    """Send a DHCPDECLINE of vm1's address in the name of ``mac``."""
    client = DhcpClient(wire.guest, "eth0", mac)
    client.ask_all(DECLINE, {50: socket.inet_aton(VM1), 54: socket.inet_aton(SERVER)}, seconds=0.3)
    client.close()


def release(wire: Wire, mac: str, client_id: str = "*") -> None:
    """Send a DHCPRELEASE of vm1's address in the name of ``mac``."""
    client = DhcpClient(wire.guest, "eth0", mac)
    client.socket.sendto(release_packet(Lease(mac, VM1, client_id), SERVER), ("255.255.255.255", 67))
    client.close()
    time.sleep(0.3)


def test_a_guest_declines_or_releases_only_its_own_lease(wire: Wire) -> None:
    run(wire, cloud())
    assert boots(wire, MAC1)
    become(wire, MAC2)
    release(wire, MAC1)
    release(wire, MAC2, f"01:{MAC1}")  # dnsmasq would look for the client id first
    assert VM1 in leased(wire)
    decline(wire, MAC1)
    assert boots(wire, MAC1)
    release(wire, MAC1)
    assert VM1 not in leased(wire), "vm1 itself may give up its lease"


def test_without_the_table_another_guest_could_decline_and_release_it(wire: Wire) -> None:
    """What the table is for."""
    run(wire, cloud(), guarded=False)
    assert boots(wire, MAC1)
    become(wire, MAC2)
    release(wire, MAC1)
    assert VM1 not in leased(wire)
    decline(wire, MAC1)
    assert not boots(wire, MAC1)


def test_an_unknown_sender_is_not_heard_but_a_relay_is(wire: Wire) -> None:
    run(wire, cloud())
    become(wire, "fa:16:3e:77:77:77")
    assert wire.boot(MAC1) is None
    become(wire, RELAY)
    answer = wire.boot(MAC1)
    assert answer is not None, "a guest without port security may ask for others"
    assert answer.type == ACK


def test_a_second_run_changes_nothing_and_a_further_guest_is_one_element(wire: Wire) -> None:
    assert run(wire, cloud()).changed
    assert not run(wire, cloud()).changed
    found = cloud()
    port = make_port("internal", "10.18.0.77", "compute1", OWNER_INSTANCE, "vm77", mac="00:16:3e:00:00:4d")
    more = replace(found, instances={**found.instances, "vm77": make_instance("vm77", 77, "compute1", port)})
    with in_netns(wire.netns):
        before = subprocess.run(["nft", "-a", "list", "chain", "ip", "headworks", "input"], capture_output=True)
    result = run(wire, more)
    assert [change["kind"] for change in result.changes] == ["nft", "dhcp"]
    assert not run(wire, more).changed
    with in_netns(wire.netns):
        after = subprocess.run(["nft", "-a", "list", "chain", "ip", "headworks", "input"], capture_output=True)
    assert after.stdout == before.stdout, "the rules keep their handles"
    assert boots(wire, "00:16:3e:00:00:4d")


def test_the_lease_of_a_removed_guest_is_ended_through_the_table(wire: Wire) -> None:
    run(wire, cloud())
    assert boots(wire, MAC1)
    assert VM1 in leased(wire)
    found = cloud()
    run(wire, replace(found, instances={name: found.instances[name] for name in found.instances if name != "vm1"}))
    assert VM1 not in leased(wire)

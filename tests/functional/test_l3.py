"""L3Subsystem with real namespaces, devices and neighbours."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from headworks.engine.converge import ConvergeError, Result, converge
from headworks.node.l3 import gratuitous_arp
from headworks.node.l3.namespaces import L3Subsystem
from headworks.state.l3 import Device, NamespaceConfig, Route
from headworks.system.netns import in_netns
from shell import ip_json, link, sh
from wires import host, join, namespace, steady_ping

MAC = "fa:16:3e:aa:00:01"
SO_TIMESTAMPNS = 35  # <asm-generic/socket.h>: the kernel's own time of receipt; module socket has no name for it
SYSCTLS = {"ipv4.ip_forward": "1", "ipv4/conf/qr-1/rp_filter": "0", "ipv4.conf.all.arp_ignore": "1"}


@pytest.fixture
def router(unique: str) -> Iterator[str]:
    """Two connected namespaces: router <unique>-r with device qr-1, and neighbour <unique>-h with device eth0."""
    name, neighbour = f"{unique}-r", f"{unique}-h"
    sh("ip", "netns", "add", name)
    namespace(neighbour)
    join(name, "qr-1", neighbour, "eth0")
    sh("ip", "link", "set", "qr-1", "down", netns=name)
    yield name
    for netns in (name, neighbour):
        sh("ip", "netns", "delete", netns)


def neighbour_of(router: str) -> str:
    return router.replace("-r", "-h")


def config(name: str, *addresses: str) -> NamespaceConfig:
    device = Device("qr-1", MAC, 1450, addresses or ("10.0.0.1/24",), tx_checksum=False)
    return NamespaceConfig(name, (device,), (Route("default", "10.0.0.254", "qr-1"),), SYSCTLS)


def run(*configs: NamespaceConfig, check: bool = False) -> Result:
    return converge([(L3Subsystem("cloud"), {config.name: config for config in configs})], check=check)


def addresses(netns: str, device: str = "qr-1") -> list[str]:
    (shown,) = [entry for entry in ip_json("address", "show", netns=netns) if entry["ifname"] == device]
    return sorted(f"{info['local']}/{info['prefixlen']}" for info in shown["addr_info"] if info["scope"] == "global")


def routes(netns: str) -> list[str]:
    return sorted(line.strip() for line in sh("ip", "route", "show", "proto", "static", netns=netns).splitlines())


def test_a_namespace_is_configured_and_a_second_run_changes_nothing(router: str) -> None:
    desired = config(router)
    result = run(desired)
    assert [(change["verb"], change["name"]) for change in result.changes] == [("change", router)]
    device = link("qr-1", router)
    assert device is not None
    assert (device["address"], device["mtu"], "UP" in device["flags"]) == (MAC, 1450, True)
    assert addresses(router) == ["10.0.0.1/24"]
    assert routes(router) == ["default via 10.0.0.254 dev qr-1"]
    assert sh("sysctl", "-n", "net.ipv4.ip_forward", "net.ipv4.conf.all.arp_ignore", netns=router).split() == ["1", "1"]
    assert "tx-checksumming: off" in sh("ethtool", "-k", "qr-1", netns=router)
    assert "UP" in (link("lo", router) or {})["flags"]
    assert not run(desired).changed


def test_check_mode_reports_an_addition_for_a_namespace_that_does_not_exist_yet(unique: str) -> None:
    result = run(config(f"{unique}-none"), check=True)
    assert [change["verb"] for change in result.changes] == ["add"]


@pytest.mark.parametrize(
    "drift",
    [
        ["ip", "address", "delete", "10.0.0.1/24", "dev", "qr-1"],
        ["ip", "address", "add", "10.66.0.1/24", "dev", "qr-1"],
        ["ip", "address", "add", "2001:db8::66/64", "dev", "qr-1"],
        ["ip", "route", "delete", "default"],
        ["ip", "route", "replace", "default", "via", "10.0.0.253"],
        ["ip", "route", "add", "10.77.0.0/16", "via", "10.0.0.2"],
        ["ip", "-6", "route", "add", "2001:db8:7::/48", "dev", "qr-1"],
        ["ip", "link", "set", "qr-1", "down"],
        ["ip", "link", "set", "qr-1", "mtu", "1500"],
        ["ip", "link", "set", "lo", "down"],
        ["sysctl", "-w", "net.ipv4.ip_forward=0"],
        ["ethtool", "-K", "qr-1", "tx", "on"],
    ],
    ids=lambda words: " ".join(words[1:]),
)
def test_drift_is_found_and_corrected(router: str, drift: list[str]) -> None:
    run(config(router))
    sh(*drift, netns=router)
    assert run(config(router), check=True).changed
    run(config(router))
    assert not run(config(router)).changed
    assert addresses(router) == ["10.0.0.1/24"]
    assert routes(router) == ["default via 10.0.0.254 dev qr-1"]


def test_other_addresses_and_routes_stay_when_the_first_address_is_removed(router: str) -> None:
    run(config(router, "10.0.0.1/24", "10.0.0.2/24", "10.0.0.3/24"))
    run(config(router, "10.0.0.2/24", "10.0.0.3/24"))
    assert addresses(router) == ["10.0.0.2/24", "10.0.0.3/24"]
    assert routes(router) == ["default via 10.0.0.254 dev qr-1"]


def test_addresses_move_to_another_subnet_with_their_routes(router: str) -> None:
    run(config(router))
    desired = replace(config(router, "192.168.7.1/24"), routes=(Route("default", "192.168.7.254", "qr-1"),))
    run(desired)
    assert addresses(router) == ["192.168.7.1/24"]
    assert routes(router) == ["default via 192.168.7.254 dev qr-1"]


def test_ipv6_addresses_and_routes_with_several_next_hops_are_configured(router: str) -> None:
    desired = replace(
        config(router, "10.0.0.1/24", "2001:DB8:0::1/64", "fe80::a9fe:a9fe/64"),
        routes=(
            Route("default", "10.0.0.254"),
            Route("::/0", "2001:db8::ff", "qr-1"),
            Route("10.9.0.0/16", "10.0.0.8"),
            Route("10.9.0.0/16", "10.0.0.9"),
            Route("10.10.0.0/16", "", "qr-1"),
        ),
    )
    run(desired)
    assert not run(desired).changed
    assert "nexthop via 10.0.0.9" in sh("ip", "route", "show", "10.9.0.0/16", netns=router)
    assert "default via 2001:db8::ff" in sh("ip", "-6", "route", netns=router)
    run(replace(desired, routes=desired.routes[:3]))
    assert routes(router) == ["10.9.0.0/16 via 10.0.0.8 dev qr-1", "default via 10.0.0.254 dev qr-1"]


def test_the_metadata_address_is_added_to_lo_and_removed_again(router: str) -> None:
    loopback = Device("lo", "", 65536, ("169.254.169.254/32",))
    desired = replace(config(router), devices=(*config(router).devices, loopback))
    run(desired)
    assert not run(desired).changed
    assert addresses(router, "lo") == ["169.254.169.254/32"]
    run(replace(desired, devices=(*config(router).devices, replace(loopback, addresses=()))))
    assert addresses(router, "lo") == []
    assert "127.0.0.1/8" in sh("ip", "address", "show", "lo", netns=router)


def test_a_route_that_disappeared_with_its_device_is_not_an_error(router: str) -> None:
    """In a run links are removed first, and their addresses and routes disappear with them."""
    subsystem = L3Subsystem("cloud")
    run(config(router))
    sh("ip", "link", "add", "qr-2", "type", "bridge", netns=router)
    both = replace(
        config(router),
        devices=(*config(router).devices, Device("qr-2", addresses=("10.2.0.1/24",), tx_checksum=False)),
        routes=(Route("default", "10.0.0.254", "qr-1"), Route("10.3.0.0/16", "10.2.0.2", "qr-2")),
    )
    run(both)
    desired = {router: config(router)}
    changes = subsystem.diff(desired, subsystem.read(desired))
    assert len(changes) == 1
    sh("ip", "link", "delete", "qr-2", netns=router)
    subsystem.apply(changes)
    assert not run(config(router)).changed


def test_an_error_names_the_missing_device_or_the_missing_sysctl(router: str) -> None:
    with pytest.raises(ConvergeError, match=rf"namespace {router}: no device qg-9 in it"):
        run(NamespaceConfig(router, (Device("qg-9"),)))
    with pytest.raises(ConvergeError, match=r"ipv4\.nonsense"):
        run(NamespaceConfig(router, sysctls={"ipv4.nonsense": "1"}))


def test_a_missing_device_does_not_stop_the_other_devices_of_its_namespace(router: str) -> None:
    wanted = config(router)
    lost = replace(
        wanted,
        devices=(Device("qg-9", addresses=("172.16.0.9/24",)), *wanted.devices),
        routes=(*wanted.routes, Route("10.99.0.0/16", "172.16.0.1", "qg-9")),
    )
    with pytest.raises(ConvergeError, match="no device qg-9 in it"):
        run(lost)
    assert addresses(router) == ["10.0.0.1/24"]
    assert routes(router) == ["default via 10.0.0.254 dev qr-1"]


def test_no_packet_is_lost_while_addresses_are_added_and_removed(router: str) -> None:
    run(config(router))
    host(neighbour_of(router), "eth0", "10.0.0.9/24")
    more = tuple(f"10.0.0.{number}/24" for number in range(20, 120))
    with steady_ping(neighbour_of(router), "10.0.0.1") as counts:
        run(config(router, "10.0.0.1/24", *more))
        run(config(router, "10.0.0.1/24"))
    sent, received = counts
    assert sent > 20
    assert received == sent


def listen(netns: str, device: str) -> socket.socket:
    with in_netns(netns):
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
        packets.bind((device, 0x0806))
    packets.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    packets.settimeout(0.2)
    return packets


def gratuitous(packets: socket.socket, rounds: int, patience: float = 60.0) -> list[tuple[str, float]]:
    """The addresses announced by requests and when the kernel received each, until ``rounds`` have come or ``patience``
    (in seconds) is over."""
    heard: list[tuple[str, float]] = []
    end = time.monotonic() + patience
    while len(heard) < rounds and time.monotonic() < end:
        try:
            data, notes, _, _ = packets.recvmsg(100, 100)
        except TimeoutError:
            continue
        sender, target, operation = data[28:32], data[38:42], data[21]
        if sender == target and operation == 1:
            assert data[22:28].hex(":") == MAC
            (received,) = [struct.unpack("ll", value) for _, kind, value in notes if kind == SO_TIMESTAMPNS]
            heard.append((socket.inet_ntoa(sender), received[0] + received[1] / 1e9))
    return heard


def announcing(name: str, *ips: str) -> NamespaceConfig:
    desired = config(name, *ips)
    return replace(desired, devices=(replace(desired.devices[0], announce=True),))


def test_a_new_address_is_announced_in_three_rounds_and_an_existing_address_is_not(router: str) -> None:
    run(config(router, "10.0.0.1/24"))
    packets = listen(neighbour_of(router), "eth0")
    run(announcing(router, "10.0.0.1/24", "172.16.0.5/32"))
    heard = [*gratuitous(packets, 3), *gratuitous(packets, 1, patience=1.5)]
    assert [address for address, _ in heard] == ["172.16.0.5"] * 3
    first, second, third = (when for _, when in heard)
    assert second - first > 0.9
    assert third - second > 0.9


def test_the_run_and_its_pipes_end_before_the_later_rounds(router: str) -> None:
    """With a pause of 30 s, the rounds take 60 s longer than the run."""
    module = "headworks.node.l3.gratuitous_arp"
    program = f"import {module} as arp\narp.PAUSE = 30\narp.announce({{{router!r}: {{'qr-1': ['10.0.0.1']}}}})\n"
    run(config(router))
    packets = listen(neighbour_of(router), "eth0")
    subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, env=dict(os.environ), timeout=45)
    assert [address for address, _ in gratuitous(packets, 1)] == ["10.0.0.1"]


def test_a_namespace_can_be_removed_before_the_later_rounds(
    router: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a pause of 20 s, rounds are pending for 40 s. The process checks every 2 s whether the namespace exists."""
    monkeypatch.setattr(gratuitous_arp, "PAUSE", 20.0)
    name, far = f"{unique}-x", neighbour_of(router)
    sh("ip", "netns", "add", name)
    join(name, "qr-1", far, "eth1")
    run(announcing(name, "10.0.0.1/24"))
    start = time.monotonic()
    sh("ip", "netns", "delete", name)
    assert not Path("/run/netns", name).exists()
    while link("eth1", far) is not None:
        assert time.monotonic() - start < 30, "the namespace is still there"
        time.sleep(0.1)

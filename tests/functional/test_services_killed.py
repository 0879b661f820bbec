"""Runs of DHCP and metadata that are killed (``kill -9``) anywhere: the next ends where an undisturbed one would."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from headworks.engine.converge import Result, converge
from headworks.node.services.dhcp import dnsmasq as dhcp
from headworks.node.services.dhcp.dnsmasq import DhcpSubsystem
from headworks.node.services.metadata import proxy as metadata_proxy
from headworks.node.services.metadata import served as metadata
from headworks.node.services.metadata.proxy import MetadataProxySubsystem
from headworks.node.services.metadata.served import MetadataSubsystem
from headworks.state.codec import encode
from headworks.state.dhcp import DhcpHost, DhcpNetwork, DhcpSubnet
from headworks.state.metadata import InstanceMetadata, MetadataProxy, ServedNetwork
from headworks.system import systemd

OWNER = f"killed{os.getpid()}"
NAMES = [f"k{os.getpid()}-{number}" for number in range(4)]
Wanted = tuple[list[DhcpNetwork], list[InstanceMetadata], list[MetadataProxy]]


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> Iterator[None]:
    for name in NAMES:
        subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(["ip", "-n", name, "link", "add", "ns0", "type", "veth", "peer", "ns1"], check=True)
        subprocess.run(["ip", "-n", name, "addr", "add", "10.18.0.2/24", "dev", "ns0"], check=True)
    yield
    for name in NAMES:
        subprocess.run(["ip", "netns", "delete", name], check=False)


def wanted(number: int) -> Wanted:
    """One of two states that differ in every kind of thing."""
    subnet = DhcpSubnet("s0", "10.18.0.0/24", "10.18.0.2", dns=(f"9.9.9.{number}",))
    hosts = tuple(DhcpHost(f"fa:16:3e:00:0{number}:{one:02x}", f"10.18.0.{one + 3}", f"vm{one}") for one in range(20))
    networks = [DhcpNetwork(name, name, "ns0", subnets=(subnet,), hosts=hosts) for name in NAMES[number:]]
    networks[1] = replace(networks[1], mtu=1400 + number)
    trees = [
        InstanceMetadata(NAMES[0], f"10.18.0.{one + 3 + number}", "", {"latest/n": str(number), "same": str(one)})
        for one in range(20)
    ]
    proxies = [MetadataProxy(name, (ServedNetwork(NAMES[0], f"10.{number}.0.0/16"),)) for name in NAMES[: 4 - number]]
    return networks, trees, proxies


def go(state: Wanted, check: bool = False) -> Result:
    networks, trees, proxies = state
    pipeline: list[tuple[Any, Any]] = [
        (DhcpSubsystem(OWNER), {one.name: one for one in networks}),
        (MetadataSubsystem(OWNER), MetadataSubsystem.load([encode(one) for one in trees])),
        (MetadataProxySubsystem(OWNER), {one.name: one for one in proxies}),
    ]
    return converge(pipeline, check=check)


def killed_after(milliseconds: float, state: Wanted) -> None:
    """The run in a process of its own, killed after that time (or done before)."""
    child = os.fork()
    if child == 0:
        try:
            go(state)
        finally:
            os._exit(0)
    time.sleep(milliseconds / 1000)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def on_disk() -> dict[str, str | int]:
    """Every file and link of ours with its content; what changes from run to run by nature is left out."""
    found: dict[str, str | int] = {}
    for top in (dhcp.ROOT, metadata.ROOT, metadata_proxy.ROOT, *systemd.RUNTIME_DIR.glob("headworks-*")):
        for path in (top, *top.rglob("*")):
            if path.is_symlink():
                found[str(path)] = os.readlink(path)
            elif path.is_file() and path.name not in ("pid", "leases"):
                found[str(path)] = path.read_text()
            elif path.is_file() and path.name == "leases":
                found[str(path)] = len(path.read_text().splitlines())
    return found


@pytest.mark.parametrize("milliseconds", [5, 20, 60, 150, 300])
def test_a_killed_run_is_made_good_by_the_next(milliseconds: float) -> None:
    empty: Wanted = ([], [], [])
    for last, state in ((wanted(0), wanted(1)), (empty, wanted(1)), (wanted(1), empty)):
        go(empty)
        go(last)
        go(state)
        undisturbed = on_disk()
        go(empty)
        go(last)
        killed_after(milliseconds, state)
        go(state)
        assert on_disk() == undisturbed
        assert not go(state, check=True).changed
        running = {name for name, unit in systemd.read_states("headworks-*@k*").items() if unit.running}
        assert running == {
            *(f"headworks-dhcp@{one.name}.service" for one in state[0]),
            *(f"headworks-metadata@{one.name}.service" for one in state[2]),
        }
    assert not Path(metadata.ROOT).exists()

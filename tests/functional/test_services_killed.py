"""Runs of DHCP and metadata that are killed (``kill -9``) at any point: the next run reaches the same state as a run
that was not killed."""

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
from distributions import DEBIAN
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
State = tuple[list[DhcpNetwork], list[InstanceMetadata], list[MetadataProxy]]


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> Iterator[None]:
    for name in NAMES:
        subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(["ip", "-n", name, "link", "add", "ns0", "type", "veth", "peer", "ns1"], check=True)
        subprocess.run(["ip", "-n", name, "addr", "add", "10.18.0.2/24", "dev", "ns0"], check=True)
    yield
    for name in NAMES:
        subprocess.run(["ip", "netns", "delete", name], check=False)


def state(number: int) -> State:
    """Return the desired state ``number`` (0 or 1). The two states differ in each kind of object."""
    subnet = DhcpSubnet("s0", "10.18.0.0/24", "10.18.0.2", dns=(f"9.9.9.{number}",))
    hosts = tuple(
        DhcpHost(f"fa:16:3e:00:0{number}:{guest:02x}", f"10.18.0.{guest + 3}", f"vm{guest}") for guest in range(20)
    )
    networks = [DhcpNetwork(name, name, "ns0", subnets=(subnet,), hosts=hosts) for name in NAMES[number:]]
    networks[1] = replace(networks[1], mtu=1400 + number)
    trees = [
        InstanceMetadata(NAMES[0], f"10.18.0.{guest + 3 + number}", "", {"latest/n": str(number), "same": str(guest)})
        for guest in range(20)
    ]
    proxies = [MetadataProxy(name, (ServedNetwork(NAMES[0], f"10.{number}.0.0/16"),)) for name in NAMES[: 4 - number]]
    return networks, trees, proxies


def run(desired: State, check: bool = False) -> Result:
    networks, trees, proxies = desired
    steps: list[tuple[Any, Any]] = [
        (DhcpSubsystem.of_node(OWNER, DEBIAN), {network.name: network for network in networks}),
        (MetadataSubsystem.of_node(OWNER, DEBIAN), MetadataSubsystem.load([encode(tree) for tree in trees])),
        (MetadataProxySubsystem.of_node(OWNER, DEBIAN), {proxy.name: proxy for proxy in proxies}),
    ]
    return converge(steps, check=check)


def run_and_kill(milliseconds: float, desired: State) -> None:
    """Run in a child process, and kill the child after ``milliseconds`` unless it has ended before."""
    child = os.fork()
    if child == 0:
        try:
            run(desired)
        finally:
            os._exit(0)
    time.sleep(milliseconds / 1000)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def files_on_node() -> dict[str, str | int]:
    """Return our files and links with their content, except process ids. Of a lease file, the number of lines."""
    contents: dict[str, str | int] = {}
    for top in (dhcp.ROOT, metadata.ROOT, metadata_proxy.ROOT, *systemd.RUNTIME_DIR.glob("headworks-*")):
        for path in (top, *top.rglob("*")):
            if path.is_symlink():
                contents[str(path)] = os.readlink(path)
            elif path.is_file() and path.name not in ("pid", "leases"):
                contents[str(path)] = path.read_text()
            elif path.is_file() and path.name == "leases":
                contents[str(path)] = len(path.read_text().splitlines())
    return contents


@pytest.mark.parametrize("milliseconds", [5, 20, 60, 150, 300])
def test_the_next_run_completes_a_killed_run(milliseconds: float) -> None:
    empty: State = ([], [], [])
    for before, after in ((state(0), state(1)), (empty, state(1)), (state(1), empty)):
        run(empty)
        run(before)
        run(after)
        files_without_kill = files_on_node()
        run(empty)
        run(before)
        run_and_kill(milliseconds, after)
        run(after)
        assert files_on_node() == files_without_kill
        assert not run(after, check=True).changed
        running = {name for name, unit in systemd.read_states("headworks-*@k*").items() if unit.running}
        networks, _, proxies = after
        assert running == {
            *(f"headworks-dhcp@{network.name}.service" for network in networks),
            *(f"headworks-metadata@{proxy.name}.service" for proxy in proxies),
        }
    assert not Path(metadata.ROOT).exists()

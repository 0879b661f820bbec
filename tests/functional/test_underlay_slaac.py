"""A NIC whose IPv6 address comes from router advertisements moves into a bridge: the bridge makes the same address, and
advertisements go on renewing it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from shell import ip_json, sh
from test_underlay import Node, node, run  # noqa: F401  (node is a fixture)
from wires import steady_ping

PREFIX = "2001:db8:79"


@pytest.fixture
def router(node: Node, tmp_path: Path) -> Iterator[Node]:  # noqa: F811
    """Let the neighbour advertise a prefix and a default route every 4 s."""
    sh("ip", "address", "flush", "dev", node.nic, "scope", "global")
    sh("ip", "-6", "address", "add", f"{PREFIX}::1/64", "dev", "eth0", "nodad", netns=node.neighbour)
    sh("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", netns=node.neighbour)
    server = ["dnsmasq", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--user=root", "--enable-ra"]
    server += [f"--dhcp-range={PREFIX}::,ra-only,64,600", "--ra-param=eth0,4,600", f"--pid-file={tmp_path}/pid"]
    sh(*server, netns=node.neighbour)
    yield node
    os.kill(int((tmp_path / "pid").read_text()), 15)


def advertised(device: str) -> dict[str, int]:
    """Return the lifetimes of the device's addresses in the advertised prefix."""
    (shown,) = [entry for entry in ip_json("-6", "address", "show", "dev", device) if entry]
    return {
        info["local"]: info["valid_life_time"] for info in shown["addr_info"] if info["local"].startswith(PREFIX)
    }


def default_metrics(device: str) -> list[int]:
    return sorted(route["metric"] for route in ip_json("-6", "route", "show", "default", "dev", device))


def wait_for_advertisement(device: str, least: int, seconds: float = 30) -> None:
    """Wait until an advertisement has set the lifetime of the device's addresses to more than ``least``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if any(left > least for left in advertised(device).values()):
            return
        time.sleep(0.2)
    raise AssertionError(f"{device}: {advertised(device)} was not renewed: {sh('ip', '-6', 'route')}")


@pytest.mark.parametrize("mode", ["eui64", "random"])
def test_an_advertised_address_moves_and_stays_alive(router: Node, mode: str) -> None:
    sh("ip", "link", "set", router.nic, "down", "addrgenmode", mode)
    sh("ip", "link", "set", router.nic, "up")
    wait_for_advertisement(router.nic, 0)
    (address,) = advertised(router.nic)
    assert default_metrics(router.nic) == [1024]
    with steady_ping(router.neighbour, address) as counts:
        run(router, router.attachment())
        assert advertised(router.nic) == {}
        assert set(advertised(router.bridge)) == {address}
        assert default_metrics(router.nic) == []
        assert 1025 in default_metrics(router.bridge)
        assert not run(router, router.attachment()).changed
        # Shorten the lifetime: only an advertisement that the kernel accepts makes it longer again.
        sh("ip", "address", "change", f"{address}/64", "dev", router.bridge, "valid_lft", "100", "preferred_lft", "90")
        wait_for_advertisement(router.bridge, 100)
        assert set(advertised(router.bridge)) == {address}
        assert default_metrics(router.bridge) == [1024, 1025]
        assert not run(router, router.attachment()).changed
    sent, received = counts
    assert sent > 50
    assert sent - received <= 3  # a packet is sent each 10 ms
    run(router)
    assert address in advertised(router.nic)
    assert advertised(router.bridge) == {}
    sh("ip", "address", "change", f"{address}/64", "dev", router.nic, "valid_lft", "100", "preferred_lft", "90")
    wait_for_advertisement(router.nic, 100)

"""The wiring of a network for tests of DHCP. A guest is a veth in its own namespace. What does not belong here: any
test."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from dhcp_client import Answer, DhcpClient
from headworks.state.dhcp import DhcpHost, DhcpNetwork, DhcpSubnet, HostRoute


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass
class Wire:
    """The wiring of a network: the DHCP namespace with its interface, and a guest's namespace with the veth's peer."""

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
        client = DhcpClient(self.guest, "eth0", mac)
        try:
            return client.boot()
        finally:
            client.close()

    def network(self, *hosts: DhcpHost, **values: object) -> DhcpNetwork:
        subnet = DhcpSubnet(
            tag="subnet0",
            cidr="10.18.0.0/24",
            server="10.18.0.2",
            gateway="10.18.0.1",
            dns=("9.9.9.9", "1.1.1.1"),
            routes=(HostRoute("169.254.169.254/32", "10.18.0.2"),),
        )
        fields: dict[str, object] = {"mtu": 1458, "subnets": (subnet,), "hosts": hosts, **values}
        return DhcpNetwork(self.name, self.netns, self.interface, **fields)  # type: ignore[arg-type]

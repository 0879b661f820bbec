"""ifupdown gives the addresses of a NIC in a bridge to the bridge: ifup and dhclient run for real, with Open vSwitch's
userspace datapath, and a neighbour that serves DHCP pings the node."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from headworks.node.underlay import config, dhcp_client
from headworks.node.underlay.carry import read_carried
from headworks.node.underlay.config import ifupdown
from headworks.node.underlay.dhcp_client import dhcp_clients, undo_client_commands
from shell import ip_json, link, sh
from test_underlay import Node, node, run  # noqa: F401  (node is a fixture)
from wires import pings, steady_ping

pytestmark = pytest.mark.skipif(
    shutil.which("ifup") is None or shutil.which("dhclient") is None,
    reason="this machine has no ifupdown or no ISC dhclient",
)
PACKAGE = Path(config.__file__).parents[4]  # the directory with package headworks
KINDS = {
    "static": """iface {nic} inet static
    address {subnet}.1/24
    gateway {subnet}.2
    up ip route add {other}.0/24 via {subnet}.2 dev {nic}
iface {nic} inet6 static
    address 2001:db8:77::1/64
    gateway 2001:db8:77::2
    dad-attempts 0
""",
    "dhcp": "iface {nic} inet dhcp\n",
}


@dataclass
class Machine:
    """A node whose NIC ifupdown configures. ``address`` is the address that the neighbour pings."""

    node: Node
    log: Path
    kind: str
    address: str = ""

    def addresses(self, device: str) -> list[str]:
        """Return the global addresses of a device."""
        found = [entry for entry in ip_json("address", "show") if entry["ifname"] == device]
        return sorted(info["local"] for entry in found for info in entry["addr_info"] if info["scope"] == "global")

    def routes(self, device: str) -> list[str]:
        """Return the configured routes of a device: destination, next hop and metric."""
        shown = [ip_json(family, "route", "show", "dev", device) for family in ("-4", "-6")]
        return sorted(
            f"{route['dst']} via {route.get('gateway')} metric {route.get('metric')}"
            for listed in shown
            for route in listed
            if route.get("protocol") != "kernel"
        )

    def move(self) -> None:
        """Move the NIC into its bridge, and write the configuration."""
        run(self.node, self.node.attachment())
        config.write(self.node.nic, self.node.bridge, read_carried(self.node.bridge))


@pytest.fixture(params=list(KINDS))
def machine(
    node: Node,  # noqa: F811
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Machine]:
    kind = request.param
    monkeypatch.setattr(ifupdown, "ENGINE", str(PACKAGE))
    sh("ip", "address", "flush", "dev", node.nic, "scope", "global")
    for family in ("-4", "-6"):
        sh("ip", family, "route", "flush", "dev", node.nic, "proto", "boot")
    sh("ip", "-6", "address", "add", "2001:db8:77::2/64", "dev", "eth0", "nodad", netns=node.neighbour)
    log = tmp_path / "dnsmasq.log"
    server = ["dnsmasq", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--bind-interfaces", "--user=root"]
    server += [f"--dhcp-range={node.subnet}.50,{node.subnet}.60,120", f"--dhcp-leasefile={tmp_path}/leases"]
    sh(*server, f"--pid-file={tmp_path}/pid", "--log-dhcp", f"--log-facility={log}", netns=node.neighbour)
    other = node.subnet.replace("10.", "11.")
    stanzas = KINDS[kind].format(nic=node.nic, subnet=node.subnet, other=other)
    interfaces = Path(f"/etc/network/interfaces.d/{node.nic}")
    interfaces.write_text(f"auto {node.nic}\n{stanzas}")
    sh("ifup", node.nic)
    machine = Machine(node, log, kind)
    machine.address = machine.addresses(node.nic)[0]
    yield machine
    config.delete(node.nic, node.bridge)
    for client in [*dhcp_clients(node.nic), *dhcp_clients(node.bridge)]:
        os.kill(client.pid, 9)
    sh("ifdown", "--force", node.nic, check=False)
    interfaces.unlink()
    for path in Path("/var/lib/dhcp").glob(f"*.{node.nic}.*"):
        path.unlink()
    os.kill(int((tmp_path / "pid").read_text()), 15)


def test_ifupdown_is_found_and_needs_a_hook(machine: Machine) -> None:
    assert config.manager_of(machine.node.nic) == "ifupdown"
    assert not config.is_written(machine.node.nic, machine.node.bridge)
    machine.move()
    assert config.is_written(machine.node.nic, machine.node.bridge)
    assert machine.address in machine.addresses(machine.node.bridge)


@pytest.mark.parametrize("times", [1, 2])
def test_the_addresses_move_to_the_bridge_after_a_restart_of_networking(machine: Machine, times: int) -> None:
    nic, bridge = machine.node.nic, machine.node.bridge
    before, routes = machine.addresses(nic), machine.routes(nic)
    machine.move()
    for _ in range(times):
        sh("ifdown", nic)
        assert machine.addresses(bridge) == before
        sh("ifup", nic)
    assert machine.addresses(bridge) == before
    assert machine.addresses(nic) == []
    assert machine.routes(bridge) == routes
    assert pings(machine.node.neighbour, machine.address)
    if machine.kind == "dhcp":
        assert len(dhcp_clients(bridge)) == 1
        assert not dhcp_clients(nic)
        assert "DHCPRELEASE" not in machine.log.read_text()


def test_at_most_three_packets_are_lost_by_a_further_ifup(machine: Machine) -> None:
    machine.move()
    with steady_ping(machine.node.neighbour, machine.address) as counts:
        sh("ifup", "--force", machine.node.nic)
        time.sleep(1)
    sent, received = counts
    assert sent > 50
    assert sent - received <= 3


def test_after_a_boot_the_bridge_has_the_addresses_without_headworks(machine: Machine) -> None:
    nic, bridge = machine.node.nic, machine.node.bridge
    before, routes = machine.addresses(nic), machine.routes(nic)
    machine.move()
    for client in dhcp_clients(bridge):
        os.kill(client.pid, 9)
    for device in (bridge, nic):
        sh("ip", "address", "flush", "dev", device)
        sh("ip", "link", "set", device, "down")
    shutil.rmtree("/run/network")
    shutil.rmtree("/run/headworks/underlay", ignore_errors=True)
    Path("/run/network").mkdir()
    sh("ifup", nic)
    assert machine.addresses(bridge) == before
    assert machine.addresses(nic) == []
    assert machine.routes(bridge) == routes
    assert pings(machine.node.neighbour, machine.address)


def test_a_broken_engine_takes_the_nic_out_of_the_bridge(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine.addresses(machine.node.nic)
    monkeypatch.setattr(ifupdown, "ENGINE", "/nonesuch.zip")
    machine.move()
    sh("ifdown", machine.node.nic)
    sh("ifup", machine.node.nic)
    assert machine.addresses(machine.node.nic) == before
    assert machine.addresses(machine.node.bridge) == []
    assert sh("ovs-vsctl", "list-ports", machine.node.bridge) == ""
    assert pings(machine.node.neighbour, machine.address)


def test_a_nic_that_leaves_the_bridge_has_its_own_configuration_again(machine: Machine) -> None:
    nic, bridge = machine.node.nic, machine.node.bridge
    before, routes = machine.addresses(nic), machine.routes(nic)
    machine.move()
    run(machine.node)
    config.delete(nic, bridge)
    for _ in range(2):
        assert machine.addresses(nic) == before
        assert machine.routes(nic) == routes
        assert machine.addresses(bridge) == []
        assert not dhcp_clients(bridge)
        assert len(dhcp_clients(nic)) == (machine.kind == "dhcp")
        sh("ifdown", nic)
        sh("ifup", nic)
    assert not Path("/etc/network/if-up.d/headworks").exists()
    assert not list(Path("/var/lib/dhcp").glob(f"*{bridge}*"))


def test_the_nic_has_the_address_while_its_bridge_is_missing(machine: Machine) -> None:
    node = machine.node  # noqa: F811
    before = machine.addresses(node.nic)
    machine.move()
    mac = (link(node.nic) or {})["address"]
    sh("ovs-vsctl", "del-br", node.bridge)
    sh("systemctl", "start", f"headworks-release-{node.nic}.service")
    assert machine.addresses(node.nic) == before
    assert pings(node.neighbour, machine.address)
    add = ["add-br", node.bridge, "--", "set", "Bridge", node.bridge, "datapath_type=netdev"]
    add += [f"external_ids:headworks={node.name}", f'other_config:hwaddr="{mac}"', "--", "add-port", node.bridge]
    add += [node.nic, "--", "set", "Port", node.nic, f"external_ids:headworks={node.name}"]
    sh("ovs-vsctl", *add, f"external_ids:headworks-nic={node.nic}")
    sh("systemctl", "start", f"headworks-take-{node.nic}.service")
    assert machine.addresses(node.bridge) == before
    assert machine.addresses(node.nic) == []
    assert len(dhcp_clients(node.bridge)) == (machine.kind == "dhcp")


def test_raw_commands_give_the_dhcp_client_back(machine: Machine) -> None:
    nic, bridge = machine.node.nic, machine.node.bridge
    commands = undo_client_commands(nic, bridge)
    assert bool(commands) == (machine.kind == "dhcp")
    run(machine.node, machine.node.attachment())
    count = len(dhcp_clients(bridge))
    run(machine.node)
    for client in dhcp_clients(nic):  # as if a killed run had left it with the bridge
        dhcp_client._kill(client)
    for command in commands:
        sh(*command, check=False)
    assert len(dhcp_clients(nic)) == count == len(commands) / 3
    for command in commands:  # a client that runs already is replaced
        sh(*command, check=False)
    assert len(dhcp_clients(nic)) == count

"""systemd-networkd gives the addresses of a NIC in a bridge to the bridge: it runs for real, with Open vSwitch's
userspace datapath, and a neighbour that serves DHCP and router advertisements pings the node."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from headworks.node.underlay import config
from headworks.node.underlay.carry import read_carried
from headworks.system.net_managers import networkd_lease
from shell import ip_json, link, sh
from test_underlay import Node, node, run  # noqa: F401  (node is a fixture)
from wires import pings, steady_ping

DROPIN = Path("/run/systemd/system/systemd-networkd.service.d/test.conf")
# Without udev, which does not run in the container, systemd-networkd would wait for it.
WITHOUT_UDEV = "[Service]\nReadOnlyPaths=/sys\n"
KINDS = {
    "static": "[Network]\nAddress={subnet}.1/24\nGateway={subnet}.2\nAddress=2001:db8:77::1/64\n",
    "dhcp": "[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n",
    "slaac": "[Network]\nIPv6AcceptRA=yes\n",
}


@dataclass
class Machine:
    """A node whose NIC systemd-networkd configures. ``address`` is the address that the neighbour pings."""

    node: Node
    file: Path
    log: Path
    kind: str
    address: str = ""

    def addresses(self, device: str) -> list[str]:
        """Return the global addresses of a device."""
        found = [entry for entry in ip_json("address", "show") if entry["ifname"] == device]
        return [info["local"] for entry in found for info in entry["addr_info"] if info["scope"] == "global"]

    def move(self) -> None:
        """Move the NIC into its bridge, and write the configuration."""
        run(self.node, self.node.attachment())
        config.write(self.node.nic, self.node.bridge, read_carried(self.node.bridge))
        wait(lambda: configured(self.node.bridge) and configured(self.node.nic))


def wait(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, sh("networkctl", "--no-pager", "list") + sh("ip", "address")
        time.sleep(0.1)


def configured(device: str) -> bool:
    return "configured" in sh("networkctl", "list", "--no-legend", device, check=False).split()


@pytest.fixture(params=list(KINDS))
def machine(node: Node, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:  # noqa: F811
    kind = request.param
    for family in ("-4", "-6"):
        sh("ip", family, "route", "flush", "dev", node.nic, "proto", "boot")
    sh("ip", "address", "flush", "dev", node.nic, "scope", "global")
    sh("ip", "-6", "address", "add", "2001:db8:77::2/64", "dev", "eth0", "nodad", netns=node.neighbour)
    sh("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", netns=node.neighbour)
    log = tmp_path / "dnsmasq.log"
    server = ["dnsmasq", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--bind-interfaces", "--user=root"]
    server += [f"--dhcp-range={node.subnet}.50,{node.subnet}.60,120", f"--dhcp-leasefile={tmp_path}/leases"]
    server += ["--enable-ra", "--dhcp-range=2001:db8:77::,ra-only,64,600", "--ra-param=eth0,4,600"]
    sh(*server, f"--pid-file={tmp_path}/pid", "--log-dhcp", f"--log-facility={log}", netns=node.neighbour)
    file = Path(f"/etc/systemd/network/20-{node.nic}.network")
    file.write_text(f"[Match]\nName={node.nic}\n" + KINDS[kind].format(subnet=node.subnet))
    DROPIN.parent.mkdir(parents=True, exist_ok=True)
    DROPIN.write_text(WITHOUT_UDEV)
    sh("systemctl", "daemon-reload")
    sh("systemctl", "restart", "systemd-networkd")
    machine = Machine(node, file, log, kind)
    wait(lambda: bool(machine.addresses(node.nic)) and configured(node.nic))
    machine.address = machine.addresses(node.nic)[0]
    yield machine
    config.delete(node.nic, node.bridge)
    file.unlink()
    DROPIN.unlink()
    sh("systemctl", "stop", "systemd-networkd.socket", "systemd-networkd.service")
    sh("systemctl", "daemon-reload")
    os.kill(int((tmp_path / "pid").read_text()), 15)


def test_networkd_is_found_and_needs_a_configuration(machine: Machine) -> None:
    assert config.manager_of(machine.node.nic) == "networkd"
    assert not config.is_written(machine.node.nic, machine.node.bridge)
    assert config.manager_of(machine.node.bridge) == ""


def test_the_bridge_keeps_the_address_while_networkd_takes_it_over(machine: Machine) -> None:
    before, lease = machine.addresses(machine.node.nic), networkd_lease(machine.node.nic).get("CLIENTID")
    with steady_ping(machine.node.neighbour, machine.address) as counts:
        machine.move()
        time.sleep(3)
    sent, received = counts
    assert sent > 100
    assert sent - received <= 3, (sent, received)
    assert machine.addresses(machine.node.nic) == []
    assert sorted(machine.addresses(machine.node.bridge)) == sorted(before)
    assert config.is_written(machine.node.nic, machine.node.bridge)
    assert config.manager_of(machine.node.nic) == "networkd"
    if machine.kind == "dhcp":
        wait(lambda: networkd_lease(machine.node.bridge).get("CLIENTID") == lease)
        assert "DHCPRELEASE" not in machine.log.read_text()


@pytest.mark.parametrize(
    "command", ["networkctl reload", "systemctl restart systemd-networkd", "networkctl reconfigure BRIDGE"]
)
def test_the_bridge_keeps_its_address_when_networkd_reads_its_files_again(machine: Machine, command: str) -> None:
    machine.move()
    time.sleep(2)
    with steady_ping(machine.node.neighbour, machine.address) as counts:
        sh(*command.replace("BRIDGE", machine.node.bridge).split())
        wait(lambda: configured(machine.node.bridge))
        time.sleep(3)
    sent, received = counts
    if "reconfigure" not in command:  # it drops the addresses and sets them again, as it does for a NIC
        assert sent > 100
        assert sent - received <= 3, (sent, received)
    wait(lambda: machine.address in machine.addresses(machine.node.bridge))
    wait(lambda: pings(machine.node.neighbour, machine.address))
    assert machine.addresses(machine.node.nic) == []


def test_after_a_boot_the_bridge_has_the_address_without_headworks(machine: Machine) -> None:
    machine.move()
    sh("systemctl", "stop", "systemd-networkd.socket", "systemd-networkd.service")
    sh("sh", "-c", "rm -rf /run/systemd/netif/leases/* /run/systemd/netif/links/*")
    sh("ip", "address", "flush", "dev", machine.node.bridge)
    sh("ip", "link", "set", machine.node.bridge, "down")
    sh("ip", "link", "set", machine.node.nic, "down")
    sh("systemctl", "start", "systemd-networkd")
    wait(lambda: machine.address in machine.addresses(machine.node.bridge))
    assert machine.addresses(machine.node.nic) == []
    wait(lambda: pings(machine.node.neighbour, machine.address))


def test_a_nic_that_leaves_the_bridge_has_its_own_configuration_again(machine: Machine) -> None:
    before = machine.addresses(machine.node.nic)
    machine.move()
    run(machine.node)
    config.delete(machine.node.nic, machine.node.bridge)
    wait(lambda: configured(machine.node.nic) and machine.address in machine.addresses(machine.node.nic))
    wait(lambda: not machine.addresses(machine.node.bridge))
    wait(lambda: sorted(machine.addresses(machine.node.nic)) == sorted(before))
    assert not list(Path("/etc/systemd/network").glob(f"*headworks-{machine.node.nic}*"))
    assert not list(Path("/etc/systemd/system").glob(f"**/*{machine.node.nic}*"))


def test_the_nic_has_the_address_while_its_bridge_is_missing(machine: Machine) -> None:
    node = machine.node  # noqa: F811
    machine.move()
    mac = (link(node.nic) or {})["address"]
    sh("ovs-vsctl", "del-br", node.bridge)
    sh("systemctl", "start", f"headworks-release-{node.nic}.service")
    wait(lambda: machine.address in machine.addresses(node.nic))
    wait(lambda: pings(node.neighbour, machine.address))
    add = ["add-br", node.bridge, "--", "set", "Bridge", node.bridge, "datapath_type=netdev"]
    add += [f"external_ids:headworks={node.name}", f'other_config:hwaddr="{mac}"', "--", "add-port", node.bridge]
    add += [node.nic, "--", "set", "Port", node.nic, f"external_ids:headworks={node.name}"]
    sh("ovs-vsctl", *add, f"external_ids:headworks-nic={node.nic}")
    sh("systemctl", "start", f"headworks-release-{node.nic}.service")  # the bridge is served: nothing changes
    assert machine.address in machine.addresses(node.nic)
    sh("systemctl", "start", f"headworks-take-{node.nic}.service")
    wait(lambda: machine.address in machine.addresses(node.bridge))
    assert machine.addresses(node.nic) == []

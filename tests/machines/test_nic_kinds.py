"""NICs of many kinds in bridges: each moves, is reachable after every boot from the first minute, and moves back.

The lab is one machine. Its management NIC (netplan), NICs with DHCP by systemd-networkd and by dhclient, one with
static addresses by ifupdown, one with an advertised address, a bond and a VLAN are each in a provider bridge; its
tunnel address is on another VLAN. What does not belong here: moves that are not confirmed (``test_cut_off.py``).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from ansible_run import Run
from conftest import KEEP
from machine_lab import MachineLab
from real_nodes import eventually
from way_out import way_out

NODE = "many"
INVENTORY = Path(__file__).parent / "inventories/nic-kinds"
RESTORES = ("headworks-restore.service", "headworks-repair-switch.service")


@dataclass(frozen=True)
class Kind:
    """A NIC, the bridge that it goes into, and an address of it that a neighbour on lab network ``network`` pings."""

    nic: str
    bridge: str
    address: str
    network: str = ""


KINDS = {
    "mgmt": Kind("enp0s16", "br-mgmt", "10.100.0.11"),
    "nd": Kind("enp0s17", "br-nd", "10.100.1.11", "nd"),
    "ifd": Kind("enp0s18", "br-ifd", "10.100.2.11", "ifd"),
    "six": Kind("enp0s19", "br-six", "2001:db8:100:3:", "six"),  # the rest is made of the MAC
    "ifs": Kind("enp0s20", "br-ifs", "10.100.4.11", "ifs"),
    "bond": Kind("bond0", "br-bond", "10.100.5.11", "bond"),
    "vlan": Kind("enp0s23.7", "br-vlan", "10.100.7.11"),
}
IPV6 = "2001:db8:100:4::11"  # the other address of NIC ifs


class Many:
    """The lab, and the working copy of its inventory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        shutil.copytree(INVENTORY, directory, dirs_exist_ok=True)
        self.lab = MachineLab("kinds", directory)

    def map(self, kinds: Mapping[str, Kind]) -> Run:
        """Declare which NICs are in their bridges, and converge the node."""
        hosts = yaml.safe_load((INVENTORY / "hosts.yml").read_text())
        mappings = {name: {"bridge": kind.bridge, "interface": kind.nic} for name, kind in kinds.items()}
        hosts["all"]["children"]["lab_machines"]["hosts"][NODE] = {"node_bridge_mappings": mappings}
        (self.directory / "hosts.yml").write_text(yaml.safe_dump(hosts))
        return self.lab.playbook("site.yml")

    def addresses(self, device: str) -> list[str]:
        """Return the global addresses of a device; none if it does not exist."""
        shown = self.lab.ssh(NODE, f"ip -o address show dev {device} scope global 2>/dev/null || true")
        return sorted(line.split()[3] for line in shown.splitlines())

    def reached(self, kind: Kind) -> bool:
        """Return whether the NIC's address answers a neighbour. The neighbour of the VLAN is in the machine itself."""
        address = next((one.split("/")[0] for one in self.addresses(kind.bridge) + self.addresses(kind.nic)), "")
        words = ["ping", "-c", "1", "-W", "2", address]
        if not address.startswith(kind.address):
            return False
        if kind.network:
            return "1 received" in self.lab.outside(kind.network, *words, check=False)
        if kind.nic == "enp0s23.7":
            ping = f"{VLAN_NEIGHBOUR}; ip netns exec far {' '.join(words)}"
            return "1 received" in self.lab.ssh(NODE, ping, check=False)
        return True  # ssh has just used it

    def is_in_bridge(self, kind: Kind) -> bool:
        """Return whether the bridge has the NIC's address, and the NIC none."""
        on_bridge = any(address.startswith(kind.address) for address in self.addresses(kind.bridge))
        return on_bridge and self.addresses(kind.nic) == []

    def are_in_bridges(self, kinds: Mapping[str, Kind] = KINDS, seconds: float = 30) -> None:
        """Check that the bridges have the addresses and answer, and that the NICs have none."""
        for name, kind in kinds.items():
            eventually(lambda kind=kind: self.is_in_bridge(kind), f"{name} is in its bridge", seconds)  # type: ignore[misc]
            eventually(lambda kind=kind: self.reached(kind), f"{name} answers", 30)  # type: ignore[misc]
        if "ifs" in kinds:
            assert f"{IPV6}/64" in self.addresses("br-ifs")


VLAN_NEIGHBOUR = """\
if ! ip netns list | grep -qw far; then
    ip netns add far && ip link set enp0s24 netns far && ip -n far link set enp0s24 up &&
    ip -n far link add link enp0s24 name v7 type vlan id 7 && ip -n far link set v7 up &&
    ip -n far address add 10.100.7.1/24 dev v7 && sleep 2
fi"""


@pytest.fixture(scope="module")
def many() -> Iterator[Many]:
    """The machine as a node of a cloud, with all its NICs in bridges."""
    home = Path(os.environ.get("HEADWORKS_CACHE") or Path.home() / ".cache/headworks") / "lab/kinds-inventory"
    many = Many(home)
    try:
        many.lab.start(fresh=not KEEP)
        many.map(KINDS).must_succeed()
        yield many
    finally:
        if not KEEP:
            many.lab.stop()
            shutil.rmtree(home)


def test_every_kind_of_nic_moves_into_its_bridge(many: Many) -> None:
    many.are_in_bridges()
    assert "10.100.8.11/24" in many.addresses("enp0s23.8")  # the tunnel address
    assert many.map(KINDS).must_succeed().changed_counts()[NODE] == 0
    assert many.lab.drift(NODE) == ""


@pytest.mark.parametrize("service", ["systemd-networkd", "networking"])
def test_a_restart_of_the_network_service_leaves_the_bridges_their_addresses(many: Many, service: str) -> None:
    many.lab.ssh(NODE, "systemctl", "restart", service, timeout=120)
    many.are_in_bridges()
    assert many.lab.drift(NODE) == ""


def test_netplan_apply_leaves_the_bridges_their_addresses(many: Many) -> None:
    many.lab.ssh(NODE, "netplan apply", timeout=120, check=False)
    many.are_in_bridges()


@pytest.mark.parametrize("restored", [True, False])
def test_the_node_is_reachable_after_a_boot_whether_it_is_restored_or_not(many: Many, restored: bool) -> None:
    dropins = [f"/etc/systemd/system/{unit}.d/off.conf" for unit in RESTORES]
    for dropin in () if restored else dropins:
        many.lab.put(NODE, dropin, "[Unit]\nConditionPathExists=/nonesuch\n")
    try:
        many.lab.reboot(NODE)
        many.are_in_bridges()
        flows = many.lab.ssh(NODE, "ovs-ofctl dump-flows br-int | wc -l", check=False)
        assert restored or int(flows) <= 2, "the restore was not off"
    finally:
        many.lab.ssh(NODE, "rm -f " + " ".join(dropins) + "; systemctl daemon-reload")
    if restored:
        eventually(lambda: many.lab.drift(NODE) == "", "the node is restored", 180)


def test_the_node_is_reachable_without_open_vswitch(many: Many) -> None:
    many.lab.ssh(NODE, "echo 'install openvswitch /bin/false' >/etc/modprobe.d/broken.conf")
    try:
        many.lab.reboot(NODE)
        for name, kind in KINDS.items():
            eventually(lambda kind=kind: many.reached(kind), f"{name} answers", 60)  # type: ignore[misc]
            assert any(address.startswith(kind.address) for address in many.addresses(kind.nic)), name
    finally:
        many.lab.console_run(NODE, "rm -f /etc/modprobe.d/broken.conf")
    many.lab.console_run(NODE, "systemctl reset-failed; systemctl start ovs-vswitchd", timeout=120)
    many.are_in_bridges(seconds=90)  # a unit for each NIC gives its addresses to the bridge


def test_a_nic_with_another_name_is_refused_with_both_names(many: Many) -> None:
    many.lab.power_cut(NODE)
    many.lab.power_on(NODE, slots={"enp0s17": 27})
    many.lab.wait_ssh(NODE)
    try:
        run = many.map(KINDS)
        assert run.rc != 0
        assert "calls this NIC enp0s27 now" in run.output
        assert "write enp0s27 instead of enp0s17" in run.output
    finally:
        many.lab.power_cut(NODE)
        many.lab.power_on(NODE)
        many.lab.wait_ssh(NODE)
    many.are_in_bridges()


def test_a_missing_nic_stops_nothing_else(many: Many) -> None:
    many.lab.power_cut(NODE)
    many.lab.power_on(NODE, slots={"enp0s17": None})
    many.lab.wait_ssh(NODE)
    try:
        run = many.map(KINDS)
        assert run.rc != 0
        assert "'enp0s17': is missing on many, which had it in earlier runs" in run.output
        many.are_in_bridges({name: kind for name, kind in KINDS.items() if name != "nd"})
    finally:
        many.lab.power_cut(NODE)
        many.lab.power_on(NODE)
        many.lab.wait_ssh(NODE)
    eventually(lambda: many.lab.drift(NODE) == "", "the node is restored", 180)
    many.are_in_bridges()


@pytest.mark.parametrize("name", ["ifd", "ifs"])
def test_the_way_out_of_the_documentation_works_for_a_nic_of_ifupdown(many: Many, name: str) -> None:
    kind = KINDS[name]
    many.lab.console_run(NODE, way_out(kind.nic, kind.bridge, "ifupdown"), timeout=120, check=False)
    eventually(lambda: many.reached(kind), f"{name} answers", 60)
    assert any(address.startswith(kind.address) for address in many.addresses(kind.nic))
    many.map(KINDS).must_succeed()
    many.are_in_bridges()


def test_nics_that_leave_their_bridges_have_their_own_configuration_again(many: Many) -> None:
    many.map({}).must_succeed()
    for boot in (False, True):
        if boot:
            many.lab.reboot(NODE)
        for name, kind in KINDS.items():
            eventually(lambda kind=kind: many.reached(kind), f"{name} answers", 60)  # type: ignore[misc]
            assert any(address.startswith(kind.address) for address in many.addresses(kind.nic)), name
            assert many.addresses(kind.bridge) == [], name
        left = many.lab.ssh(NODE, "ls -R /etc/systemd/network /etc/systemd/system /etc/network")
        assert "05-headworks" not in left
        assert "headworks-release" not in left
        assert "if-up.d/headworks" not in left

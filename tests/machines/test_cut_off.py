"""Ways to cut a node off by the move of its only NIC. After each of them the node is reachable by ssh.

The lab is one machine with all roles. systemd-networkd configures its management NIC, which the tests put into br-ex.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_run import Run
from conftest import KEEP
from machine_lab import MachineLab
from way_out import way_out

NODE = "alone"
NIC, OTHER_NIC, BRIDGE = "enp0s16", "enp0s17", "br-ex"
MOVES = "/var/lib/headworks/underlay"
INVENTORY = Path(__file__).parent / "inventories/one-nic"
FIRST_MINUTE = 60.0

SABOTEUR = """\
#!/bin/sh
# Waits until the move of the NIC into the bridge is complete, then does what the arguments say.
on() { ip -4 address show dev "$1" 2>/dev/null | grep -q ' inet '; }
until on br-ex && ! on enp0s16; do sleep 0.5; done
exec "$@"
"""
FAULTS = {
    "wrong address": "ip address flush dev br-ex; ip address add 10.95.0.99/24 dev br-ex",
    "missing route": "ip route flush dev br-ex",
    "NIC down": "ip link set enp0s16 down",
    "bridge without flows": "ovs-ofctl del-flows br-ex",
    "power cycle inside the window": "echo b >/proc/sysrq-trigger",
}


class OneNic:
    """The lab, and the working copy of its inventory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        shutil.copytree(INVENTORY, directory, dirs_exist_ok=True)
        self.lab = MachineLab("onenic", directory)

    def map_nic(self, nic: str | None) -> None:
        """Declare which NIC is in the bridge."""
        hosts = yaml.safe_load((INVENTORY / "hosts.yml").read_text())
        mapping = {"bridge": BRIDGE, **({"interface": nic} if nic else {})}
        hosts["all"]["children"]["lab_machines"]["hosts"][NODE] = {"node_bridge_mappings": {"physnet1": mapping}}
        (self.directory / "hosts.yml").write_text(yaml.safe_dump(hosts))

    def declare_guest(self, declared: bool) -> None:
        """Declare a guest, or none. It has no image that boots: only its disk and its definition matter."""
        path = self.directory / "guest.yml"
        path.unlink(missing_ok=True)
        if declared:
            image = self.lab.state / "empty.raw"
            image.write_bytes(bytes(1 << 20))
            guest = {"instance_image": "empty", "instance_flavor": "small", "instance_networks": ["inside"]}
            cloud = {
                "cloud_images": {"empty": {"path": str(image), "format": "raw"}},
                "cloud_flavors": {"small": {"vcpus": 1, "ram_mb": 64, "disk_gb": 0}},
            }
            groups = {"instances": {"hosts": {"vm1": guest}}}
            path.write_text(yaml.safe_dump({"all": {"vars": cloud, "children": groups}}))

    def site(self, *options: str) -> Run:
        return self.lab.playbook("site.yml", *options)

    def where(self) -> dict[str, bool]:
        """Return which devices have the management address."""
        shown = {
            device: self.lab.ssh(NODE, f"ip -4 -brief address show dev {device} || true") for device in (NIC, BRIDGE)
        }
        return {device: self.lab.address_of(NODE) in text for device, text in shown.items()}

    def ports(self) -> list[str]:
        """Return the ports of the bridge, without its patch port."""
        return [port for port in self.lab.ssh(NODE, "ovs-vsctl list-ports br-ex").split() if port != "phy-br-ex"]

    def is_as_before_the_move(self) -> None:
        """Check that the NIC has its address by its own configuration, and that no unit or file of a move is left."""
        assert self.where() == {NIC: True, BRIDGE: False}
        assert self.ports() == []
        assert "default via 10.95.0.1 dev enp0s16" in self.lab.ssh(NODE, "ip route")
        units = self.lab.ssh(NODE, "ls /etc/systemd/system /run/systemd/system /etc/systemd/network")
        assert "headworks-rollback-" not in units
        assert "headworks-undo-" not in units
        assert "05-headworks" not in units

    def is_in_the_bridge(self) -> None:
        """Check that the bridge has the address, and that the move is confirmed."""
        assert self.where() == {NIC: False, BRIDGE: True}
        assert self.ports() == [NIC]
        assert "default via 10.95.0.1 dev br-ex" in self.lab.ssh(NODE, "ip route")
        assert f"{NIC}.confirmed" in self.lab.ssh(NODE, "ls", MOVES)


@pytest.fixture(scope="module")
def one() -> Iterator[OneNic]:
    """The machine as a node of a cloud; its NIC is not in the bridge."""
    home = Path(os.environ.get("HEADWORKS_CACHE") or Path.home() / ".cache/headworks") / "lab/onenic-inventory"
    one = OneNic(home)
    one.map_nic(None)
    one.declare_guest(False)
    try:
        one.lab.start(fresh=not KEEP)
        one.site().must_succeed()
        one.is_as_before_the_move()
        yield one
    finally:
        if not KEEP:
            one.lab.stop()
            shutil.rmtree(home)


def sabotage(one: OneNic, fault: str) -> None:
    """Start the saboteur on the node."""
    one.lab.put(NODE, "/root/saboteur", SABOTEUR)
    one.lab.ssh(NODE, "systemctl reset-failed saboteur 2>/dev/null; chmod +x /root/saboteur")
    one.lab.ssh(NODE, "systemd-run", "--unit=saboteur", "--collect", "/root/saboteur", "/bin/sh", "-c", fault)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_move_that_cuts_the_node_off_is_taken_back_and_the_run_names_the_nic(one: OneNic, fault: str) -> None:
    boot = one.lab.boot_id(NODE)
    one.map_nic(NIC)
    sabotage(one, FAULTS[fault])
    run = one.site()
    assert run.rc != 0
    assert f"nic {NIC}: the node could not be reached after the move, so it took the move back" in run.output
    one.lab.wait_ssh(NODE, 120)
    assert (one.lab.boot_id(NODE) != boot) == (fault == "power cycle inside the window")
    one.is_as_before_the_move()
    one.map_nic(None)


def test_the_next_run_without_the_fault_moves_the_nic_and_a_guest_that_fails_does_not_take_it_back(one: OneNic) -> None:
    one.map_nic(NIC)
    one.declare_guest(True)
    one.lab.ssh(NODE, "mkdir -p /var/lib/headworks/instances; chattr +i /var/lib/headworks/instances")
    try:
        run = one.site()
        assert run.rc != 0
        assert f"nic {NIC}: its move is confirmed" in run.output
        time.sleep(50)  # longer than node_rollback_seconds
        one.is_in_the_bridge()
    finally:
        one.lab.ssh(NODE, "chattr -i /var/lib/headworks/instances")
    one.declare_guest(False)
    one.site().must_succeed()
    assert one.site().must_succeed().changes() == []
    assert one.lab.drift(NODE) == ""


def test_a_node_whose_management_nic_is_mapped_is_reachable_from_the_first_minute_of_a_boot(one: OneNic) -> None:
    """A wrong mapping and a reboot: the NIC that the node is reached by is in the bridge."""
    one.is_in_the_bridge()
    one.lab.reboot(NODE)
    up = float(one.lab.ssh(NODE, "cat /proc/uptime").split()[0])
    print(f"reachable {up:.0f} s after the kernel began")
    one.is_in_the_bridge()
    assert one.lab.drift(NODE) == ""


def test_a_node_is_reachable_after_a_boot_at_which_headworks_cannot_run(one: OneNic) -> None:
    one.lab.ssh(NODE, "mv /usr/lib/headworks/engine.zip /root/engine.zip")
    try:
        one.lab.reboot(NODE)
        assert one.where() == {NIC: False, BRIDGE: True}
        assert "failed" in one.lab.ssh(NODE, "systemctl is-failed headworks-restore.service", check=False)
    finally:
        one.lab.ssh(NODE, "mv /root/engine.zip /usr/lib/headworks/engine.zip")
    one.lab.ssh(NODE, "systemctl restart headworks-restore.service", timeout=180)
    assert one.lab.drift(NODE) == ""


def test_a_node_is_reachable_after_a_boot_without_open_vswitch(one: OneNic) -> None:
    one.lab.ssh(NODE, "echo 'install openvswitch /bin/false' >/etc/modprobe.d/none.conf")
    try:
        one.lab.reboot(NODE)
        assert one.where()[NIC]
    finally:
        one.lab.ssh(NODE, "rm /etc/modprobe.d/none.conf")
    one.lab.reboot(NODE)
    one.is_in_the_bridge()
    assert one.lab.drift(NODE) == ""


def test_the_way_out_of_the_documentation_gives_the_nic_its_addresses_until_the_next_run(one: OneNic) -> None:
    one.lab.console_run(NODE, "systemctl stop openvswitch-switch; ip address flush dev br-ex", timeout=120)
    one.lab.console_run(NODE, way_out(NIC, BRIDGE, "networkd"), check=False)
    one.lab.wait_ssh(NODE, 60)
    assert one.where() == {NIC: True, BRIDGE: False}
    one.lab.ssh(NODE, "systemctl start openvswitch-switch", timeout=120)
    one.lab.ssh(NODE, "systemctl restart headworks-restore", timeout=300, check=False)  # names the NIC that stays out
    time.sleep(10)  # longer than the units that follow Open vSwitch need
    assert one.where() == {NIC: True, BRIDGE: False}
    assert one.ports() == []
    one.lab.reboot(NODE)
    assert one.where() == {NIC: True, BRIDGE: False}
    one.site().must_succeed()
    one.is_in_the_bridge()


def test_the_other_nic_is_mapped_instead_and_the_management_nic_is_as_before(one: OneNic) -> None:
    """The wrong NIC was mapped; the inventory is corrected."""
    one.map_nic(OTHER_NIC)
    one.site().must_succeed()
    assert one.where() == {NIC: True, BRIDGE: False}
    assert one.ports() == [OTHER_NIC]
    assert one.site().must_succeed().changes() == []
    one.map_nic(None)
    one.site().must_succeed()
    one.is_as_before_the_move()
    one.lab.reboot(NODE)
    one.is_as_before_the_move()

"""Daemons that are restarted, killed (kill -9) or upgraded: the declared state is back within seconds, without Ansible,
and guests go on.

The times are those of the machine's clock, from the beginning of the restart. What is lost meanwhile is counted by a
ping between two ports of guests.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import pytest
from machine_lab import MachineLab
from real_nodes import eventually
from stands import REMOTE, Standing

NODE = "node2"  # stand2 is here, and a DHCP namespace of each network
LIMIT_S = 10.0
DEBS = "/var/lib/headworks-lab/packages/*.deb"
EMULATED_LIMIT_S = 60.0  # an emulated machine has a tenth of the speed, and shares the host with others


@dataclass(frozen=True)
class Fault:
    """``action`` takes something away, ``lost`` says that it is (or was) gone, ``back`` that it is as before."""

    action: str
    back: str


def restart(unit: str, back: str) -> Fault:
    return Fault(f"systemctl restart {unit}", back)


def kill(pid_of: str, back: str) -> Fault:
    """Kill the processes whose ids a shell command prints, and wait until they have other ids."""
    return Fault(f"{pid_of} >/tmp/killed; kill -9 $(cat /tmp/killed)", f"{pid_of} | grep -vxFf /tmp/killed && {back}")


FLOWS = (
    "test $(ovs-ofctl dump-flows br-int | grep -c cookie) -ge $(cat /tmp/flows) && ovs-appctl -t ovs-vswitchd version"
)
# A start of nftables.service also adds the tables of /etc/nftables.conf.
TABLES = "nft list tables >/tmp/now; ! grep -vxFf /tmp/now /tmp/tables"
DHCP = "systemctl --plain --no-legend list-units 'headworks-dhcp@*' | head -1 | cut -d' ' -f1"
PROXY = "systemctl --plain --no-legend list-units 'headworks-metadata@*' | head -1 | cut -d' ' -f1"
SERVER = "systemctl --plain --no-legend list-units 'headworks-metadata-*.service' | head -1 | cut -d' ' -f1"


def main_pid(unit: str) -> str:
    return f"systemctl show --property=MainPID --value $({unit})"


def active(unit: str) -> str:
    return f"systemctl is-active $({unit})"


FAULTS = {
    "openvswitch-switch restarted": restart("openvswitch-switch", FLOWS),
    "ovs-vswitchd killed": kill("cat /run/openvswitch/ovs-vswitchd.pid", FLOWS),
    "ovsdb-server killed": kill("cat /run/openvswitch/ovsdb-server.pid", FLOWS),
    "nftables restarted": restart("nftables", TABLES),
    "nftables reloaded": Fault("systemctl start nftables && systemctl reload nftables", TABLES),
    "libvirtd restarted": restart("libvirtd", "virsh list"),
    "libvirtd killed": kill("systemctl show --property=MainPID --value libvirtd", "virsh list"),
    "dnsmasq restarted": restart(f"$({DHCP})", active(DHCP)),
    "dnsmasq killed": kill(main_pid(DHCP), active(DHCP)),
    "haproxy restarted": restart(f"$({PROXY})", active(PROXY)),
    "haproxy killed": kill(main_pid(PROXY), active(PROXY)),
    "nginx restarted": restart(f"$({SERVER})", active(SERVER)),
    "nginx killed": kill(main_pid(SERVER), active(SERVER)),
}


@pytest.fixture(scope="module", autouse=True)
def guest(lab: MachineLab) -> None:
    """A guest on the node that has a process and needs no processor: it is paused."""
    lab.playbook("site.yml", "-e", "lab_guest_state=paused").must_succeed()


@pytest.mark.parametrize("name", FAULTS)
def test_the_declared_state_is_back_within_seconds_and_guests_go_on(
    lab: MachineLab, standing: Standing, name: str
) -> None:
    fault = FAULTS[name]
    near, far = standing("stand1", "vxlan1"), standing("stand2", "vxlan1")
    assert near.answers(far.address)
    guests = lab.ssh(NODE, "pgrep", "-f", "qemu-system.*instance-")
    lab.ssh(NODE, "systemctl start libvirtd; ovs-ofctl dump-flows br-int | grep -c cookie >/tmp/flows")
    lab.ssh(NODE, "nft list tables >/tmp/tables")
    pings = lab.pings(near.machine, far.address, prefix=near.prefix)
    words = ["python3", f"{REMOTE}/seconds_until.py", "120", fault.action, fault.back]
    try:
        seconds = float(lab.ssh(NODE, *words, timeout=180))
        eventually(lambda: near.answers(far.address, tries=1), "the guests reach each other", 60, 1.0)
    finally:
        loss = pings.stop()
    print(f"{name}: {seconds:.1f} s, lost {loss.lost} of {loss.sent} pings, longest gap {loss.longest_gap:.1f} s")
    assert seconds <= (EMULATED_LIMIT_S if lab.is_emulated(NODE) else LIMIT_S)
    assert lab.ssh(NODE, "pgrep", "-f", "qemu-system.*instance-") == guests
    eventually(lambda: lab.drift(NODE) == "", f"{NODE} is as declared", 120, 2.0)
    assert not re.search(r"headworks-(?!restore)", lab.ssh(NODE, "systemctl", "--failed", "--plain", "--no-legend"))


def test_after_an_upgrade_of_openvswitch_everything_is_back_without_a_run(lab: MachineLab, standing: Standing) -> None:
    near, far = standing("stand1", "vxlan1"), standing("stand2", "vxlan1")
    assert near.answers(far.address)
    processes = lab.ssh("node2", "pgrep", "-f", "qemu-system.*instance-")
    switch = lab.ssh("node2", "systemctl", "show", "-p", "MainPID", "--value", "ovs-vswitchd")
    pings = lab.pings(near.machine, far.address, prefix=near.prefix)
    began = time.monotonic()
    lab.ssh("node2", f"DEBIAN_FRONTEND=noninteractive dpkg --force-confold -i {DEBS}", timeout=600)
    installed = time.monotonic()
    try:
        eventually(lambda: near.answers(far.address, tries=1), "the guests reach each other again", 180, 1.0)
        answered = time.monotonic()
    finally:
        loss = pings.stop()
    print(
        f"upgrade {installed - began:.1f} s, answered {answered - installed:.1f} s later, "
        f"lost {loss.lost} of {loss.sent}, longest gap {loss.longest_gap:.1f} s"
    )
    assert lab.ssh("node2", "systemctl", "show", "-p", "MainPID", "--value", "ovs-vswitchd") != switch
    assert lab.ssh("node2", "pgrep", "-f", "qemu-system.*instance-") == processes
    eventually(lambda: lab.drift("node2") == "", "node2 is as declared", 120, 5.0)

"""Machines that boot again: after a reboot, after a power cut, and after power cuts in the middle of a run. Everything
that is declared is back without Ansible, and the node is reachable from its first minute.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import MACHINES
from machine_lab import MachineLab
from real_nodes import eventually
from stands import REMOTE, port_of

RESTORED = "systemctl is-active headworks-restore.service"
STATE = "/var/lib/headworks/node-state.json"
STAND1_IP = "172.16.19.232"
TAPS = "ip -brief link | grep -c tap"
PORTS = "ovs-vsctl list-ports br-int | wc -l"
DISKS = "ls -d /var/lib/headworks/instances/*/disk | wc -l"
DOMAINS = "ls /etc/libvirt/qemu/instance-*.xml | wc -l"
# The moments of a run at which node2 loses its power, in turn for a run that adds a guest and one that removes it: what
# is counted, or None for the moment at which the document is kept.
MOMENTS = {
    "the document with a guest is kept": None,
    "the document without the guest is kept": None,
    "a port is in Open vSwitch": PORTS,
    "the domain is gone": DOMAINS,
    "the domain is defined": DOMAINS,
    "the tap is gone": TAPS,
}


def boot_times(lab: MachineLab, machine: str) -> str:
    """The seconds from the start of the kernel: until ssh answered now, and until the restore had ended."""
    show = "systemctl show --property={} --value {}"
    restored = int(lab.ssh(machine, show.format("ActiveEnterTimestampMonotonic", "headworks-restore.service"))) / 1e6
    sshd = int(lab.ssh(machine, show.format("ActiveEnterTimestampMonotonic", "ssh.service"))) / 1e6
    return f"{machine}: ssh {sshd:.0f} s, restored {restored:.0f} s after the start of the kernel"


def is_restored(lab: MachineLab, machine: str) -> None:
    """Wait for the restore, and check that the node is as declared."""
    eventually(lambda: lab.ssh(machine, RESTORED, check=False).strip() == "active", f"{machine} is restored", 300, 2.0)
    assert lab.drift(machine) == ""
    print(boot_times(lab, machine))


@pytest.mark.parametrize("cut", [("node1",), ("node2",), MACHINES], ids=" and ".join)
def test_everything_declared_is_back_after_a_power_cut(
    lab: MachineLab, lasting_floating_ip: str, cut: tuple[str, ...]
) -> None:
    before = {machine: objects(lab, machine) for machine in cut}
    for machine in cut:
        lab.power_cut(machine)
    for machine in cut:
        lab.power_on(machine)
    powered = time.time()
    pings = lab.pings_outside("ext", lasting_floating_ip, interval=0.5)
    try:
        for machine in cut:
            lab.wait_ssh(machine)
            is_restored(lab, machine)
        eventually(lambda: answers(lab, lasting_floating_ip), "the floating IP answers", 180, 1.0)
    finally:
        loss = pings.stop()
    first = min((stamp for stamp in loss.answers.values() if stamp > powered), default=0.0)
    print(f"{' and '.join(cut)}: the floating IP answered {first - powered:.0f} s after power-on")
    assert {machine: objects(lab, machine) for machine in cut} == before


@pytest.mark.parametrize("machine", MACHINES)
def test_everything_declared_is_back_after_a_reboot(lab: MachineLab, machine: str) -> None:
    before = objects(lab, machine)
    print(f"{machine}: {lab.reboot(machine):.0f} s for the shutdown and the boot until ssh answered")
    is_restored(lab, machine)
    assert objects(lab, machine) == before


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_whose_node_loses_its_power_is_completed_by_the_next_run(
    lab: MachineLab, tmp_path: Path, moment: str
) -> None:
    adds = list(MOMENTS).index(moment) % 2 == 0
    declared = ["-i", str(extra(tmp_path))] if adds else []
    boot = lab.boot_id("node2")
    lab.ssh("node2", "systemctl stop reset-when; systemctl reset-failed reset-when", check=False)
    script = ("python3", f"{REMOTE}/reset_when.py", "600", moment_of(lab, moment, adds))
    lab.ssh("node2", "systemd-run", "--collect", "--unit=reset-when", *script)
    run = lab.playbook("site.yml", *declared)
    assert run.rc != 0, run.output[-3000:]
    assert "The inventory is refused" not in run.output, run.output[-3000:]
    eventually(lambda: lab.boot_id("node2") not in ("", boot), "node2 has booted again", 300, 2.0)
    eventually(lambda: "ing" not in lab.ssh("node2", RESTORED, check=False), "the restore has ended", 300, 2.0)
    lab.playbook("site.yml", *declared).must_succeed()
    assert [lab.drift(machine) for machine in MACHINES] == ["", ""]


def moment_of(lab: MachineLab, moment: str, adds: bool) -> str:
    """A shell command that succeeds from a moment on."""
    count = MOMENTS[moment]
    if count is None:
        # The allocations in the document still name a removed guest.
        return f"{'' if adds else '! '}grep -q '\"title\": *\"extra\"' {STATE}"
    now = int(lab.ssh("node2", f"{count} || true"))
    return f"test $({count}) {'-gt' if adds else '-lt'} {now}"


def extra(directory: Path) -> Path:
    """An inventory that adds a guest on node2."""
    guest = {
        "instance_host": "node2",
        "instance_state": "stopped",
        "instance_networks": ["vxlan1", "vlan1"],
    }
    path = directory / "extra.yml"
    path.write_text(yaml.safe_dump({"all": {"children": {"instances": {"hosts": {"extra": guest}}}}}))
    return path


@pytest.fixture(scope="module")
def lasting_floating_ip(lab: MachineLab, summary: dict[str, Any]) -> Iterator[str]:
    """The floating IP of stand1. A unit puts a namespace in the place of the guest after each boot, as soon as the
    restore has made its tap, so that something answers."""
    place, program = port_of(lab, summary, "stand1", "vxlan1")
    wait = f"until test -e /sys/class/net/{program[3]}; do sleep 0.5; done"
    unit = f"""\
[Service]
ExecStartPre=/bin/sh -c '{wait}'
ExecStart={" ".join(program)}
TimeoutStartSec=600
Restart=on-failure
[Install]
WantedBy=multi-user.target
"""
    lab.put(place.machine, "/etc/systemd/system/stand.service", unit)
    lab.ssh(place.machine, "systemctl enable --now stand.service", timeout=120)
    eventually(lambda: answers(lab, STAND1_IP), "the floating IP answers", 120, 1.0)
    yield STAND1_IP
    lab.ssh(place.machine, f"systemctl disable --now stand.service; ip netns delete {place.namespace}", check=False)


def objects(lab: MachineLab, machine: str) -> dict[str, str]:
    """What a node has, as text that does not change from boot to boot."""
    commands = {
        "namespaces": "ls /run/netns",
        "ports": "ovs-vsctl --format=csv --columns=name,tag list Port | sort",
        "flows": "for b in $(ovs-vsctl list-br); do ovs-ofctl dump-flows $b | grep -c cookie=0x6865616477726b73; done",
        "tables": "nft list tables",
        "units": "systemctl list-units --plain --no-legend 'headworks-*@*' | cut -d' ' -f1,2,3 | sort",
        "guests": "virsh list --all --name | sort",
        "addresses": "ip -brief -4 address | awk '{print $1, $3}' | sort",
    }
    return {name: lab.ssh(machine, command) for name, command in commands.items()}


def answers(lab: MachineLab, address: str) -> bool:
    return " 0% packet loss" in lab.outside("ext", "ping", "-c1", "-W2", address, check=False)

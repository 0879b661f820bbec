"""cloud_plan accepts every example inventory, together with the inventories of the command in its first lines.

The tests connect to no node. What does not belong here: how the examples behave on real nodes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

TOP = Path(__file__).parents[3]
EXAMPLES = sorted(path for path in (TOP / "inventory/examples").iterdir() if path.is_dir())
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5m1sPq2gTq0Vh5W8o7nH0w2rZ0vS7xk3m0oX4b9Qab ops@example"
EMPTY_QCOW2 = b"QFI\xfb\x00\x00\x00\x02" + bytes(16) + (64 << 20).to_bytes(8, "big") + bytes(72)
# The facts that node_facts would report of a machine with a NIC for each of the lab's networks.
PLAYBOOK = """
- hosts: controller:network:compute
  gather_facts: false
  tasks:
    - set_fact:
        prechecks_facts:
          facts:
            vcpus: 2
            ram_mb: 8000
            disk_gb: 100
            kvm: true
            nics:
              eth0: {mtu: 1500, addresses: ["{{ ansible_host }}/24"]}
              eth1: {mtu: 1500, addresses: ["{{ node_tunnel_ip | default('198.51.100.1') }}/24"]}
              eth2: {mtu: 1500, addresses: []}
    - cloud_plan:
      run_once: true
    - cloud_begin:
      run_once: true
"""
# Lines of the plan that a reader of the example expects.
PLANS = {
    "all-in-one": {"+ node node1 (compute, controller, network)", "+ instance vm1 (small on node1, 10.0.0."},
    "compute3": {"+ node compute3 (compute)", "+ instance vm4 (m1.nano on compute3, 10.18.0.", "+ instance vm1 "},
    "flat-isolated": {"+ network provider (flat on physnet1, 192.168.3.0/24)", "+ instance vm2 "},
    "ovs-vlan-provider": {
        "+ network vlan2000 (vlan 2000 on default, 192.168.0.0/16)",
        "+ network spare (vlan 2001 on default, 10.40.0.0/24)",
        "+ instance vm1 (m1.nano on compute1, 192.168.12.",
    },
}


@dataclass(frozen=True)
class Planned:
    """The output of a run of cloud_plan, whether the run succeeded, and its allocations file."""

    output: str
    ok: bool
    allocations: Path


def inventories(example: Path) -> list[str]:
    """The inventories of the ``site.yml`` command in the example's first lines, in order."""
    head = (example / "hosts.yml").read_text().split("\nall:")[0]
    (command,) = re.findall(r"^#   ansible-playbook (.*) site\.yml$", head, re.MULTILINE)
    return re.findall(r"-i (\S+)", command)


def plan(sources: list[str], home: Path) -> Planned:
    """Run cloud_plan on the inventories, with a guest image and the lab's ssh key in ``home``."""
    image = home / ".cache/headworks/nano.qcow2"
    image.parent.mkdir(parents=True)
    image.write_bytes(EMPTY_QCOW2)
    for lab in ("lab", *(path.read_text().split("lab_name: ")[1].split()[0] for path in lab_settings(sources))):
        state = image.parent / f"lab/{lab}-state"
        state.mkdir(parents=True, exist_ok=True)
        (state / "id_ed25519.pub").write_text(KEY)
    (home / "play.yml").write_text(PLAYBOOK)
    allocations = home / "allocations.yml"
    environment = {**os.environ, "HOME": str(home), "ANSIBLE_CONFIG": str(TOP / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1",
                   "ANSIBLE_HOME": str(home / "ansible"), "HEADWORKS_CACHE": str(image.parent)}  # fmt: skip
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), *(word for source in sources for word in ("-i", source)),
         "-e", f"cloud_allocations_file={allocations}", str(home / "play.yml")],
        cwd=TOP, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return Planned(done.stdout + done.stderr, done.returncode == 0, allocations)


def lab_settings(sources: list[str]) -> list[Path]:
    """The lab.yml of every inventory that has its own lab."""
    return [path for source in sources if (path := TOP / source / "group_vars/all/lab.yml").exists()]


def test_this_file_lists_the_expected_plan_of_every_example() -> None:
    assert [path.name for path in EXAMPLES] == sorted(PLANS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_command_in_the_first_lines_of_an_example_uses_the_example(example: Path) -> None:
    assert inventories(example)[-1] == str(example.relative_to(TOP))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_cloud_plan_accepts_an_example_and_warns_only_of_the_missing_filter(example: Path, tmp_path: Path) -> None:
    planned = plan(inventories(example), tmp_path)
    assert planned.ok, planned.output
    warnings = [line for line in planned.output.splitlines() if "WARNING" in line]
    assert [line for line in warnings if ": nothing is filtered yet: " not in line] == []
    assert {line for line in PLANS[example.name] if line not in planned.output} == set(), planned.output
    assert planned.allocations.exists()

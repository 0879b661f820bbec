"""The lab of the cloud tests: its inventories, nodes and guests, reached by ssh as a person would (testinfra).

What does not belong here: the expectations of the tests.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import testinfra
from ansible_run import TOP, Run, Running, run_playbook, start_playbook
from real_nodes import CACHE, SSH_OPTIONS, RealNodes, eventually
from testinfra.host import Host

HERE = Path(__file__).parent
INVENTORIES = HERE / "inventories"
LAB_INVENTORY = TOP / "inventory/lab/hosts.yml"  # without the demo's guests: the tests add their own guests
NAME = "cloud"  # as in inventories/base
OCTETS = {"controller1": 10, "network1": 11, "compute1": 21, "compute2": 22, "compute3": 23, "outside1": 30}
STATE = CACHE / "lab" / f"{NAME}-state"
NODES = ("controller1", "network1", "compute1", "compute2")
RELAY = "/var/tmp/cloud-test-relay.py"
FLOATING_IP = "172.16.19.232"
WORLD = ("203.0.113.10", "8080")
GUEST_BOOT_S = 240.0


@dataclass
class CloudLab(RealNodes):
    """The running lab. ``layers`` are the inventories of the present cloud, added to the lab's own inventory."""

    name: str = NAME
    prefix: str = "10.97.0"
    octets: Mapping[str, int] = field(default_factory=lambda: OCTETS)
    layers: tuple[str, ...] = ("base",)
    summary: dict[str, Any] = field(default_factory=dict)

    def inventories(self, *more: Path) -> list[Path]:
        """The paths of all inventories, in order."""
        return [LAB_INVENTORY, *(INVENTORIES / name for name in self.layers), *more]

    def site(self, *options: str) -> Run:
        """Run site.yml with the present inventories."""
        return run_playbook("site.yml", self.inventories(), *options)

    def start_site(self, *options: str) -> Running:
        """Start site.yml in the background."""
        return start_playbook("site.yml", self.inventories(), *options)

    def playbook(self, path: str, *options: str) -> Run:
        """Run another playbook."""
        return run_playbook(path, self.inventories(), *options)

    def read_summary(self) -> None:
        """Store the plan's addresses, ids and places in ``summary`` (see control/summary.py)."""
        run = self.playbook("tests/lab/summary.yml").must_succeed()
        self.summary = next(result["summary"] for result in run.results if "summary" in result)

    def snapshot(self, node: str) -> dict[str, Any]:
        """The state of everything on a node that a cloud creates or could leave behind."""
        snapshot: dict[str, Any] = json.loads(self.run_script(node, HERE / "on_node/snapshot.py"))
        return snapshot

    def guest(self, name: str) -> Host:
        """A guest, reached by ssh from its network's DHCP namespace on the network node."""
        login = self.summary["guests"][name]
        via = f"ip netns exec {login['netns']} python3 {RELAY} {login['address']} 22"
        return self._guest_behind(login["node"], via, login["address"])

    def pings_without_loss(self, guest: str, target: str) -> bool:
        """Whether three pings from ``guest`` to guest ``target`` are all answered.

        A further ping before them is not counted: the userspace datapath drops the first packet through an idle tunnel
        while it asks for the other node's MAC.
        """
        address = self.address(target)
        answer = self.guest(guest).run(f"ping -c 1 -W 1 {address} >/dev/null; ping -c 3 -W 5 {address}")
        return " 0% packet loss" in answer.stdout

    def guest_from_outside(self, address: str) -> Host:
        """The guest that answers ssh at ``address``, reached from outside1."""
        return self._guest_behind("outside1", f"python3 {RELAY} {address} 22", address)

    def _guest_behind(self, node: str, command: str, address: str) -> Host:
        proxy = shlex.quote(f"ProxyCommand={shlex.join(self.ssh(node))} {shlex.quote(command)}")
        return testinfra.get_host(
            f"ssh://root@{address}",
            ssh_identity_file=str(STATE / "id_ed25519"),
            ssh_extra_args=f"{SSH_OPTIONS} -o ControlMaster=no -o ControlPath=none -o {proxy}",
        )

    def wait_for_guests(self, *names: str) -> None:
        """Wait until guests have booted: ssh answers and the user data has run."""
        for name in names:
            eventually(partial(self._is_up, name), f"guest {name} has booted", GUEST_BOOT_S, pause_s=1.0)

    def _is_up(self, name: str) -> bool:
        try:
            return bool(self.guest(name).run("test -e /var/user-data-ran").rc == 0)
        except RuntimeError:  # testinfra raises it if ssh cannot connect
            return False

    def namespace(self, kind: str, name: str) -> str:
        """The namespace ``qdhcp-…`` of a network or ``qrouter-…`` of a router."""
        table = {"qdhcp": "networks", "qrouter": "routers"}[kind]
        return f"{kind}-{self.summary[table][name]['id']}"

    def address(self, instance: str) -> str:
        """The first address of an instance."""
        return str(self.summary["instances"][instance]["nics"][0]["addresses"][0])

    def install_relay(self, *nodes: str) -> None:
        """Copy the relay program to nodes; ssh to guests runs through it."""
        for node in nodes:
            text = (HERE / "on_node/relay.py").read_text()
            done = subprocess.run([*self.ssh(node), f"cat > {RELAY}"], input=text, text=True, check=False, timeout=60)
            assert done.returncode == 0, f"{node}: the relay cannot be written"

"""The lab of the cloud tests: its inventories, nodes and guests, reached by ssh as a person would (testinfra).

What does not belong here: the expectations of the tests.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import testinfra
from ansible_run import TOP, Run, Running, run_playbook, start_playbook
from testinfra.host import Host

HERE = Path(__file__).parent
INVENTORIES = HERE / "inventories"
LAB_INVENTORY = TOP / "inventory/lab/hosts.yml"  # without the demo's guests: the tests add their own guests
CACHE = Path(os.environ.get("HEADWORKS_CACHE") or "~/.cache/headworks").expanduser()
NAME = "cloud"  # as in inventories/base
STATE = CACHE / "lab" / f"{NAME}-state"
MANAGEMENT = "10.97.0"
OCTETS = {"controller1": 10, "network1": 11, "compute1": 21, "compute2": 22, "compute3": 23, "outside1": 30}
NODES = ("controller1", "network1", "compute1", "compute2")
RELAY = "/var/tmp/cloud-test-relay.py"
FLOATING_IP = "172.16.19.232"
WORLD = ("203.0.113.10", "8080")
GUEST_BOOT_S = 240.0
SSH_OPTIONS = (
    "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes"
    " -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=5 -o ServerAliveCountMax=4"
)


def address_of(node: str) -> str:
    """The management address of a node."""
    return f"{MANAGEMENT}.{OCTETS[node]}"


def eventually(condition: Callable[[], Any], what: str, timeout_s: float = 60.0, pause_s: float = 0.5) -> Any:
    """Wait for a true value of ``condition`` and return it; after ``timeout_s``, fail with a message about ``what``."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(pause_s)
    return value


@dataclass
class CloudLab:
    """The running lab. ``layers`` are the inventories of the present cloud, added to the lab's own inventory."""

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
        run = self.playbook("tests/cloud/playbooks/summary.yml").must_succeed()
        self.summary = next(result["summary"] for result in run.results if "summary" in result)

    def node(self, name: str) -> Host:
        """A node, reached by ssh."""
        return testinfra.get_host(
            f"ssh://root@{address_of(name)}",
            ssh_identity_file=str(STATE / "id_ed25519"),
            ssh_extra_args=f"{SSH_OPTIONS} -o ControlMaster=no -o ControlPath=none",
        )

    def run_script(self, node: str, script: Path, *arguments: str, timeout_s: float = 120.0) -> str:
        """Run a Python script on a node without copying it there, and return its output."""
        return self.start_script(node, script, *arguments).result(timeout_s)

    def start_script(self, node: str, script: Path, *arguments: str) -> Script:
        """Run a Python script on a node in the background."""
        command = shlex.join(["python3", "-", *arguments])
        with script.open() as text:
            process = subprocess.Popen(
                [*self.ssh(node), command], stdin=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        return Script(process, f"{script.name} on {node}")

    def ssh(self, node: str) -> list[str]:
        """The beginning of a command line that runs a command on a node."""
        identity = ["-i", str(STATE / "id_ed25519")]
        return ["ssh", *SSH_OPTIONS.split(), "-o", "ControlPath=none", *identity, f"root@{address_of(node)}"]

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


@dataclass(frozen=True)
class Script:
    """A script that runs on a node."""

    process: subprocess.Popen[str]
    name: str

    def result(self, timeout_s: float = 120.0) -> str:
        """Wait until the script has ended, and return its output."""
        try:
            output, errors = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{self.name}: not done after {timeout_s:.0f} s") from None
        assert self.process.returncode == 0, f"{self.name}: {errors}"
        return output

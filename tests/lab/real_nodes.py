"""The nodes of a lab, reached by ssh as a person would; shared by the tests that start a lab of their own.

What does not belong here: the inventory, the guests and the expectations of a suite (``tests/cloud``), and runs of
ansible-playbook (``ansible_run.py``).
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import testinfra
from ansible_run import TOP
from testinfra.host import Host

CACHE = Path(os.environ.get("HEADWORKS_CACHE") or "~/.cache/headworks").expanduser()
DRIFT = "python3 /usr/lib/headworks/engine.zip drift"
SSH_OPTIONS = (
    "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes"
    " -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=5 -o ServerAliveCountMax=4"
)


def eventually(condition: Callable[[], Any], what: str, timeout_s: float = 60.0, pause_s: float = 0.5) -> Any:
    """Wait for a true value of ``condition`` and return it; after ``timeout_s``, fail with a message about ``what``."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(pause_s)
    return value


@dataclass
class RealNodes:
    """The nodes of the lab ``name``. Their management addresses are ``prefix`` and a last octet."""

    name: str
    prefix: str
    octets: Mapping[str, int]

    @property
    def state(self) -> Path:
        """The directory that lab-down.yml removes with the lab."""
        return CACHE / "lab" / f"{self.name}-state"

    def address_of(self, node: str) -> str:
        """The management address of a node."""
        return f"{self.prefix}.{self.octets[node]}"

    def node(self, name: str) -> Host:
        """A node, for testinfra."""
        return testinfra.get_host(
            f"ssh://root@{self.address_of(name)}",
            ssh_identity_file=str(self.state / "id_ed25519"),
            ssh_extra_args=f"{SSH_OPTIONS} -o ControlMaster=no -o ControlPath=none",
        )

    def ssh(self, node: str) -> list[str]:
        """The beginning of a command line that runs a command on a node."""
        identity = ["-i", str(self.state / "id_ed25519")]
        return ["ssh", *SSH_OPTIONS.split(), "-o", "ControlPath=none", *identity, f"root@{self.address_of(node)}"]

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

    def podman(self, verb: str, node: str) -> None:
        """Call podman for the container of a node, for example to pause it."""
        command = [str(TOP / "scripts/podman"), verb, f"headworks-{self.name}-{node}"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    def drift(self, node: str) -> str:
        """The differences of a node from its declared state; "" without differences."""
        report = self.node(node).run(DRIFT)
        assert report.rc in (0, 3), report.stderr
        return "" if report.rc == 0 else str(report.stdout)


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

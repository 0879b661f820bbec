"""A lab of machines for tests: ssh, playbooks, power, cables, the serial console, and counted pings.

What does not belong here: what the suites expect (``test_*.py``), how machines are made (``headworks_lab/machines``).
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ansible_run import TOP, Run, Running, run_playbook, start_playbook
from headworks_lab.machines import console, lifecycle
from headworks_lab.machines.definition import Lab
from real_nodes import CACHE, SSH_OPTIONS, eventually

INVENTORY = TOP / "inventory/lab-machines"
DRIFT = ("python3", "/usr/lib/headworks/engine.zip", "drift")
BOOT_TIMEOUT_S = 600.0


@dataclass
class MachineLab:
    """The lab ``name`` of an inventory: one path or several, as ``-i`` takes them.

    ``variables`` are given to every playbook, after the lab's name: the prefixes of a lab beside others.
    """

    name: str
    inventory: Path | str | Sequence[Path | str] = INVENTORY
    variables: Mapping[str, str] | None = None

    # --- life --------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> Path:
        """The directory that is removed with the lab."""
        return CACHE / "lab" / f"{self.name}-state"

    @property
    def definition(self) -> Lab:
        """The lab as it was started."""
        return lifecycle.open_lab(self.state)[0]

    def start(self, fresh: bool = True) -> None:
        """Start the machines and wait until all answer ssh. Without ``fresh``, machines that run as defined stay."""
        if fresh:
            self.stop()
        self.playbook("playbooks/machines-up.yml").must_succeed()

    def stop(self) -> None:
        """Remove the lab with its disks."""
        self.playbook("playbooks/machines-down.yml").must_succeed()

    # --- commands ----------------------------------------------------------------------------------------------------

    def playbook(self, playbook: str, *options: str) -> Run:
        """Run a playbook (path from the checkout) to its end. ``must_succeed()`` of the result fails if it failed."""
        return run_playbook(playbook, self._inventories(), *self._variables(), *options)

    def start_playbook(self, playbook: str, *options: str) -> Running:
        """Start a playbook in the background."""
        return start_playbook(playbook, self._inventories(), *self._variables(), *options)

    def ssh(self, machine: str, *argv: str, check: bool = True, timeout: float = 60, user: str = "root") -> str:
        """Run a command on a machine over a new connection, and return its output. One argument is a shell command.

        With ``check``, the command must succeed. Without it, the result is the output also of a command that failed,
        and "" of a machine that does not answer.
        """
        command = argv[0] if len(argv) == 1 else shlex.join(argv)
        args = [*self.ssh_command(machine, user), command]
        try:
            done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            assert not check, f"{machine}: not done after {timeout:.0f} s: {command}"
            return ""
        assert not check or done.returncode == 0, f"{machine}: exit {done.returncode}: {command}\n{done.stderr}"
        return done.stdout

    def ssh_command(self, machine: str, user: str = "root") -> list[str]:
        """The beginning of a command line that runs a command on a machine."""
        identity = ["-i", str(self.state / "id_ed25519"), "-o", "ControlMaster=no", "-o", "ControlPath=none"]
        return ["ssh", *SSH_OPTIONS.split(), *identity, f"{user}@{self.address_of(machine)}"]

    def put(self, machine: str, path: str, text: str) -> None:
        """Write a file of a machine."""
        command = f"mkdir -p {Path(path).parent} && cat >{path}"
        subprocess.run([*self.ssh_command(machine), command], input=text, text=True, check=True, timeout=60)

    def run_script(self, machine: str, script: Path, *arguments: str, timeout: float = 120) -> str:
        """Run a Python script on a machine without copying it there, and return its output."""
        command = [*self.ssh_command(machine), shlex.join(["python3", "-", *arguments])]
        text = script.read_text()
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{machine}: {script.name}: {done.stderr}"
        return done.stdout

    def outside(self, network: str, *argv: str, check: bool = True, timeout: float = 60) -> str:
        """Run a command in the namespace that plays the rest of the world on a network (option ``outside``)."""
        command = ["ip", "netns", "exec", self.definition.outside(network), *argv]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        assert not check or done.returncode == 0, f"outside {network}: {shlex.join(argv)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def address_of(self, machine: str) -> str:
        """The address at which ssh reaches a machine."""
        return self.definition.machine(machine).address

    def is_emulated(self, machine: str) -> bool:
        """Whether the machine runs without KVM, at a tenth of its speed."""
        return self.ssh(machine, "systemd-detect-virt").strip() != "kvm"

    def drift(self, machine: str) -> str:
        """The differences of a machine from its declared state; "" without differences."""
        done = subprocess.run([*self.ssh_command(machine), *DRIFT], capture_output=True, text=True, timeout=120)
        assert done.returncode in (0, 3), done.stderr
        return "" if done.returncode == 0 else done.stdout

    # --- power and cables --------------------------------------------------------------------------------------------

    def power_cut(self, machine: str) -> None:
        """Cut the power of a machine: its QEMU process is killed. The disk keeps what was written to it."""
        lifecycle.power_cut(*lifecycle.open_lab(self.state), machine)

    def power_on(self, machine: str, slots: Mapping[str, int | None] | None = None) -> None:
        """Switch a machine on.

        ``slots`` changes its NICs: {"enp0s17": None} boots without this one, {"enp0s17": 20} puts it into another PCI
        slot, so that it is called enp0s20.
        """
        lifecycle.power_on(*lifecycle.open_lab(self.state), machine, slots)

    def power_off(self, machine: str, timeout: float = 360) -> float:
        """Shut a machine down properly, and return the seconds that it took."""
        began = time.monotonic()
        self.console_run(machine, "systemctl poweroff --no-block")
        eventually(lambda: not self.has_power(machine), f"{machine} is off", timeout)
        return time.monotonic() - began

    def reboot(self, machine: str, timeout: float = BOOT_TIMEOUT_S) -> float:
        """Reboot a machine properly, and return the seconds until ssh answers again."""
        began = time.monotonic()
        boot = self.boot_id(machine)
        self.console_run(machine, "systemctl reboot --no-block")
        eventually(lambda: self.boot_id(machine) not in ("", boot), f"{machine} has booted again", timeout, 1.0)
        return time.monotonic() - began

    def boot_id(self, machine: str) -> str:
        """The kernel's id of this boot; "" if ssh does not answer."""
        return self.ssh(machine, "cat", "/proc/sys/kernel/random/boot_id", check=False, timeout=15).strip()

    def has_power(self, machine: str) -> bool:
        """Whether the machine's QEMU process runs."""
        return lifecycle.is_running(*lifecycle.open_lab(self.state), machine)

    def wait_ssh(self, machine: str, timeout: float = BOOT_TIMEOUT_S) -> float:
        """Wait until a login by ssh succeeds, and return the seconds."""
        began = time.monotonic()
        eventually(lambda: self.boot_id(machine), f"{machine} answers ssh", timeout, 1.0)
        return time.monotonic() - began

    def set_cable(self, machine: str, device: str, plugged: bool) -> None:
        """Plug or pull the cable of a NIC, at the switch's end."""
        lifecycle.set_cable(self.definition, machine, device, plugged)

    # --- consoles ----------------------------------------------------------------------------------------------------

    def console(self, machine: str) -> str:
        """What the machine has written to its console since it was made, over all boots."""
        lab, place = lifecycle.open_lab(self.state)
        return place.files(lab, machine).console.read_text(errors="replace")

    def console_run(self, machine: str, command: str, timeout: float = 60, check: bool = True) -> str:
        """Run a shell command as root over a serial port, without the network; return its output (both streams)."""
        lab, place = lifecycle.open_lab(self.state)
        code, output = console.run(place.files(lab, machine).shell, command, timeout)
        assert not check or code == 0, f"{machine}: exit {code}: {command}\n{output}"
        return output

    # --- pings -------------------------------------------------------------------------------------------------------

    def pings(self, machine: str, address: str, *, interval: float = 0.2, prefix: Sequence[str] = ()) -> Pings:
        """Start to ping ``address`` from a machine. ``prefix`` is for example ("ip", "netns", "exec", "qdhcp-…").

        ``machine`` "" pings from this host, through the management network.
        """
        command = [*prefix, "ping", "-n", "-O", "-D", "-i", str(interval), address]
        args = [*self.ssh_command(machine), "-tt", shlex.join(command)] if machine else command
        return Pings.begin(args, f"{machine or 'host'} → {address}")

    def pings_outside(self, network: str, address: str, *, interval: float = 0.2) -> Pings:
        """Start to ping ``address`` from the namespace that plays the rest of the world on a network."""
        command = ["ping", "-n", "-O", "-D", "-i", str(interval), address]
        inside = ["ip", "netns", "exec", self.definition.outside(network)]
        return Pings.begin([*inside, *command], f"{network} → {address}")

    def _inventories(self) -> list[Path]:
        given = [self.inventory] if isinstance(self.inventory, (str, Path)) else self.inventory
        return [Path(path) for path in given]

    def _variables(self) -> list[str]:
        return ["-e", json.dumps({"lab_name": self.name, **(self.variables or {})})]


@dataclass
class Pings:
    """A ping in the background. ``stop`` returns what was lost."""

    process: subprocess.Popen[str]
    name: str
    began: float

    @classmethod
    def begin(cls, args: Sequence[str], name: str) -> Pings:
        """Start the command."""
        process = subprocess.Popen(
            args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return cls(process, name, time.monotonic())

    def stop(self) -> Loss:
        """End the ping, and return the requests and answers."""
        self.process.send_signal(signal.SIGINT)
        output, _ = self.process.communicate(timeout=30)
        answered = re.findall(r"^\[([\d.]+)\] .*bytes from .*icmp_seq=(\d+)", output, re.M)
        times = {int(number): float(stamp) for stamp, number in answered}
        sent = max([*times, *(int(number) for number in re.findall(r"icmp_seq=(\d+)", output))], default=0)
        stamps = [float(stamp) for stamp in re.findall(r"^\[([\d.]+)\] .*icmp_seq=", output, re.M)]
        return Loss(self.name, sent, times, max(stamps, default=0.0), output)


@dataclass(frozen=True)
class Loss:
    """What a ping saw. ``answers`` has the time of each answered sequence number."""

    name: str
    sent: int
    answers: Mapping[int, float]
    last: float
    output: str

    @property
    def lost(self) -> int:
        """The number of requests without an answer. The last one may still have been under way."""
        return len(set(range(1, self.sent)) - set(self.answers))

    @property
    def longest_gap(self) -> float:
        """The longest time without an answer, in seconds, also at the end."""
        stamps = [*sorted(self.answers.values()), self.last]
        return max((after - before for before, after in pairwise(stamps)), default=0.0)

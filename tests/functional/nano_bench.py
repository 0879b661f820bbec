"""A wire and a guest for testing the nano image by itself: a network namespace with taps, dnsmasq and a metadata
service, and QEMU (TCG) with the image's overlay on them. What the guest must do is in test_nano_image.py.

Everything belongs to the test's own namespace and directory; processes are ended by their own handles.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

GATEWAY = "10.18.0.1"
ADDRESS = "10.18.0.3"
MACS = ("fa:16:3e:00:00:01", "fa:16:3e:00:00:02")
OFFLOADS = ("tso4", "tso6", "ecn", "ufo")
# Under the userspace datapath of Open vSwitch nothing fills in checksums left to the hardware: guests run like this.
NO_OFFLOADS = ",".join(
    f"{feature}=off"
    for feature in ("csum", "gso", "guest_csum", *(f"{side}_{kind}" for side in ("guest", "host") for kind in OFFLOADS))
)
_counter = itertools.count()

METADATA_SERVER = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.load(open(sys.argv[1])).get(self.path)
        if isinstance(body, int):
            status, data = body, b""
        else:
            status, data = (200, body.encode()) if body is not None else (404, b"404 Not Found")
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("169.254.169.254", 80), Handler).serve_forever()
"""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=True, text=True, capture_output=True)


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.2)


@dataclass
class Wire:
    """The network side: tap0 (10.18.0.1/24 here) and tap1 (10.22.22.1/24), DHCP and metadata when started."""

    directory: Path
    name: str = field(default_factory=lambda: f"nano{os.getpid()}-{next(_counter)}")
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    dhcp: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")
        self.ip("addr", "add", "169.254.169.254/32", "dev", "lo")
        for tap, address in (("tap0", f"{GATEWAY}/24"), ("tap1", "10.22.22.1/24")):
            self.ip("tuntap", "add", tap, "mode", "tap")
            self.ip("addr", "add", address, "dev", tap)
            self.ip("link", "set", tap, "up")
        keys = self.directory / "id"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ops@lab", "-f", str(keys))
        self.public_key = keys.with_suffix(".pub").read_text().strip()

    def command(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *command]

    def ip(self, *arguments: str) -> None:
        run("ip", "-n", self.name, *arguments)

    def start(self, *command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(self.command(*command), text=True, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def start_dhcp(self, *options: str) -> None:
        """dnsmasq with fixed leases as headworks has them; a second call replaces the first one's options."""
        self.stop_dhcp()
        self.dhcp = self.start(
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--bind-dynamic", "--no-resolv",
            "--no-hosts", "--except-interface=lo", f"--pid-file={self.directory}/dnsmasq.pid",
            f"--dhcp-leasefile={self.directory}/leases", f"--dhcp-host={MACS[0]},{ADDRESS},vm1",
            "--dhcp-range=10.18.0.0,static,120s", *options,
        )  # fmt: skip

    def stop_dhcp(self) -> None:
        if self.dhcp:
            self.dhcp.terminate()
            self.dhcp.wait()

    def start_metadata(self, **changes: str | int | None) -> None:
        """Answers by path below 2009-04-04 (a number: that status); written again, they hold for the next request."""
        self.write_metadata(**changes)
        self.start(sys.executable, "-c", METADATA_SERVER, str(self.directory / "metadata.json"))

    def write_metadata(self, **changes: str | int | None) -> None:
        answers: dict[str, str | int | None] = {
            "meta-data/instance-id": "i-00000001",
            "meta-data/local-hostname": "vm1.novalocal",
            "meta-data/public-keys/": "0=ops",
            "meta-data/public-keys/0/openssh-key": self.public_key,
            "user-data": '#!/bin/sh\necho "user data says $((40 + 2)) on $(hostname)"\n',
            **changes,
        }
        served = {f"/2009-04-04/{path}": body for path, body in answers.items() if body is not None}
        path = self.directory / "metadata.json"
        path.with_suffix(".new").write_text(json.dumps(served))
        path.with_suffix(".new").rename(path)

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
            process.wait()
        run("ip", "netns", "delete", self.name)


class Guest:
    """One virtual machine on the wire; its overlay disk stays between starts."""

    def __init__(self, wire: Wire, image: Path, *, machine: str = "pc", nics: int = 1, memory_mb: int = 64) -> None:
        self.wire, self.machine, self.nics, self.memory_mb = wire, machine, nics, memory_mb
        self.directory = wire.directory
        self.console = self.directory / "console.log"
        self.process: subprocess.Popen[str] | None = None
        self.cpu_seconds_of_boot = 0.0
        run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(image), str(self.directory / "disk"))

    def start(self, *more: str) -> None:
        self.console.write_text("")
        nics = [
            argument
            for n in range(self.nics)
            for argument in (
                "-netdev", f"tap,id=n{n},ifname=tap{n},script=no,downscript=no",
                "-device", f"virtio-net-pci,netdev=n{n},mac={MACS[n]},{NO_OFFLOADS}",
            )
        ]  # fmt: skip
        self.process = self.wire.start(
            "qemu-system-x86_64", "-machine", f"{self.machine},accel=tcg", "-cpu", "qemu64", "-m", str(self.memory_mb),
            "-nodefaults", "-display", "none", "-vga", "std",
            "-drive", f"file={self.directory}/disk,if=none,id=d0,format=qcow2",
            "-device", "virtio-blk-pci,drive=d0,bootindex=1",
            "-chardev", f"socket,id=c0,path={self.directory}/serial,server=on,wait=off,logfile={self.console}",
            "-serial", "chardev:c0", "-qmp", f"unix:{self.directory}/qmp,server=on,wait=off", *nics, *more,
        )  # fmt: skip

    def text(self) -> str:
        return self.console.read_text(errors="replace").replace("\r", "")

    def wait_for(self, pattern: str, seconds: float = 180) -> re.Match[str]:
        """Waits until the console shows the pattern (which may span lines) and returns the first match."""
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.text(), re.MULTILINE)):
            if self.process and self.process.poll() is not None:
                raise AssertionError(f"QEMU ended before {pattern!r}; console:\n{self.text()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"no {pattern!r} within {seconds} s; console:\n{self.text()}")
            time.sleep(0.2)
        return match

    def boot(self, *more: str) -> float:
        """Starts it and waits for the end of the boot; the guest's uptime then, in seconds."""
        self.start(*more)
        up = float(self.wait_for(r"^headworks-nano: boot finished, up ([0-9.]+)s, host \S+$").group(1))
        self.cpu_seconds_of_boot = self.cpu_seconds()
        return up

    def cpu_seconds(self) -> float:
        """What the emulator has used of the processor since it started."""
        assert self.process
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ssh_command(self, command: str, user: str = "root", key: str = "id", address: str = ADDRESS) -> list[str]:
        known = self.directory / "known_hosts"
        return self.wire.command(
            "ssh", "-i", str(self.directory / key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-F", "none",
            "-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={known}", "-o", "LogLevel=ERROR",
            "-o", "ConnectTimeout=10", f"{user}@{address}", command,
        )  # fmt: skip

    def ssh(
        self, command: str, user: str = "root", check: bool = True, stdin: str | None = None, **options: str
    ) -> str:
        """Output of a command in the guest; a changed host key is an error, as for any user."""
        result = subprocess.run(
            self.ssh_command(command, user, **options), input=stdin, text=True, capture_output=True, timeout=60
        )
        if check and result.returncode:
            raise AssertionError(f"ssh {command!r}: status {result.returncode}: {result.stderr}")
        return result.stdout + (result.stderr if not check else "")

    def qmp(self, command: str, **arguments: object) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.directory / "qmp"))
            with connection.makefile("rw") as stream:
                stream.readline()
                for request in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                    stream.write(json.dumps(request) + "\n")
                    stream.flush()
                    while "event" in (answer := json.loads(stream.readline())):
                        pass
                    assert "return" in answer, answer

    @contextlib.contextmanager
    def serial(self) -> Iterator[Callable[[str, str], str]]:
        """A person at the console: say(line, until) types a line and returns what appears up to a pattern."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self.directory / "serial"))

            def say(line: str, until: str) -> str:
                connection.sendall(line.encode() + b"\r")
                seen = ""
                while not re.search(until, seen):
                    seen += connection.recv(4096).decode(errors="replace")
                return seen

            yield say

    def ended_within(self, seconds: float) -> None:
        """Waits for QEMU to end by itself; subprocess.TimeoutExpired if it does not."""
        assert self.process
        self.process.wait(timeout=seconds)

    def kill(self) -> None:
        """The plug pulled."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

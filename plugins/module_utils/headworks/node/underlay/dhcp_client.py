"""The DHCP client of a device moves to another device together with the address. Only ISC dhclient is supported.

The client is killed, so that it does not release its lease. It is started on the new device with the same options and a
copy of its leases, and renews the address that the device already has.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...system import systemd
from ...system.files import read_text, write_file
from ...system.process import ToolError, has_tool, run
from ...system.systemd import program

_PROC = Path("/proc")
_LEASES = Path("/var/lib/dhcp")
_LEASE_FILES = (".leases", ".lease")  # how the names of lease files end
_LOCK = Path("/run/headworks/underlay/dhcp-clients.lock")
_SECONDS = 5.0  # how long a killed client gets to disappear


@dataclass(frozen=True)
class DhcpClient:
    """A running dhclient and its arguments."""

    pid: int
    arguments: tuple[str, ...]

    @property
    def family(self) -> str:
        """The option for the IP version: dhclient serves one."""
        return "-6" if "-6" in self.arguments else "-4"


def dhcp_clients(device: str) -> list[DhcpClient]:
    """Return the dhclients in this network namespace that run for ``device``."""
    namespace = os.readlink("/proc/self/ns/net")
    clients = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = [word.decode(errors="replace") for word in (entry / "cmdline").read_bytes().split(b"\0")[:-1]]
            if (
                words
                and Path(words[0]).name == "dhclient"
                and device in words[1:]
                and namespace == os.readlink(entry / "ns/net")
            ):
                clients.append(DhcpClient(int(entry.name), tuple(words)))
        except OSError:
            continue  # the process has ended meanwhile
    return clients


def move_clients(old: str, new: str) -> list[str]:
    """Move the DHCP clients of device ``old`` to device ``new``. A client that ``new`` has already is replaced. Returns
    a note for each.

    :raises ToolError: a client did not end, or did not start on the new device.
    """
    notes = []
    with _lock():  # the hook of ifupdown and a run may do this at the same time
        for client in dhcp_clients(old):
            for other in dhcp_clients(new):
                if other.family == client.family:
                    _kill(other)
            _kill(client)
            for word in client.arguments[1:]:
                renamed = with_device(word, old, new)
                if word.endswith(_LEASE_FILES) and renamed != word and Path(word).is_file():
                    _copy_leases(Path(word), Path(renamed), old, new)
            _start(arguments_for(client.arguments, old, new))
            _forget_resolvers(old)
            notes.append(f"nic {old}: its DHCP client runs for {new} now")
    return notes


def undo_client_commands(nic: str, bridge: str) -> list[list[str]]:
    """Return commands with full paths that run the DHCP clients of ``nic`` or ``bridge`` for ``nic`` again.

    A unit that runs them needs ``KillMode=process``: otherwise systemd kills the client together with the unit.
    """
    commands = []
    for device in (nic, bridge):
        for client in dhcp_clients(device):
            there = arguments_for(client.arguments, device, bridge)
            back = arguments_for(client.arguments, device, nic)
            commands += [_kill_command(there, bridge), _kill_command(back, nic), [program("dhclient"), *back[1:]]]
    return commands


def _start(arguments: Sequence[str]) -> None:
    """Start a client. It must outlast the unit that this process runs in, so it gets a scope of its own."""
    if systemd.available() and has_tool("systemd-run"):
        try:
            run(["systemd-run", "--scope", "--quiet", "--collect", *arguments], timeout=60)
            return
        except ToolError:  # early at boot, the bus does not answer
            pass
    run(arguments, timeout=60)


def _kill_command(arguments: Sequence[str], device: str) -> list[str]:
    """Return the command that kills the client with these arguments. A pid file may have the id of another process by
    now, so only a dhclient is killed."""
    if "-pf" in arguments[:-1]:
        return [program("pkill"), "-KILL", "-F", arguments[arguments.index("-pf") + 1], "dhclient"]
    return [program("pkill"), "-KILL", "-f", f"^[^ ]*dhclient( .*)? {re.escape(device)}( |$)"]


def copy_leases(old: str, new: str) -> None:
    """Give device ``new`` the leases of device ``old``, from dhclient's directory."""
    for path in _LEASES.glob("*.leases"):
        renamed = with_device(str(path), old, new)
        if renamed != str(path):
            _copy_leases(path, Path(renamed), old, new)


def delete_leases(device: str) -> None:
    """Delete the leases of a device without a client, and keep its identifier (DUID), so that the server recognizes it.

    Without this, ``ifdown`` would release the lease that the bridge uses now.
    """
    if dhcp_clients(device):
        return
    for path in _LEASES.glob("*.leases"):
        if with_device(str(path), device, "") == str(path):
            continue
        text = read_text(path) or ""
        kept = "".join(f"{line}\n" for line in text.splitlines() if line.startswith("default-duid "))
        if kept != text:
            write_file(path, kept, mode=path.stat().st_mode & 0o777)


def forget_device(device: str) -> None:
    """Delete dhclient's files of a device that has no client any more."""
    if not dhcp_clients(device):
        for path in _LEASES.glob("*.leases"):
            if with_device(str(path), device, "") != str(path):
                path.unlink(missing_ok=True)


def _forget_resolvers(device: str) -> None:
    """Delete the name servers that resolvconf knows from the device: the client's new device has told them again."""
    if has_tool("resolvconf"):
        run(["resolvconf", "-d", f"{device}.dhclient"], ok=range(256))


@contextmanager
def _lock() -> Iterator[None]:
    _LOCK.parent.mkdir(parents=True, exist_ok=True)
    with _LOCK.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def arguments_for(arguments: Sequence[str], old: str, new: str) -> list[str]:
    """Return a client's arguments for device ``new``: its files have that device's name, and it does not wait for a
    lease."""
    kept = [word for word in arguments[1:] if word not in ("-1", "-d", "-nw")]
    return ["dhclient", "-nw", *(with_device(word, old, new) for word in kept)]


def with_device(word: str, old: str, new: str) -> str:
    """Return the argument ``word`` with ``new`` instead of ``old``, if it is the device or a path with its name."""
    if word == old or "/" not in word:
        return new if word == old else word
    return re.sub(rf"(?<![A-Za-z0-9_-]){re.escape(old)}(?![A-Za-z0-9_-])", new, word)


def leases_for(text: str, old: str, new: str) -> str:
    """Return the text of dhclient's lease file for device ``new``."""
    return text.replace(f'interface "{old}";', f'interface "{new}";')


def _copy_leases(source: Path, target: Path, old: str, new: str) -> None:
    write_file(target, leases_for(source.read_text(), old, new), mode=source.stat().st_mode & 0o777)


def _kill(client: DhcpClient) -> None:
    """Kill a client and wait until it has ended. With SIGTERM it would release the lease and remove the address."""
    os.kill(client.pid, signal.SIGKILL)
    deadline = time.monotonic() + _SECONDS
    while (_PROC / str(client.pid) / "ns").exists() and _running(client.pid):
        if time.monotonic() > deadline:
            raise ToolError(f"dhclient (process {client.pid}) does not end")
        time.sleep(0.01)


def _running(pid: int) -> bool:
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False

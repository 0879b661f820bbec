"""The DHCP client of a device moves to another device together with the address. Only ISC dhclient is supported.

The client is killed, so that it does not release its lease. It is started on the new device with the same options and a
copy of its leases, and renews the address that the device already has.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...system.process import ToolError, run

_PROC = Path("/proc")
_SECONDS = 5.0  # how long a killed client gets to disappear


@dataclass(frozen=True)
class DhcpClient:
    """A running dhclient and its arguments."""

    pid: int
    arguments: tuple[str, ...]


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
    """Move the DHCP clients of device ``old`` to device ``new``. Returns a note for each.

    :raises ToolError: a client did not end, or did not start on the new device.
    """
    notes = []
    for client in dhcp_clients(old):
        _kill(client)
        for word in client.arguments[1:]:
            renamed = with_device(word, old, new)
            if word.endswith((".leases", ".lease")) and renamed != word and Path(word).is_file():
                _copy_leases(Path(word), Path(renamed), old, new)
        run(arguments_for(client.arguments, old, new), timeout=60)
        notes.append(f"nic {old}: its DHCP client runs for {new} now")
    return notes


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
    import shutil

    text = leases_for(source.read_text(), old, new)
    partial = target.with_name(f".{target.name}.new")
    partial.write_text(text)
    shutil.copymode(source, partial)
    partial.replace(target)


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

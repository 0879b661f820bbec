"""A DHCP client that looks after a device's address moves along with it (ISC dhclient, Debian's; others are told of).

The client is ended without releasing its lease, and started with the same options and a copy of its leases on the new
device, where it renews the address that is there already.
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
_SECONDS = 5.0


@dataclass(frozen=True)
class DhcpClient:
    """A running dhclient and its arguments."""

    pid: int
    arguments: tuple[str, ...]


def clients(device: str) -> list[DhcpClient]:
    """The dhclients of this network namespace that look after ``device``."""
    here = os.readlink("/proc/self/ns/net")
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = [word.decode(errors="replace") for word in (entry / "cmdline").read_bytes().split(b"\0")[:-1]]
            if (
                words
                and Path(words[0]).name == "dhclient"
                and device in words[1:]
                and here == os.readlink(entry / "ns/net")
            ):
                found.append(DhcpClient(int(entry.name), tuple(words)))
        except OSError:
            continue  # it has ended meanwhile
    return found


def move_clients(old: str, new: str) -> list[str]:
    """Move the DHCP clients of ``old`` to ``new``; returns what a person must know.

    :raises ToolError: a client did not end, or did not start on the new device.
    """
    notes = []
    for client in clients(old):
        _end(client)
        for word in client.arguments[1:]:
            renamed = with_device(word, old, new)
            if word.endswith((".leases", ".lease")) and renamed != word and Path(word).is_file():
                _copy_leases(Path(word), Path(renamed), old, new)
        run(rewritten(client.arguments, old, new), timeout=60)
        notes.append(f"nic {old}: its DHCP client looks after {new} now")
    return notes


def rewritten(arguments: Sequence[str], old: str, new: str) -> list[str]:
    """The client's arguments for another device; its files get that device's name. It is not to wait for a lease."""
    kept = [word for word in arguments[1:] if word not in ("-1", "-d", "-nw")]
    return ["dhclient", "-nw", *(with_device(word, old, new) for word in kept)]


def with_device(word: str, old: str, new: str) -> str:
    """An argument with ``new`` instead of ``old``, where it is that device or a file that bears its name."""
    if word == old or "/" not in word:
        return new if word == old else word
    return re.sub(rf"(?<![A-Za-z0-9_-]){re.escape(old)}(?![A-Za-z0-9_-])", new, word)


def leases_for(text: str, old: str, new: str) -> str:
    """dhclient's lease file, for another device."""
    return text.replace(f'interface "{old}";', f'interface "{new}";')


def _copy_leases(source: Path, target: Path, old: str, new: str) -> None:
    import shutil

    text = leases_for(source.read_text(), old, new)
    partial = target.with_name(f".{target.name}.new")
    partial.write_text(text)
    shutil.copymode(source, partial)
    partial.replace(target)


def _end(client: DhcpClient) -> None:
    """End it at once: asked politely, it would release the lease and take the address down."""
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

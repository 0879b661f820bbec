"""The root shell of a machine on its second serial port, which needs no network in the machine.

The other end is roles/lab/files/machine/lab-shell.
"""

from __future__ import annotations

import base64
import fcntl
import socket
import time
import uuid
from pathlib import Path


class ConsoleError(RuntimeError):
    """The shell did not answer; the message says which machine's and for how long."""


def run(path: Path, command: str, timeout: float) -> tuple[int, str]:
    """Run a shell command through the socket ``path``, and return its exit code and output (both streams together).

    Repeats the question until the shell has taken it: a machine that boots has no shell yet.

    :raises ConsoleError: there is no answer within ``timeout`` seconds.
    """
    end = time.monotonic() + timeout
    with Path(f"{path}.lock").open("a") as lock:  # QEMU serves one client
        fcntl.flock(lock, fcntl.LOCK_EX)
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise ConsoleError(f"{path.stem}: the shell on the serial port did not answer within {timeout:.0f} s")
            try:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.settimeout(left)
                    connection.connect(str(path))
                    if _ask(connection, "true", min(left, 5.0)) is None:
                        continue
                    answer = _ask(connection, command, end - time.monotonic())
            except OSError:
                time.sleep(0.5)
                continue
            if answer is None:
                raise ConsoleError(f"{path.stem}: the command did not end within {timeout:.0f} s: {command}")
            return answer


def _ask(connection: socket.socket, command: str, timeout: float) -> tuple[int, str] | None:
    """Send a command and wait for its answer. None if there is none in time."""
    name = uuid.uuid4().hex[:12]
    question = f"\n{name} {max(1, int(timeout))} {base64.b64encode(command.encode()).decode()}\n"
    connection.sendall(question.encode())
    end = time.monotonic() + timeout
    received = b""
    while (left := end - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            part = connection.recv(65536)
        except TimeoutError:
            return None
        if not part:
            raise OSError("closed")
        received += part
        for line in received.splitlines(keepends=True):
            words = line.decode(errors="replace").split(" ")
            if words[0] == name and line.endswith(b"\n") and len(words) == 3:
                return int(words[1]), base64.b64decode(words[2]).decode(errors="replace")
    return None

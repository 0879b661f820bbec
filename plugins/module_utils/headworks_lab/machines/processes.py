"""The processes of a machine lab, found by their pid files and ended only if they are the lab's own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

END_TIMEOUT = 20.0


def running(pid_file: Path, mark: str) -> int | None:
    """The id of the process of a pid file if it runs and its command line has ``mark``; otherwise None.

    The kernel may have given the id to another process since the file was written. Then the mark is missing.
    """
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return None
    return pid if is_ours(pid, mark) else None


def is_ours(pid: int, mark: str) -> bool:
    """Whether a process runs and its command line has ``mark``."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return mark.encode() in command and state != "Z"


def end(pid_file: Path, mark: str) -> bool:
    """Kill the process of a pid file, wait until it has ended, and return whether it ran.

    :raises TimeoutError: the process does not end.
    """
    pid = running(pid_file, mark)
    return pid is not None and end_by_id(pid, mark)


def end_by_id(pid: int, mark: str) -> bool:
    """Kill a process if its command line has ``mark``, wait until it has ended, and return whether it was killed.

    :raises TimeoutError: the process does not end.
    """
    if not is_ours(pid, mark):
        return False
    os.kill(pid, signal.SIGKILL)
    give_up = time.monotonic() + END_TIMEOUT
    while is_ours(pid, mark):
        if time.monotonic() > give_up:
            raise TimeoutError(f"process {pid} ({mark}) does not end")
        time.sleep(0.02)
    return True

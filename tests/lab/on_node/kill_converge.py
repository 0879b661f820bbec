"""Runs on a node: kills the engine (SIGKILL) in the middle of an apply, and prints the engine's pid.

The engine is the process that holds the converge lock. The script kills it as soon as a path exists
(``kill_converge.py made PATH``) or no longer exists (``kill_converge.py gone PATH``).
"""

from __future__ import annotations

import os
import signal
import sys
import time

LOCK = "/run/headworks/converge.lock"
TIMEOUT_S = 300


def holder() -> int | None:
    """The pid of the process that holds the lock, or None."""
    try:
        inode = os.stat(LOCK).st_ino
    except FileNotFoundError:
        return None
    with open("/proc/locks") as locks:
        for line in locks:
            words = line.split()
            # "1: FLOCK  ADVISORY  WRITE 4711 00:2f:1234 0 EOF"; the line of a waiting process has "->" as second word
            if words[1] == "FLOCK" and words[5].rsplit(":", 1)[1] == str(inode):
                return int(words[4])
    return None


def is_engine(pid: int) -> bool:
    with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
        return b"python3" in cmdline.read()


def main(how: str, path: str) -> None:
    wanted = how == "made"
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        pid = holder()
        while pid and time.monotonic() < end:
            if os.path.lexists(path) == wanted:
                if not is_engine(pid):
                    sys.exit(f"process {pid} holds the lock and is not the engine")
                os.kill(pid, signal.SIGKILL)
                print(pid)
                return
            if not os.path.exists(f"/proc/{pid}"):
                sys.exit(f"the engine ended before {path} was {how}")
            time.sleep(0.0005)
        time.sleep(0.005)
    sys.exit("the engine never ran")


main(sys.argv[1], sys.argv[2])

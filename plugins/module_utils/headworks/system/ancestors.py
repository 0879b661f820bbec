"""The environment of the processes that started this one. sudo removes most variables, among them those of ssh."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")


def inherited(name: str) -> str:
    """Return the environment variable ``name`` of this process, or else of the nearest ancestor that has it; "" if none
    has it or their environment cannot be read."""
    value, pid = os.environ.get(name, ""), os.getpid()
    while not value and pid > 1:
        try:
            # The name of the program, in parentheses, may have blanks.
            pid = int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
            environment = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError, IndexError):
            return ""
        start = f"{name}=".encode()
        value = next((one[len(start) :].decode(errors="replace") for one in environment if one.startswith(start)), "")
    return value

"""Calling podman through the lab's wrapper (scripts/podman): answers as data, failures as one exception.

What to call it for is in ``converge``; where podman keeps its state, and why a wrapper, is told in scripts/podman.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any


class PodmanError(RuntimeError):
    """podman failed; the message has the command and what it wrote on stderr."""


class Podman:
    """One podman store, reached through the wrapper at ``command``.

    :param cache: the directory the wrapper keeps the store in (``HEADWORKS_CACHE``).
    """

    def __init__(self, command: Path, cache: Path) -> None:
        self.command = command
        self.cache = cache

    @property
    def network_directory(self) -> Path:
        """Where podman keeps the definitions of this store's networks, one JSON file each."""
        return self.cache / "lab" / "podman" / "networks"

    def run(self, *args: str, stdin: bytes | None = None, timeout: float = 120.0) -> str:
        """Run ``podman ARGS`` and return its standard output.

        :raises PodmanError: it failed, or took longer than ``timeout`` seconds.
        """
        try:
            # podman leaves a copy of its standard input in the directory for temporary files.
            with tempfile.TemporaryDirectory() as scratch:
                done = subprocess.run(
                    [str(self.command), *args],
                    input=stdin,
                    stdin=subprocess.DEVNULL if stdin is None else None,
                    capture_output=True,
                    timeout=timeout,
                    env={**os.environ, "HEADWORKS_CACHE": str(self.cache), "TMPDIR": scratch},
                    check=False,
                )
        except subprocess.TimeoutExpired as error:
            raise PodmanError(f"podman {' '.join(args)}: no answer within {timeout:.0f} s") from error
        if done.returncode != 0:
            raise PodmanError(f"podman {' '.join(args)}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode(errors="replace")

    def json(self, *args: str) -> Any:
        """Run ``podman ARGS`` and parse what it prints as JSON (nothing at all counts as an empty list)."""
        text = self.run(*args)
        return json.loads(text) if text.strip() else []

    def containers(self, **labels: str) -> list[dict[str, Any]]:
        """The containers of this store with these labels, as ``podman ps`` describes them, dead ones included."""
        filters = [f"--filter=label={key.replace('_', '.')}={value}" for key, value in labels.items()]
        found: list[dict[str, Any]] = self.json("ps", "--all", "--format=json", *filters)
        return found

    def succeeds(self, *args: str, timeout: float = 20.0) -> bool:
        """Whether ``podman ARGS`` ends well."""
        try:
            self.run(*args, timeout=timeout)
        except PodmanError:
            return False
        return True

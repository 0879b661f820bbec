"""Calls podman through the lab's wrapper (scripts/podman): results as data, failures as a single exception.

What does not belong here: what the lab uses podman for (``lifecycle.py``). The location of podman's state and the
reason for the wrapper are in scripts/podman.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any


class PodmanError(RuntimeError):
    """podman failed; the message has the command and its standard error."""


class Podman:
    """A podman store, used through the wrapper at ``command``.

    :param cache: the directory in which the wrapper keeps the store (``HEADWORKS_CACHE``).
    """

    def __init__(self, command: Path, cache: Path) -> None:
        self.command = command
        self.cache = cache

    @property
    def network_directory(self) -> Path:
        """The directory in which podman keeps a JSON file for each network of this store."""
        return self.cache / "lab" / "podman" / "networks"

    def run(self, *args: str, stdin: bytes | None = None, timeout: float = 120.0) -> str:
        """Run ``podman ARGS`` and return its standard output.

        :raises PodmanError: podman failed, or took longer than ``timeout`` seconds.
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
        """Run ``podman ARGS`` and return its output parsed as JSON; without output, an empty list."""
        text = self.run(*args)
        return json.loads(text) if text.strip() else []

    def containers(self, **labels: str) -> list[dict[str, Any]]:
        """The containers of this store that have ``labels``, as ``podman ps`` describes them, including dead ones.

        An underscore in the name of a label stands for a dot.
        """
        filters = [f"--filter=label={key.replace('_', '.')}={value}" for key, value in labels.items()]
        listing: list[dict[str, Any]] = self.json("ps", "--all", "--format=json", *filters)
        return listing

    def succeeds(self, *args: str, timeout: float = 20.0) -> bool:
        """Whether ``podman ARGS`` succeeds."""
        try:
            self.run(*args, timeout=timeout)
        except PodmanError:
            return False
        return True

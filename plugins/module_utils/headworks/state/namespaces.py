"""Section ``netns``: network namespaces."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,127}")


@dataclass(frozen=True)
class Namespace:
    """A named network namespace (``ip netns``): ``qrouter-<id>``, ``qdhcp-<id>``. ``alive`` is False for what a crash
    leaves: a marker without a namespace, or a file in /run/netns that is none."""

    name: str
    alive: bool = True

    def __post_init__(self) -> None:
        """A name ends up in a path and on a command line.

        :raises ValueError: it could be more than a name.
        """
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"namespace {self.name!r}: a name has letters, digits and _ . @ - only, and at most 128")

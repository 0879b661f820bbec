"""Section ``netns``: network namespaces, by name alone. What is inside them is in ``l3.py`` and ``nft.py``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,127}")


@dataclass(frozen=True)
class Namespace:
    """A named network namespace (``ip netns``): ``qrouter-<id>``, ``qdhcp-<id>``. ``alive`` is False for the remains of
    a crash: a marker without a namespace, or a file in /run/netns that is not a namespace."""

    name: str
    alive: bool = True

    def __post_init__(self) -> None:
        """Check the name, because it goes into a path and on a command line.

        :raises ValueError: the name has other characters than a name may have, or is too long.
        """
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"namespace {self.name!r}: a name has letters, digits and _ . @ - only, and at most 128")

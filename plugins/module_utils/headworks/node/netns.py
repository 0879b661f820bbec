"""Network namespaces: that they exist, and which are ours. What is inside them belongs to ``l3.py`` and ``nft.py``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Namespace:
    """A named network namespace (``ip netns``): ``qrouter-<id>``, ``qdhcp-<id>``."""

    name: str

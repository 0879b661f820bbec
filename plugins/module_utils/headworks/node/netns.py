"""Network namespaces: that they exist, and which are ours. What is inside them belongs to ``l3.py`` and ``nft.py``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .files import write_file
from .ip_batch import ip_batch
from .process import NETNS_DIR
from .subsystem import Change, Reading, Subsystem

MARKER_DIR = Path("/run/headworks/netns")
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


class NetnsSubsystem(Subsystem[Namespace]):
    """Namespaces. Ours have a marker file ``/run/headworks/netns/<name>`` that holds the cloud's name; it is written
    before the namespace and removed after it, so that being killed leaves nothing unclaimed."""

    kind = "netns"
    record = Namespace

    def read(self, desired: Mapping[str, Namespace], scope: frozenset[str] | None = None) -> Reading[Namespace]:
        """Namespaces, and leftovers of such."""
        ours = owned_namespaces(self.owner) if self.owner else frozenset()
        names = set(desired) | ours if scope is None else scope
        objects = {}
        for name in names:
            alive = is_namespace(name)
            if alive or name in ours or os.path.lexists(NETNS_DIR / name):
                objects[name] = Namespace(name, alive)
        return Reading(objects, ours & set(objects))

    def diff(self, desired: Mapping[str, Namespace], actual: Reading[Namespace]) -> list[Change[Namespace]]:
        """As everywhere; a namespace of somebody else's that bears a desired name is an error.

        :raises ValueError: naming that namespace.
        """
        if self.owner:
            for name in sorted(set(desired) & set(actual.objects) - actual.owned):
                if actual.objects[name].alive:
                    raise ValueError(
                        f"namespace {name} exists and is not ours: no {MARKER_DIR / name} says {self.owner}"
                    )
        return super().diff(desired, actual)

    def apply(self, changes: Sequence[Change[Namespace]]) -> None:
        """One batch to make them, one to remove them."""
        gone = [change.name for change in changes if change.after is None]
        made = [change.name for change in changes if change.after is not None]
        if self.owner and made:
            MARKER_DIR.mkdir(parents=True, exist_ok=True)
            for name in made:
                write_file(MARKER_DIR / name, f"{self.owner}\n")
        for name in [*gone, *made]:
            if not is_namespace(name):
                (NETNS_DIR / name).unlink(missing_ok=True)
        ip_batch([f"netns delete {name}" for name in gone if is_namespace(name)])
        for name in gone:
            (MARKER_DIR / name).unlink(missing_ok=True)
        ip_batch([f"netns add {name}" for name in made if not is_namespace(name)])


def is_namespace(name: str) -> bool:
    """Whether ``name`` is a living namespace (and not a leftover file)."""
    try:
        return (NETNS_DIR / name).stat().st_dev == os.stat("/proc/self/ns/net").st_dev
    except OSError:
        return False


def owned_namespaces(owner: str) -> frozenset[str]:
    """Names of the namespaces whose marker says ``owner``."""
    try:
        markers = [one for one in MARKER_DIR.iterdir() if not one.name.startswith(".")]
        return frozenset(one.name for one in markers if one.read_text().strip() == owner)
    except FileNotFoundError:
        return frozenset()

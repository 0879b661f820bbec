"""Network namespaces: that they exist, and which are ours. What is inside them belongs to ``l3.py`` and ``nft.py``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ...state.namespaces import Namespace
from ...system.files import write_file
from ...system.ip_batch import ip_batch
from ...system.netns import NETNS_DIR, is_namespace
from ..marks import MARKER_DIR, owned_namespaces
from ..subsystem import Applied, Change, Conflict, Reading, Scope, Subsystem


class NetnsSubsystem(Subsystem[Namespace]):
    """Namespaces. Ours have a marker file ``/run/headworks/netns/<name>`` that holds the cloud's name; it is written
    before the namespace and removed after it, so that being killed leaves nothing unclaimed."""

    kind = "netns"
    record = Namespace

    def read(self, desired: Mapping[str, Namespace], scope: Scope | None = None) -> Reading[Namespace]:
        """Namespaces, and leftovers of such."""
        ours = owned_namespaces(self.owner) if self.owner else frozenset()
        names = set(desired) | ours if scope is None else set(scope)
        objects = {}
        for name in names:
            alive = is_namespace(name)
            if alive or name in ours or os.path.lexists(NETNS_DIR / name):
                objects[name] = Namespace(name, alive)
        conflicts = self._conflicts(desired, objects, ours) if self.owner else ()
        return Reading(objects, ours & set(objects), conflicts=conflicts)

    def _conflicts(
        self, desired: Mapping[str, Namespace], there: Mapping[str, Namespace], ours: frozenset[str]
    ) -> tuple[Conflict, ...]:
        """Living namespaces of somebody else's that have a desired name."""
        foreign = [name for name in sorted(set(desired) & set(there) - ours) if there[name].alive]
        rule = "exists and is not ours"
        return tuple(
            Conflict(name, f"namespace {name} {rule}: no {MARKER_DIR / name} says {self.owner}") for name in foreign
        )

    def apply(self, changes: Sequence[Change[Namespace]]) -> Applied:
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
        return Applied()



"""Network namespaces: which exist, and which are ours.

What does not belong here: the contents of a namespace. Its addresses and routes are in ``node/l3``, its nftables table
is in ``node/nft``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ...state.namespaces import Namespace
from ...system.files import write_file
from ...system.ip_batch import ip_batch
from ...system.netns import NETNS_DIR, is_namespace
from ..marks import MARKER_DIR, owned_namespaces
from ..one_by_one import apply_isolated
from ..subsystem import Applied, Change, Conflict, Effect, Note, Reading, Scope, Subsystem


class NetnsSubsystem(Subsystem[Namespace]):
    """Namespaces. Our namespaces have a marker file ``/run/headworks/netns/<name>`` that holds the cloud's name. The
    marker is written before the namespace is created and deleted after the namespace is removed, so a killed run leaves
    no namespace without its marker."""

    kind = "netns"
    record = Namespace

    def read(self, desired: Mapping[str, Namespace], scope: Scope | None = None) -> Reading[Namespace]:
        """Return our namespaces and those with a desired name, also if only a marker or a file of them remains."""
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
        self, desired: Mapping[str, Namespace], existing: Mapping[str, Namespace], ours: frozenset[str]
    ) -> tuple[Conflict, ...]:
        """Return a conflict for each foreign living namespace with a desired name."""
        foreign = [name for name in sorted(set(desired) & set(existing) - ours) if existing[name].alive]
        return tuple(
            Conflict(
                name,
                f"namespace {name} exists and is not ours: the marker {MARKER_DIR / name} with {self.owner} is missing",
            )
            for name in foreign
        )

    def foreseen(self, change: Change[Namespace]) -> Sequence[Note]:
        """Return what stops when the namespace of a router or of a DHCP server is removed."""
        if change.after is not None or change.before is None or not change.before.alive:
            return ()
        services = {"qrouter-": "routing through", "qdhcp-": "the DHCP server in"}
        return [
            self.note(change.name, f"{service} {change.name} stops", Effect.OUTAGE)
            for prefix, service in services.items()
            if change.name.startswith(prefix)
        ]

    def apply(self, changes: Sequence[Change[Namespace]]) -> Applied:
        """Remove namespaces in one batch, and create namespaces in another. One that fails stops no other."""
        return apply_isolated(self, changes, self._apply)

    def _apply(self, changes: Sequence[Change[Namespace]]) -> None:
        removed = [change.name for change in changes if change.after is None]
        created = [change.name for change in changes if change.after is not None]
        if self.owner and created:
            MARKER_DIR.mkdir(parents=True, exist_ok=True)
            for name in created:
                write_file(MARKER_DIR / name, f"{self.owner}\n")
        for name in [*removed, *created]:
            if not is_namespace(name):
                (NETNS_DIR / name).unlink(missing_ok=True)
        ip_batch([f"netns delete {name}" for name in removed if is_namespace(name)])
        for name in removed:
            (MARKER_DIR / name).unlink(missing_ok=True)
        ip_batch([f"netns add {name}" for name in created if not is_namespace(name)])

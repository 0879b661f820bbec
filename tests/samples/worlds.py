"""Simulated nodes for tests of the plan: what they hold, what they report (``holdings``), and how they apply a plan.

A disk is a token that is made once. So a test sees whether a guest still has the disk that it had.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from headworks.plan.found.start import Occasion
from headworks.plan.resolve import Resolution, resolve
from headworks.plan.stamp import stamp
from headworks.state.document import older_than_kept
from inventories import facts_of

DAY = 86400
START = 1_800_000_000
GIB = 1 << 30
KEPT_FOR = 7 * DAY  # cloud_reclaim_after_days
# Says which of the steps of an apply a node makes before it is killed.
Survives = Callable[[], bool]


@dataclass
class Guest:
    """A guest on a node; ``until`` is 0, or the time at which the node deletes the removed guest."""

    name: str
    cloud: str
    number: int
    disk: int
    protected: bool = False
    until: int = 0
    removed: int = 0

    def report(self) -> dict[str, Any]:
        """What the node says of it."""
        return {
            "name": self.name,
            "cloud": self.cloud,
            "domain": "" if self.until else f"instance-{self.number:08x}",
            "state": "removed" if self.until else "running",
            "disk_bytes": GIB,
            "virtual_bytes": 2 * GIB,
            "created": START,
            "protected": self.protected,
            **({"removed": self.removed, "until": self.until} if self.until else {}),
        }


@dataclass
class Machine:
    """A node: the document that it keeps, its guests and its removed guests by uuid, its routers and networks."""

    document: dict[str, Any] = field(default_factory=dict)
    applied: int = 0
    guests: dict[str, Guest] = field(default_factory=dict)
    removed: dict[str, Guest] = field(default_factory=dict)
    routers: dict[str, str] = field(default_factory=dict)
    networks: dict[str, str] = field(default_factory=dict)

    def holdings(self) -> dict[str, Any]:
        """The ``holdings`` of the node's facts."""
        kept = self.document
        everything = [*self.removed.items(), *self.guests.items()]  # a guest hides its removed namesake
        return {
            **{key: kept.get(key, "") for key in ("cloud", "node", "lineage", "digest")},
            "serial": kept.get("serial", 0),
            "applied": self.applied,
            "allocations": deepcopy(kept.get("allocations", {})),
            "damaged": [],
            "instances": {uuid: guest.report() for uuid, guest in everything},
            "routers": dict(self.routers),
            "networks": dict(self.networks),
            "removed_bytes": GIB * len(self.removed),
        }


class Refused(Exception):
    """A node refuses a document."""


class World:
    """All nodes of a cloud, by name."""

    def __init__(self, now: int = START) -> None:
        self.machines: dict[str, Machine] = {}
        self.now = now
        self._disks = count(1)

    def pass_time(self, seconds: int) -> None:
        """Let time pass: the nodes delete removed guests whose time is over."""
        self.now += seconds
        for machine in self.machines.values():
            machine.removed = {uuid: guest for uuid, guest in machine.removed.items() if guest.until > self.now}

    def facts(self, inventory: Mapping[str, Any], silent: Collection[str] = ()) -> dict[str, dict[str, Any]]:
        """The facts of the nodes of an inventory, without the silent ones."""
        facts = facts_of(dict(inventory), vcpus=64, ram_mb=65536)
        for name in silent:
            facts.pop(name, None)
        for name, entry in facts.items():
            entry["holdings"] = self.machines.setdefault(name, Machine()).holdings()
        return facts

    def plan(
        self, inventory: Mapping[str, Any], allocations: Resolution | Mapping[str, Any] | None,
        silent: Collection[str] = (), **occasion: Any,
    ) -> Resolution:
        """A plan for this world; ``allocations`` are those of an earlier plan, or the content of a file."""
        stored = json.loads(allocations.allocations.text()) if isinstance(allocations, Resolution) else allocations
        when = Occasion(**{"now": self.now, "lineage": "lineage-1", **occasion})
        return resolve(inventory, stored, self.facts(inventory, silent), occasion=when)

    def apply(
        self, resolution: Resolution, silent: Collection[str] = (), killed: Mapping[str, Survives] | None = None,
        *, accept_older: bool = False,
    ) -> None:
        """Apply the plan on every node that is not silent. A killed node makes only some of the steps."""
        made = documents(resolution)
        for name in resolution.cloud.nodes:
            if name not in silent:
                survives = (killed or {}).get(name, lambda: True)
                self._apply(name, resolution, made[name], survives, accept_older)

    def run(
        self, inventory: Mapping[str, Any], allocations: Resolution | Mapping[str, Any] | None = None,
        silent: Collection[str] = (),
    ) -> Resolution:
        """Plan and apply."""
        resolution = self.plan(inventory, allocations, silent)
        self.apply(resolution, silent)
        return resolution

    def _apply(
        self, name: str, resolution: Resolution, document: dict[str, Any], survives: Survives, accept_older: bool
    ) -> None:
        cloud = resolution.cloud
        machine = self.machines.setdefault(name, Machine())
        reason = older_than_kept(document, machine.document) if machine.document else ""
        if reason and not accept_older:
            raise Refused(f"{name}: {reason}")
        wanted = {guest.id: guest for guest in cloud.instances.values() if guest.node == name}
        extra = [uuid for uuid, guest in machine.guests.items() if guest.cloud == cloud.name and uuid not in wanted]
        refused = [machine.guests[uuid].name for uuid in extra if uuid not in document["removals"]]
        if refused:
            raise Refused(f"{name}: {refused} are not in the list of removals")
        if not survives():
            return
        machine.document = document
        for uuid in extra:
            if survives():
                gone = machine.guests.pop(uuid)
                gone.removed, gone.until = self.now, self.now + KEPT_FOR
                machine.removed[uuid] = gone
        for uuid, guest in wanted.items():
            if uuid not in machine.guests and survives():
                machine.guests[uuid] = machine.removed.pop(uuid, None) or Guest(
                    guest.name, cloud.name, guest.number, next(self._disks)
                )
            if uuid in machine.guests and survives():
                here = machine.guests[uuid]
                here.number, here.until, here.removed = guest.number, 0, 0
                here.protected = resolution.allocations.instances[guest.name].protected
        if survives():
            machine.applied = document["serial"]
        machine.routers = {router.id: router.name for router in cloud.routers.values() if name in router.nodes}
        machine.networks = {cloud.networks[network].id: network for network in cloud.nodes[name].local_vlans}

    def holders(self, name: str) -> list[str]:
        """The nodes that hold the guest ``name``."""
        return [
            node
            for node, machine in self.machines.items()
            if any(guest.name == name for guest in machine.guests.values())
        ]

    def disk(self, name: str) -> int:
        """The disk of the guest ``name``, which is on one node."""
        (disk,) = [guest.disk for machine in self.machines.values() for guest in machine.guests.values()
                   if guest.name == name]  # fmt: skip
        return disk


def documents(resolution: Resolution) -> dict[str, dict[str, Any]]:
    """The documents of a plan, without sections."""
    cloud = resolution.cloud
    return stamp({name: {"version": 2, "cloud": cloud.name, "node": name} for name in cloud.nodes}, resolution)

"""What a node reported that it holds (``holdings`` of its facts), as records.

What does not belong here: reading the node itself, which ``library/node_facts.py`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ...model.errors import PlanError
from ..allocation.allocations import Allocations, InstanceAllocation, load
from ..identity import object_id

REMOVED = "removed"


@dataclass(frozen=True)
class HeldInstance:
    """A guest that a node holds. ``id`` is its uuid, ``number`` the number in its libvirt name (None: no domain).

    ``state`` is running, paused, stopped, suspended, undefined (only a disk) or removed (kept for its return until
    ``until``). ``disk_bytes`` is what its disk occupies. Times are in seconds since 1970, 0 if unknown.
    """

    id: str
    name: str
    cloud: str
    state: str
    number: int | None = None
    disk_bytes: int = 0
    created: int = 0
    protected: bool = False
    removed: int = 0
    until: int = 0


@dataclass(frozen=True)
class Holding:
    """What a node holds. ``cloud``, ``node``, ``lineage``, ``serial`` and ``digest`` are those of the plan that it
    keeps ("" and 0: none); ``applied`` is the serial of the last plan that it has applied in whole. ``allocations`` is
    its extract of the allocations of the kept plan, as plain data.

    ``instances`` is uuid → guest. ``routers`` and ``networks`` are id → name. ``damaged`` are texts about files of the
    node that cannot be read.
    """

    cloud: str = ""
    node: str = ""
    lineage: str = ""
    serial: int = 0
    applied: int = 0
    digest: str = ""
    allocations: Mapping[str, Any] = field(default_factory=dict)
    instances: Mapping[str, HeldInstance] = field(default_factory=dict)
    routers: Mapping[str, str] = field(default_factory=dict)
    networks: Mapping[str, str] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()

    @cached_property
    def extract(self) -> Allocations:
        """The node's extract of the allocations; an extract that is damaged says nothing."""
        try:
            return load(self.allocations)
        except PlanError:
            return Allocations()

    def entry(self, name: str) -> InstanceAllocation | None:
        """What the node's extract says of an instance that the node has, or that it had and keeps for its return."""
        removed = self.extract.removed.get(name)
        return self.extract.instances.get(name) or (removed.instance if removed else None)

    def guests(self, cloud: str) -> list[HeldInstance]:
        """The guests of ``cloud`` that are not removed."""
        return [guest for guest in self.instances.values() if guest.cloud == cloud and guest.state != REMOVED]

    def removed(self, cloud: str) -> list[HeldInstance]:
        """The removed guests of ``cloud`` that the node keeps."""
        return [guest for guest in self.instances.values() if guest.cloud == cloud and guest.state == REMOVED]


def holdings_of(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Holding]:
    """node → what it holds, for the nodes whose facts say so."""
    return {node: _read(data["holdings"]) for node, data in facts.items() if data.get("holdings")}


def _read(data: Mapping[str, Any]) -> Holding:
    return Holding(
        cloud=str(data.get("cloud") or ""),
        node=str(data.get("node") or ""),
        lineage=str(data.get("lineage") or ""),
        serial=int(data.get("serial") or 0),
        applied=int(data.get("applied") or 0),
        digest=str(data.get("digest") or ""),
        allocations=data.get("allocations") or {},
        instances={uuid: _guest(uuid, guest) for uuid, guest in (data.get("instances") or {}).items()},
        routers=_named("router", data),
        networks=_named("network", data),
        damaged=tuple(data.get("damaged") or ()),
    )


def _named(kind: str, data: Mapping[str, Any]) -> dict[str, str]:
    """id → name of the routers or networks of a node. The node sees namespaces with ids; their names are in its part of
    the allocations."""
    section = f"{kind}s"
    known = (data.get("allocations") or {}).get(section) or {}
    names = {object_id(str(data.get("cloud") or ""), kind, name): name for name in known}
    return {uuid: name or names.get(uuid, "") for uuid, name in (data.get(section) or {}).items()}


def _guest(uuid: str, data: Mapping[str, Any]) -> HeldInstance:
    return HeldInstance(
        id=uuid,
        name=str(data.get("name") or ""),
        cloud=str(data.get("cloud") or ""),
        state=str(data.get("state") or ""),
        number=_number(str(data.get("domain") or "")),
        disk_bytes=int(data.get("disk_bytes") or 0),
        created=int(data.get("created") or 0),
        protected=data.get("protected") is True,
        removed=int(data.get("removed") or 0),
        until=int(data.get("until") or 0),
    )


def _number(domain: str) -> int | None:
    """The number in a libvirt name such as ``instance-0000001e``."""
    prefix, _, digits = domain.partition("-")
    try:
        return int(digits, 16) if prefix == "instance" else None
    except ValueError:
        return None

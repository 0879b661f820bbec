"""The scheduler: the compute node of each instance, chosen by filters and then by free memory.

An instance that is already on a node stays there. The filters run in the order of ``_FILTERS``. What does not belong
here: whether an image fits its flavor, which does not depend on the node (``plan/check/instances.py``), and the
placement of routers and DHCP (``services.py``).
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ...model.compute import InstanceModel
from ...model.errors import Problems
from ...model.inventory import Inventory, NodeEntry
from ..facts import NodeFacts
from ..identity import natural

# How many instances get a table of filters, when many instances find no host.
_TABLES = 10


@dataclass
class Host:
    """A compute node and the sum of the resources of its instances. ``facts`` is None if it was never reached."""

    name: str
    entry: NodeEntry
    facts: NodeFacts | None
    vcpus: int = 0
    ram_mb: int = 0
    disk_gb: int = 0
    groups: Counter[str] = field(default_factory=Counter)

    @property
    def free_vcpus(self) -> int:
        """Free virtual CPUs; below 0 when overcommitted."""
        return int(self.facts.vcpus * self.entry.model.cpu_allocation_ratio) - self.vcpus if self.facts else 0

    @property
    def free_ram_mb(self) -> int:
        """Free memory in MB; below 0 when overcommitted."""
        if self.facts is None:
            return 0
        model = self.entry.model
        return int((self.facts.ram_mb - model.reserved_ram_mb) * model.ram_allocation_ratio) - self.ram_mb

    @property
    def free_disk_gb(self) -> int:
        """Free disk space in GB, without the reserve and the disks of removed instances; below 0 when overcommitted."""
        if self.facts is None:
            return 0
        reserved = self.entry.model.reserved_disk_gb
        if reserved is None:
            reserved = self.facts.disk_gb // 10
        return self.facts.disk_gb - reserved - self.facts.removed_gb - self.disk_gb

    def take(self, want: Want) -> None:
        """Add an instance's resources to those in use."""
        self.vcpus += want.vcpus
        self.ram_mb += want.ram_mb
        self.disk_gb += want.disk_gb
        if want.group:
            self.groups[want.group] += 1


@dataclass(frozen=True)
class Want:
    """What an instance needs. ``physical_networks`` are those of its provider networks."""

    name: str
    model: InstanceModel
    vcpus: int
    ram_mb: int
    disk_gb: int
    physical_networks: tuple[str, ...] = ()
    group: str = ""
    policy: str = ""


@dataclass(frozen=True)
class Placement:
    """The result. ``nodes`` is instance → node."""

    nodes: Mapping[str, str]
    warnings: tuple[str, ...] = ()


# A filter returns None (the host passes) or (wanted, available). ``spread`` is affinity group → nodes with members.
_Answer = tuple[str, str] | None
_Spread = Mapping[str, set[str]]


def _enabled(host: Host, _want: Want, _spread: _Spread) -> _Answer:
    return None if host.entry.model.enabled else ("enabled", "node_enabled: false")


def _known(host: Host, _want: Want, _spread: _Spread) -> _Answer:
    return None if host.facts else ("a node that answers", "never reached")


def _zone(host: Host, want: Want, _spread: _Spread) -> _Answer:
    wanted, actual = want.model.availability_zone, host.entry.model.availability_zone
    return None if wanted in (None, actual) else (str(wanted), actual)


def _vcpus(host: Host, want: Want, _spread: _Spread) -> _Answer:
    return None if want.vcpus <= host.free_vcpus else (f"{want.vcpus} vCPU", f"{max(0, host.free_vcpus)} vCPU")


def _ram(host: Host, want: Want, _spread: _Spread) -> _Answer:
    return None if want.ram_mb <= host.free_ram_mb else (f"{want.ram_mb} MB", f"{max(0, host.free_ram_mb)} MB")


def _disk(host: Host, want: Want, _spread: _Spread) -> _Answer:
    fits = want.disk_gb == 0 or want.disk_gb <= host.free_disk_gb
    if fits:
        return None
    kept = host.facts.removed_gb if host.facts else 0
    hint = f" ({kept} GB hold removed instances; playbooks/removed.yml reclaims them)" if kept else ""
    return f"{want.disk_gb} GB", f"{max(0, host.free_disk_gb)} GB{hint}"


def _physical_network(host: Host, want: Want, _spread: _Spread) -> _Answer:
    mapped = host.entry.model.bridge_mappings
    missing = [physical for physical in want.physical_networks if physical not in mapped]
    return (", ".join(missing), ", ".join(sorted(mapped)) or "none mapped") if missing else None


def _pin(host: Host, want: Want, _spread: _Spread) -> _Answer:
    return None if want.model.host in (None, host.name) else (str(want.model.host), host.name)


def _affinity(host: Host, want: Want, spread: _Spread) -> _Answer:
    nodes = spread.get(want.group) or set()
    if want.policy.endswith("anti-affinity") and host.name in nodes:
        return f"no other member of {want.group}", "has a member"
    if want.policy in ("affinity", "soft-affinity") and nodes and host.name not in nodes:
        return f"same node as {want.group}", f"it is on {', '.join(sorted(nodes))}"
    return None


_FILTERS: tuple[tuple[str, Callable[[Host, Want, _Spread], _Answer]], ...] = (
    ("enabled", _enabled),
    ("facts", _known),
    ("availability zone", _zone),
    ("vCPU", _vcpus),
    ("RAM", _ram),
    ("disk", _disk),
    ("physical network", _physical_network),
    ("pin", _pin),
    ("affinity", _affinity),
)


def schedule(
    inventory: Inventory, placed: Mapping[str, str], facts: Mapping[str, NodeFacts], problems: Problems,
    disks: Mapping[str, int] | None = None,
) -> Placement:
    """Place every instance on a node; an instance that passes no node's filters is added to the problems.

    :param placed: instance → its node in the last run. It stays there while the node is in group compute.
    :param disks: image → its virtual size in GB, for flavors without a disk size.
    """
    hosts = {
        name: Host(name, entry, facts.get(name)) for name, entry in inventory.nodes.items() if "compute" in entry.roles
    }
    spread: dict[str, set[str]] = defaultdict(set)
    nodes: dict[str, str] = {}
    waiting: list[Want] = []
    for name in sorted(inventory.instances, key=natural):
        want = _want(name, inventory, disks or {})
        before = placed.get(name)
        if before in hosts:
            _settle(want, hosts[before], nodes, spread)
            continue
        waiting.append(want)
    # Place pinned instances first; otherwise other instances could fill their node.
    waiting.sort(key=lambda want: want.model.host is None)
    _place(waiting, hosts, nodes, spread, problems)
    return Placement(nodes, tuple(_overcommitted(hosts.values(), {want.name for want in waiting}, nodes)))


def _want(name: str, inventory: Inventory, disks: Mapping[str, int]) -> Want:
    model, cloud = inventory.instances[name], inventory.cloud
    flavor = cloud.flavors[model.flavor]
    group = cloud.affinity_groups.get(model.affinity_group or "")
    physical = (cloud.networks[nic.network].physical_network for nic in model.networks)
    return Want(
        name=name,
        model=model,
        vcpus=flavor.vcpus,
        ram_mb=flavor.ram_mb,
        disk_gb=flavor.disk_gb or disks.get(model.image, 0) or cloud.images[model.image].min_disk_gb,
        physical_networks=tuple(dict.fromkeys(name for name in physical if name)),
        group=model.affinity_group or "",
        policy=group.policy if group else "",
    )


def _settle(want: Want, host: Host, nodes: dict[str, str], spread: dict[str, set[str]]) -> None:
    host.take(want)
    nodes[want.name] = host.name
    if want.group:
        spread[want.group].add(host.name)


def _place(
    waiting: Iterable[Want], hosts: Mapping[str, Host], nodes: dict[str, str], spread: dict[str, set[str]],
    problems: Problems,
) -> None:
    """Place each instance on the node with the most free memory among those that pass all filters.

    The heap keeps the nodes in order of free memory: the first node nearly always passes.
    """
    heap = [(-host.free_ram_mb, natural(name), name) for name, host in hosts.items()]
    heapq.heapify(heap)
    failed: list[Want] = []
    for want in waiting:
        chosen = None
        # Try a soft policy as a hard policy first.
        for soft in (False, True) if want.policy.startswith("soft-") else (False,):
            looked_at = []
            while heap and chosen is None:
                entry = heapq.heappop(heap)
                host = hosts[entry[2]]
                if _refusal(host, want, spread, skip="affinity" if soft else "") is None:
                    chosen = host
                else:
                    looked_at.append(entry)
            for entry in looked_at:
                heapq.heappush(heap, entry)
            if chosen:
                break
        if chosen is None:
            failed.append(want)
            continue
        _settle(want, chosen, nodes, spread)
        heapq.heappush(heap, (-chosen.free_ram_mb, natural(chosen.name), chosen.name))
    _report(failed, hosts, spread, problems)


def _refusal(host: Host, want: Want, spread: _Spread, skip: str = "") -> tuple[str, str, str] | None:
    """(filter, wanted, available) of the first filter that refuses the host; None if the host passes."""
    for name, passes in _FILTERS:
        if name == skip:
            continue
        answer = passes(host, want, spread)
        if answer is not None:
            return name, *answer
    return None


def _report(failed: list[Want], hosts: Mapping[str, Host], spread: _Spread, problems: Problems) -> None:
    for want in failed[:_TABLES]:
        rows = [("node", "filter", "wanted", "available")]
        for name in sorted(hosts, key=natural):
            rows.append((name, *(_refusal(hosts[name], want, spread) or ("-", "-", "-"))))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
        table = "\n".join(f"  {line.rstrip()}" for line in lines)
        where = table if hosts else "  there is no node in group compute"
        problems.messages.append(f"instances.{want.name}: No valid host was found for instance {want.name}\n{where}")
    if len(failed) > _TABLES:
        names = ", ".join(want.name for want in failed[_TABLES : _TABLES + 20])
        more = "…" if len(failed) > _TABLES + 20 else ""
        count = len(failed) - _TABLES
        problems.messages.append(f"instances: No valid host was found for {count} more instances: {names}{more}")


def _overcommitted(hosts: Iterable[Host], new_names: set[str], nodes: Mapping[str, str]) -> list[str]:
    """A warning for each node whose earlier instances need more memory than it has.

    This happens when a flavor grew or when the node lost memory.
    """
    return [
        f"nodes.{host.name}: its instances need {-host.free_ram_mb} MB more memory than it has"
        for host in hosts
        if host.facts
        and host.free_ram_mb < 0
        and host.ram_mb
        and not any(nodes.get(name) == host.name for name in new_names)
    ]

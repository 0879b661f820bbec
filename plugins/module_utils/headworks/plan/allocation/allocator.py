"""Allocates addresses, MACs, segmentation ids and VLANs.

Allocations are sticky: an allocated value does not change because other objects are added or removed. A value that the
inventory declares is allocated to no other object. What does not belong here: placement on nodes (``plan/placement``),
and checks of the inventory (``plan/check``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ...model.cloud import CloudModel
from ...model.errors import Problems
from ..identity import derived_mac, object_id
from .allocations import PortAllocation
from .subnets import Space, number


@dataclass(frozen=True)
class Claim:
    """An address that the inventory declares for ``holder`` (a port's key, or a description of another object)."""

    space: Space
    address: int
    holder: str
    key: str  # the inventory key that declares it


@dataclass
class PortRequest:
    """A port that needs a MAC and addresses.

    Each entry of ``choices`` asks for one address from one of the spaces in that entry. The entry of ``fixed`` at the
    same position is the declared address, or None. ``before`` is the port's allocation of the last run. ``addresses``
    has one entry for each choice, filled in by the allocator.
    """

    key: str  # instance/vm1/internal, router/r1/gateway, dhcp/internal/network1
    origin: str  # the inventory key that messages about this port name
    network: str
    choices: list[list[Space]]
    fixed: list[int | None]
    mac: str | None = None
    before: PortAllocation | None = None
    addresses: list[int | None] = field(default_factory=list)


# (value, owner) → whether another owner may still use the value (see ``resting.py``).
Blocked = Callable[[str, str], bool]


def _none(_value: str, _owner: str) -> bool:
    return False


def segments(
    cloud: CloudModel, before: Mapping[str, str], problems: Problems, blocked: Blocked = _none
) -> dict[str, str]:
    """Network → its segment: ``vxlan/2``, ``vlan/physnet1/2000``, or "" for a network without a segmentation id.

    :param before: the segments of the last run. A network keeps its segment while its type stays the same.
    :param blocked: says which segments a network must not get, because nodes may still use them for another network.
    """
    result: dict[str, str] = {}
    holders: dict[str, str] = {}
    for name, network in cloud.networks.items():
        space = segment_space(cloud, name)
        if not space:
            result[name] = ""
        elif network.segmentation_id is not None:
            result[name] = f"{space}/{network.segmentation_id}"
            holders[result[name]] = name
    pending = []
    for name in cloud.networks:
        if name in result:
            continue
        space, allocated = segment_space(cloud, name), before.get(name, "")
        if allocated.rpartition("/")[0] != space:
            pending.append(name)
        elif allocated in holders:
            problems.add(
                f"cloud_networks.{holders[allocated]}.segmentation_id", int(allocated.rpartition("/")[2]),
                f"is already allocated to network {name}; choose another",
            )
        else:
            result[name] = allocated
            holders[allocated] = name
    free = {space: _segments_of(cloud, space) for space in {segment_space(cloud, name) for name in pending}}
    for name in pending:
        space = segment_space(cloud, name)
        chosen = next(
            (
                segment
                for segment in free[space]
                if segment not in holders and not blocked(f"segment/{segment}", name)
            ),
            None,
        )
        if chosen is None:
            rests = any(blocked(f"segment/{segment}", name) for segment in _segments_of(cloud, space))
            problems.add(f"cloud_networks.{name}", name, _none_free(space, rests))
            continue
        result[name] = chosen
        holders[chosen] = name
    return result


def _none_free(space: str, rests: bool) -> str:
    """Why a network gets no segment of ``space``. ``rests``: freed segments rest there."""
    ranges = "cloud_vlan_ranges" if space.startswith("vlan/") else "cloud_tunnel_id_range"
    hint = "; freed ids rest until all nodes have converged after their removal" if rests else ""
    return f"no segmentation id is free in {ranges} for type {space}{hint}"


def segment_space(cloud: CloudModel, network: str) -> str:
    """The scope in which a network's segmentation id is unique: ``vxlan``, ``vlan/physnet1``, or "" without an id."""
    model = cloud.networks[network]
    if model.type == "vlan":
        return f"vlan/{model.physical_network}"
    return "" if model.type in ("flat", "local") else model.type


def _segments_of(cloud: CloudModel, space: str) -> Iterable[str]:
    kind, _, physical = space.partition("/")
    ranges = cloud.vlan_ranges.get(physical, []) if kind == "vlan" else [cloud.tunnel_id_range]
    return (f"{space}/{number}" for first, last in sorted(ranges) for number in range(first, last + 1))


def local_vlans(
    members: Mapping[str, Iterable[str]], before: Mapping[str, Mapping[str, int]], problems: Problems,
    blocked: Blocked = _none,
) -> dict[str, dict[str, int]]:
    """node → network → VLAN on br-int, for the networks in ``members`` (node → networks, in order).

    :param before: the VLANs of the last run, which stay.
    :param blocked: says which VLANs a network must not get, because the node may still use them for another network.
    """
    result: dict[str, dict[str, int]] = {}
    for node, networks in members.items():
        wanted, allocated = list(networks), before.get(node, {})
        vlans = {name: allocated[name] for name in wanted if name in allocated}
        used = set(vlans.values())
        fresh = iter(range(1, 4095))
        for name in wanted:
            if name not in vlans:
                owner = name
                vlan = next(
                    (vlan for vlan in fresh if vlan not in used and not blocked(f"vlan/{node}/{vlan}", owner)), None
                )
                if vlan is None:
                    rule = "has ports on more than 4094 networks, the maximum for a node (freed VLANs rest)"
                    problems.add(f"nodes.{node}", node, rule)
                    break
                vlans[name] = vlan
        result[node] = vlans
    return result


@dataclass(frozen=True)
class _Unusable:
    """The MACs that the port ``owner`` must not get."""

    taken: Mapping[str, str]
    blocked: Blocked
    owner: str

    def __contains__(self, mac: object) -> bool:
        return mac in self.taken or self.blocked(f"mac/{mac}", self.owner)


class PortAllocator:
    """Allocates MACs and addresses to ports. Call ``allocate`` once, with all ports in order."""

    def __init__(
        self, cloud: str, spaces: Mapping[str, list[Space]], claims: Iterable[Claim], problems: Problems,
        blocked: Blocked = _none,
    ) -> None:
        self.cloud = cloud
        self.spaces = spaces
        self.problems = problems
        self.blocked = blocked
        self.claims = {(id(claim.space), claim.address): claim for claim in claims}

    def allocate(self, requests: list[PortRequest]) -> dict[str, PortAllocation]:
        """Port key → allocation. A port that does not get every address it asks for is added to the problems."""
        macs = self._macs(requests)
        for claim in self.claims.values():
            claim.space.taken[claim.address] = claim.holder
        for request in requests:
            self._keep(request)
        for request in requests:
            self._fill(request, macs[request.key])
        result = {}
        for request in requests:
            pairs = zip(request.addresses, request.choices, strict=True)
            addresses = (
                next(space for space in spaces if address in space).text(address)
                for address, spaces in pairs
                if address
            )
            result[request.key] = PortAllocation(macs[request.key], tuple(addresses))
        return result

    def _macs(self, requests: list[PortRequest]) -> dict[str, str]:
        macs = {request.key: request.mac for request in requests if request.mac}
        taken = {mac: key for key, mac in macs.items()}
        for request in requests:
            if request.mac or request.before is None:
                continue
            mac = request.before.mac
            if mac in taken:
                self.problems.add(
                    f"{self._origin(requests, taken[mac])}.mac", mac,
                    f"is already allocated to {request.key}; choose another",
                )
            macs[request.key] = mac
            taken[mac] = request.key
        for request in requests:
            if request.key not in macs:
                unusable = _Unusable(taken, self.blocked, request.key)
                mac = derived_mac(object_id(self.cloud, "port", request.key), unusable)
                macs[request.key] = mac
                taken[mac] = request.key
        return macs

    @staticmethod
    def _origin(requests: Iterable[PortRequest], key: str) -> str:
        return next(request.origin for request in requests if request.key == key)

    def _keep(self, request: PortRequest) -> None:
        """Set the declared addresses of a port, and the allocated addresses that it may keep."""
        allocated = [number(text) for text in request.before.addresses] if request.before else []
        for spaces, fixed in zip(request.choices, request.fixed, strict=True):
            if fixed is not None:
                request.addresses.append(fixed)
                continue
            kept = next((address for address in allocated if self._may_keep(request, spaces, address)), None)
            request.addresses.append(kept)
            if kept is not None:
                home = next(space for space in spaces if kept in space)
                home.taken[kept] = request.key

    def _may_keep(self, request: PortRequest, spaces: list[Space], address: int) -> bool:
        """Return whether the port may keep ``address``; refuse a declaration that needs it for another object."""
        space = next((candidate for candidate in spaces if address in candidate), None)
        if space is None or space.slaac or not space.usable(address):
            return False
        holder = space.taken.get(address)
        if address == space.gateway and holder is None:
            holder, key = "the subnet's gateway", f"cloud_networks.{space.network}.subnets.{space.name}.gateway_ip"
        elif holder is not None:
            claim = self.claims.get((id(space), address))
            key = claim.key if claim else request.origin
        else:
            return True
        self.problems.add(
            key, space.text(address),
            f"is already allocated to {request.key}; choose another address for {holder}",
        )
        return False

    def _rests(self, space: Space, key: str) -> Callable[[int], bool]:
        """Says of an address whether the port ``key`` must not get it yet."""
        return lambda address: self.blocked(f"address/{space.network}/{space.text(address)}", key)

    def _fill(self, request: PortRequest, mac: str) -> None:
        """Allocate the lowest free address for each choice that has no address yet."""
        for index, spaces in enumerate(request.choices):
            if request.addresses[index] is not None:
                continue
            for space in spaces:
                rests = self._rests(space, request.key)
                address = space.eui64(mac) if space.slaac else space.lowest_free(rests)
                if address is not None:
                    space.taken[address] = request.key
                    request.addresses[index] = address
                    break
            else:
                names = ", ".join(f"{space.name} ({space.model.cidr})" for space in spaces)
                resting = any(
                    self._rests(space, request.key)(address)
                    for space in spaces
                    for start, end in space.all_pools()
                    for address in range(start, end + 1)
                    if address not in space.taken
                )
                hint = "; freed addresses rest until all nodes have converged after their removal" if resting else ""
                self.problems.add(
                    f"cloud_networks.{request.network}.subnets", names,
                    f"no address is free in the allocation pools for {request.key}{hint}",
                )

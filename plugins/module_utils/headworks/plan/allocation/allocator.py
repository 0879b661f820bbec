"""Addresses, MACs, tunnel ids and VLANs: what was decided stays, explicit wishes are kept free for those who wish.

Nothing that was given moves because something else came or went. What does not belong here: on which node a thing is
(``schedule.py``, ``place.py``), and whether the inventory makes sense (``validate*.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ...model.cloud import CloudModel
from ...model.errors import Problems
from ..identity import derived_mac, object_id
from .allocations import PortAllocation
from .subnets import Space, number


@dataclass(frozen=True)
class Claim:
    """An address that the inventory gives to ``holder`` (a port's key, or words for anything else)."""

    space: Space
    address: int
    holder: str
    key: str  # where the inventory says so


@dataclass
class PortRequest:
    """A port to be. Each entry of ``choices`` asks for one address of one of its spaces (and is one of ``fixed`` when
    that is an int). ``before`` is what it had."""

    key: str  # instance/vm1/internal, router/r1/gateway, dhcp/internal/network1
    origin: str  # the inventory key to blame
    network: str
    choices: list[list[Space]]
    fixed: list[int | None]
    mac: str | None = None
    before: PortAllocation | None = None
    found: list[int | None] = field(default_factory=list)


def segments(cloud: CloudModel, before: Mapping[str, str], problems: Problems) -> dict[str, str]:
    """``vxlan/2`` or ``vlan/physnet1/2000`` for every network that has such a number, "" for the others."""
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
        space, old = segment_space(cloud, name), before.get(name, "")
        if old.rpartition("/")[0] != space:
            pending.append(name)
        elif old in holders:
            problems.add(
                f"cloud_networks.{holders[old]}.segmentation_id", int(old.rpartition("/")[2]),
                f"is in use by network {name}, to which it was given when it came; choose another",
            )
        else:
            result[name] = old
            holders[old] = name
    # Numbers just given up are not given out again at once: a node that is down may still use them.
    resting = set(before.values())
    free = {space: _numbers(cloud, space) for space in {segment_space(cloud, name) for name in pending}}
    for name in pending:
        space = segment_space(cloud, name)
        chosen = next((one for one in free[space] if one not in holders and one not in resting), None)
        if chosen is None:
            chosen = next((one for one in _numbers(cloud, space) if one not in holders), None)
        if chosen is None:
            ranges = "cloud_vlan_ranges" if space.startswith("vlan/") else "cloud_tunnel_id_range"
            problems.add(f"cloud_networks.{name}", name, f"no number is left in {ranges} for a network of {space}")
            continue
        result[name] = chosen
        holders[chosen] = name
    return result


def segment_space(cloud: CloudModel, network: str) -> str:
    """Within what a network's segmentation id is unique: ``vxlan``, ``vlan/physnet1``, or "" (it has none)."""
    model = cloud.networks[network]
    if model.type == "vlan":
        return f"vlan/{model.physical_network}"
    return "" if model.type in ("flat", "local") else model.type


def _numbers(cloud: CloudModel, space: str) -> Iterable[str]:
    kind, _, physical = space.partition("/")
    ranges = cloud.vlan_ranges.get(physical, []) if kind == "vlan" else [cloud.tunnel_id_range]
    return (f"{space}/{one}" for first, last in sorted(ranges) for one in range(first, last + 1))


def local_vlans(
    members: Mapping[str, Iterable[str]], before: Mapping[str, Mapping[str, int]], problems: Problems
) -> dict[str, dict[str, int]]:
    """node → network → VLAN on br-int, for the networks in ``members`` (node → networks, in order)."""
    result: dict[str, dict[str, int]] = {}
    for node, networks in members.items():
        wanted, old = list(networks), before.get(node, {})
        vlans = {name: old[name] for name in wanted if name in old}
        used, resting = set(vlans.values()), set(old.values())
        fresh = iter([one for one in range(1, 4095) if one not in resting] + sorted(resting - used))
        for name in wanted:
            if name not in vlans:
                vlan = next(fresh, None)
                if vlan is None:
                    problems.add(f"nodes.{node}", node, "has more than 4094 networks, the most that one node can have")
                    break
                vlans[name] = vlan
        result[node] = vlans
    return result


class PortAllocator:
    """Gives ports their MACs and addresses. Use: construct, then ``allocate`` once with all ports in order."""

    def __init__(self, cloud: str, spaces: Mapping[str, list[Space]], claims: Iterable[Claim], problems: Problems):
        self.cloud = cloud
        self.spaces = spaces
        self.problems = problems
        self.claims = {(id(one.space), one.address): one for one in claims}

    def allocate(self, requests: list[PortRequest]) -> dict[str, PortAllocation]:
        """Port key → what it has. Ports that could not get all they need are reported."""
        macs = self._macs(requests)
        for claim in self.claims.values():
            claim.space.taken[claim.address] = claim.holder
        for request in requests:
            self._keep(request)
        for request in requests:
            self._fill(request, macs[request.key])
        result = {}
        for request in requests:
            pairs = zip(request.found, request.choices, strict=True)
            addresses = (
                next(one for one in spaces if address in one).text(address) for address, spaces in pairs if address
            )
            result[request.key] = PortAllocation(macs[request.key], tuple(addresses))
        return result

    def _macs(self, requests: list[PortRequest]) -> dict[str, str]:
        macs = {one.key: one.mac for one in requests if one.mac}
        taken = {mac: key for key, mac in macs.items()}
        for one in requests:
            if one.mac or one.before is None:
                continue
            mac = one.before.mac
            if mac in taken:
                self.problems.add(
                    f"{self._origin(requests, taken[mac])}.mac", mac,
                    f"is in use by {one.key}, to which it was given when it came; choose another",
                )
            macs[one.key] = mac
            taken[mac] = one.key
        for one in requests:
            if one.key not in macs:
                mac = derived_mac(object_id(self.cloud, "port", one.key), taken)
                macs[one.key] = mac
                taken[mac] = one.key
        return macs

    @staticmethod
    def _origin(requests: Iterable[PortRequest], key: str) -> str:
        return next(one.origin for one in requests if one.key == key)

    def _keep(self, request: PortRequest) -> None:
        """What the port had and may still have."""
        old = [number(one) for one in request.before.addresses] if request.before else []
        for spaces, fixed in zip(request.choices, request.fixed, strict=True):
            if fixed is not None:
                request.found.append(fixed)
                continue
            request.found.append(next((one for one in old if self._may_keep(request, spaces, one)), None))
            if request.found[-1] is not None:
                space = next(one for one in spaces if request.found[-1] in one)
                space.taken[request.found[-1]] = request.key

    def _may_keep(self, request: PortRequest, spaces: list[Space], address: int) -> bool:
        space = next((one for one in spaces if address in one), None)
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
            f"is in use by {request.key}, to which it was given when it came; choose another address for {holder}",
        )
        return False

    def _fill(self, request: PortRequest, mac: str) -> None:
        """The lowest free address for each choice that has none yet."""
        for index, spaces in enumerate(request.choices):
            if request.found[index] is not None:
                continue
            for space in spaces:
                address = space.eui64(mac) if space.slaac else space.lowest_free()
                if address is not None:
                    space.taken[address] = request.key
                    request.found[index] = address
                    break
            else:
                names = ", ".join(f"{one.name} ({one.model.cidr})" for one in spaces)
                self.problems.add(
                    f"cloud_networks.{request.network}.subnets", names,
                    f"no address is left in the allocation pools for {request.key}",
                )

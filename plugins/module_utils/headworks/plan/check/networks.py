"""Checks of networks and subnets: types, segmentation ids, physical networks, CIDRs, pools, gateways, MTUs."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from itertools import combinations

from ...model.network import NetworkModel, SubnetModel
from ..allocation.allocator import segment_space
from ..allocation.subnets import Space, number
from ..mtu import OVERHEAD, maximum
from .context import Check


def check(it: Check) -> None:
    """All of them."""
    mapped = {one for entry in it.inventory.nodes.values() for one in entry.model.bridge_mappings}
    for name, network in it.cloud.networks.items():
        key = f"cloud_networks.{name}"
        _type(it, key, network, mapped)
        _mtu(it, key, name, network)
        it.known(f"{key}.project", network.project, "project", it.cloud.projects)
        it.known(f"{key}.qos_policy", network.qos_policy, "QoS policy", it.cloud.qos_policies)
        _overlaps(it, key, it.spaces[name])
        for space in it.spaces[name]:
            _subnet(it, f"{key}.subnets.{space.name}", space)
    _segments(it)
    _flat(it)


def _type(it: Check, key: str, network: NetworkModel, mapped: set[str]) -> None:
    physical, number_ = network.physical_network, network.segmentation_id
    if network.type in ("flat", "vlan"):
        if physical is None:
            it.bad(f"{key}.physical_network", None, f"is required for a network of type {network.type}")
        elif physical in it.cloud.vlan_ranges and physical not in mapped:
            it.warnings.append(
                f"{key}.physical_network: {physical!r}: no node maps it (node_bridge_mappings), so nobody can use it"
            )
        else:
            it.known(f"{key}.physical_network", physical, "physical network", mapped | set(it.cloud.vlan_ranges))
    elif physical is not None:
        it.bad(f"{key}.physical_network", physical, f"is for networks of type flat and vlan, not {network.type}")
    if network.type in ("flat", "local") and number_ is not None:
        it.bad(f"{key}.segmentation_id", number_, f"a network of type {network.type} has no segmentation id")
    elif network.type == "vlan" and physical is not None:
        _vlan(it, key, physical, number_)
    elif network.type in OVERHEAD and number_ is not None:
        first, last = it.cloud.tunnel_id_range
        if not first <= number_ <= last:
            it.bad(f"{key}.segmentation_id", number_, f"must be within cloud_tunnel_id_range, {first}:{last}")


def _vlan(it: Check, key: str, physical: str, vlan: int | None) -> None:
    ranges = it.cloud.vlan_ranges.get(physical, [])
    where = f"cloud_vlan_ranges.{physical}"
    if vlan is not None and not 1 <= vlan <= 4094:
        it.bad(f"{key}.segmentation_id", vlan, "must be a VLAN between 1 and 4094")
    elif vlan is None and not ranges:
        it.bad(f"{key}.segmentation_id", None, f"give one, or say in {where} which are free, e.g. [\"2000:4094\"]")
    elif vlan is not None and ranges and not any(first <= vlan <= last for first, last in ranges):
        text = ", ".join(f"{first}:{last}" for first, last in ranges)
        it.bad(f"{key}.segmentation_id", vlan, f"must be within {where}, {text}")


def _mtu(it: Check, key: str, name: str, network: NetworkModel) -> None:
    if network.mtu is not None:
        most = maximum(it.inventory, it.facts, name)
        if network.mtu > most:
            it.bad(f"{key}.mtu", network.mtu, f"must be at most {most}, which is what the NICs below it carry")


def _overlaps(it: Check, key: str, spaces: list[Space]) -> None:
    for one, other in combinations(spaces, 2):
        if one.version == other.version and one.base <= other.end and other.base <= one.end:
            it.bad(
                f"{key}.subnets.{other.name}.cidr", other.model.cidr,
                f"overlaps subnet {one.name} ({one.model.cidr}) of the same network",
            )


def _subnet(it: Check, key: str, space: Space) -> None:
    model = space.model
    if model.ip_version is not None and model.ip_version != space.version:
        it.bad(f"{key}.ip_version", model.ip_version, f"cidr {model.cidr} is of version {space.version}")
    if model.ipv6_mode is not None and space.version != 6:
        it.bad(f"{key}.ipv6_mode", model.ipv6_mode, f"is for IPv6 subnets; cidr {model.cidr} is IPv4")
    elif space.slaac and ip_network(model.cidr).prefixlen != 64:
        it.bad(f"{key}.cidr", model.cidr, f"must be a /64 for ipv6_mode {model.ipv6_mode}")
    gateway = model.gateway_ip
    if gateway and _inside(it, f"{key}.gateway_ip", gateway, space) and not space.usable(number(gateway)):
        it.bad(f"{key}.gateway_ip", gateway, _not_a_host(space))
    for index, server in enumerate(model.dns_nameservers):
        if ip_address(server).version != space.version:
            it.bad(f"{key}.dns_nameservers.{index}", server, f"must be of IP version {space.version}, as the subnet")
    _routes(it, key, space)
    _pools(it, key, space, model)


def _routes(it: Check, key: str, space: Space) -> None:
    for index, route in enumerate(space.model.host_routes):
        where = f"{key}.host_routes.{index}"
        if ip_network(route.destination).version != space.version:
            it.bad(f"{where}.destination", route.destination, f"must be of IP version {space.version}, as the subnet")
        _inside(it, f"{where}.nexthop", route.nexthop, space)


def _pools(it: Check, key: str, space: Space, model: SubnetModel) -> None:
    good = []
    for index, (pool, (start, end)) in enumerate(zip(model.allocation_pools, space.pools, strict=True)):
        where, text = f"{key}.allocation_pools.{index}", f"{pool.start}-{pool.end}"
        if not (_inside(it, f"{where}.start", pool.start, space) and _inside(it, f"{where}.end", pool.end, space)):
            continue
        if start > end:
            it.bad(where, text, "its start must not be above its end")
            continue
        for edge, address in ((pool.start, start), (pool.end, end)):
            if not space.usable(address):
                it.bad(where, edge, _not_a_host(space))
        if space.gateway is not None and start <= space.gateway <= end:
            it.bad(where, text, f"must not contain the subnet's gateway, {space.text(space.gateway)}")
        good.append((start, end, text, where))
    for one, other in combinations(good, 2):
        if one[0] <= other[1] and other[0] <= one[1]:
            it.bad(other[3], other[2], f"overlaps the pool {one[2]}")


def _inside(it: Check, key: str, address: str, space: Space) -> bool:
    if ip_address(address).version != space.version:
        it.bad(key, address, f"must be of IP version {space.version}, as the subnet's cidr {space.model.cidr}")
        return False
    if number(address) not in space:
        it.bad(key, address, f"must lie within the subnet, {space.model.cidr}")
        return False
    return True


def _not_a_host(space: Space) -> str:
    return f"is the network's own or the broadcast address of {space.model.cidr}, which no host can have"


def _segments(it: Check) -> None:
    seen: dict[str, str] = {}
    for name, network in it.cloud.networks.items():
        space = segment_space(it.cloud, name)
        if network.segmentation_id is None or not space:
            continue
        segment = f"{space}/{network.segmentation_id}"
        if segment in seen:
            it.bad(
                f"cloud_networks.{name}.segmentation_id", network.segmentation_id,
                f"is also that of network {seen[segment]}; it must be unique within {space.replace('/', ' on ')}",
            )
        seen.setdefault(segment, name)


def _flat(it: Check) -> None:
    seen: dict[str, str] = {}
    for name, network in it.cloud.networks.items():
        if network.type != "flat" or network.physical_network is None:
            continue
        if network.physical_network in seen:
            it.bad(
                f"cloud_networks.{name}.physical_network", network.physical_network,
                f"already carries the flat network {seen[network.physical_network]}; untagged, it can carry one",
            )
        seen.setdefault(network.physical_network, name)

"""Checks of networks and subnets: types, segmentation ids, physical networks, CIDRs, pools, gateways, MTUs."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from itertools import combinations

from ...model.network import NetworkModel, SubnetModel
from ..allocation.allocator import segment_space
from ..allocation.subnets import Space, number
from ..mtu import OVERHEAD, maximum
from .context import Check


def check_networks(check: Check) -> None:
    """Check every network and its subnets, and that segmentation ids and flat networks do not collide."""
    mapped = {physical for entry in check.inventory.nodes.values() for physical in entry.model.bridge_mappings}
    for name, network in check.cloud.networks.items():
        key = f"cloud_networks.{name}"
        _type(check, key, network, mapped)
        _mtu(check, key, name, network)
        check.exists(f"{key}.project", network.project, "project", check.cloud.projects)
        check.exists(f"{key}.qos_policy", network.qos_policy, "QoS policy", check.cloud.qos_policies)
        _overlaps(check, key, check.spaces[name])
        for space in check.spaces[name]:
            _subnet(check, f"{key}.subnets.{space.name}", space)
    _segments(check)
    _flat(check)


def _type(check: Check, key: str, network: NetworkModel, mapped: set[str]) -> None:
    physical, number_ = network.physical_network, network.segmentation_id
    if network.type in ("flat", "vlan"):
        if physical is None:
            check.refuse(f"{key}.physical_network", None, f"is required for a network of type {network.type}")
        elif physical in check.cloud.vlan_ranges and physical not in mapped:
            check.warnings.append(
                f"{key}.physical_network: {physical!r}: no node maps it (node_bridge_mappings), so no port can use it"
            )
        else:
            check.exists(f"{key}.physical_network", physical, "physical network", mapped | set(check.cloud.vlan_ranges))
    elif physical is not None:
        check.refuse(f"{key}.physical_network", physical, f"is for networks of type flat and vlan, not {network.type}")
    if network.type in ("flat", "local") and number_ is not None:
        check.refuse(f"{key}.segmentation_id", number_, f"a network of type {network.type} has no segmentation id")
    elif network.type == "vlan" and physical is not None:
        _vlan(check, key, physical, number_)
    elif network.type in OVERHEAD and number_ is not None:
        first, last = check.cloud.tunnel_id_range
        if not first <= number_ <= last:
            check.refuse(f"{key}.segmentation_id", number_, f"must be within cloud_tunnel_id_range, {first}:{last}")


def _vlan(check: Check, key: str, physical: str, vlan: int | None) -> None:
    ranges = check.cloud.vlan_ranges.get(physical, [])
    where = f"cloud_vlan_ranges.{physical}"
    if vlan is not None and not 1 <= vlan <= 4094:
        check.refuse(f"{key}.segmentation_id", vlan, "must be a VLAN between 1 and 4094")
    elif vlan is None and not ranges:
        check.refuse(
            f"{key}.segmentation_id", None,
            f'is required, unless {where} declares a range to allocate from, e.g. ["2000:4094"]',
        )
    elif vlan is not None and ranges and not any(first <= vlan <= last for first, last in ranges):
        text = ", ".join(f"{first}:{last}" for first, last in ranges)
        check.refuse(f"{key}.segmentation_id", vlan, f"must be within {where}, {text}")


def _mtu(check: Check, key: str, name: str, network: NetworkModel) -> None:
    if network.mtu is not None:
        most = maximum(check.inventory, check.facts, name)
        if network.mtu > most:
            check.refuse(f"{key}.mtu", network.mtu, f"must be at most {most}, the largest that the NICs below it carry")


def _overlaps(check: Check, key: str, spaces: list[Space]) -> None:
    for first, second in combinations(spaces, 2):
        if first.version == second.version and first.base <= second.end and second.base <= first.end:
            check.refuse(
                f"{key}.subnets.{second.name}.cidr", second.model.cidr,
                f"overlaps subnet {first.name} ({first.model.cidr}) of the same network",
            )


def _subnet(check: Check, key: str, space: Space) -> None:
    model = space.model
    if model.ip_version is not None and model.ip_version != space.version:
        check.refuse(f"{key}.ip_version", model.ip_version, f"cidr {model.cidr} is of version {space.version}")
    if model.ipv6_mode is not None and space.version != 6:
        check.refuse(f"{key}.ipv6_mode", model.ipv6_mode, f"is for IPv6 subnets; cidr {model.cidr} is IPv4")
    elif space.slaac and ip_network(model.cidr).prefixlen != 64:
        check.refuse(f"{key}.cidr", model.cidr, f"must be a /64 for ipv6_mode {model.ipv6_mode}")
    gateway = model.gateway_ip
    if gateway and _inside(check, f"{key}.gateway_ip", gateway, space) and not space.usable(number(gateway)):
        check.refuse(f"{key}.gateway_ip", gateway, _not_a_host(space))
    for index, server in enumerate(model.dns_nameservers):
        if ip_address(server).version != space.version:
            rule = f"must be of IP version {space.version}, as the subnet"
            check.refuse(f"{key}.dns_nameservers.{index}", server, rule)
    _routes(check, key, space)
    _pools(check, key, space, model)


def _routes(check: Check, key: str, space: Space) -> None:
    for index, route in enumerate(space.model.host_routes):
        where = f"{key}.host_routes.{index}"
        if ip_network(route.destination).version != space.version:
            rule = f"must be of IP version {space.version}, as the subnet"
            check.refuse(f"{where}.destination", route.destination, rule)
        _inside(check, f"{where}.nexthop", route.nexthop, space)


def _pools(check: Check, key: str, space: Space, model: SubnetModel) -> None:
    valid = []
    for index, (pool, (start, end)) in enumerate(zip(model.allocation_pools, space.pools, strict=True)):
        where, text = f"{key}.allocation_pools.{index}", f"{pool.start}-{pool.end}"
        inside = _inside(check, f"{where}.start", pool.start, space) and _inside(check, f"{where}.end", pool.end, space)
        if not inside:
            continue
        if start > end:
            check.refuse(where, text, "its start must not be above its end")
            continue
        for edge, address in ((pool.start, start), (pool.end, end)):
            if not space.usable(address):
                check.refuse(where, edge, _not_a_host(space))
        if space.gateway is not None and start <= space.gateway <= end:
            check.refuse(where, text, f"must not contain the subnet's gateway, {space.text(space.gateway)}")
        valid.append((start, end, text, where))
    for (start, end, text, _), (other_start, other_end, other_text, where) in combinations(valid, 2):
        if start <= other_end and other_start <= end:
            check.refuse(where, other_text, f"overlaps the pool {text}")


def _inside(check: Check, key: str, address: str, space: Space) -> bool:
    """Return whether ``address`` lies in the subnet; if it does not, refuse it."""
    if ip_address(address).version != space.version:
        check.refuse(key, address, f"must be of IP version {space.version}, as the subnet's cidr {space.model.cidr}")
        return False
    if number(address) not in space:
        check.refuse(key, address, f"must lie within the subnet, {space.model.cidr}")
        return False
    return True


def _not_a_host(space: Space) -> str:
    return f"is the network address or the broadcast address of {space.model.cidr}, which no host can have"


def _segments(check: Check) -> None:
    """Refuse a declared segmentation id that another network of the same kind declares."""
    seen: dict[str, str] = {}
    for name, network in check.cloud.networks.items():
        space = segment_space(check.cloud, name)
        if network.segmentation_id is None or not space:
            continue
        segment = f"{space}/{network.segmentation_id}"
        if segment in seen:
            check.refuse(
                f"cloud_networks.{name}.segmentation_id", network.segmentation_id,
                f"is also the id of network {seen[segment]}; it must be unique within {space.replace('/', ' on ')}",
            )
        seen.setdefault(segment, name)


def _flat(check: Check) -> None:
    """Refuse a second flat network on the same physical network."""
    seen: dict[str, str] = {}
    for name, network in check.cloud.networks.items():
        if network.type != "flat" or network.physical_network is None:
            continue
        if network.physical_network in seen:
            check.refuse(
                f"cloud_networks.{name}.physical_network", network.physical_network,
                f"already carries the flat network {seen[network.physical_network]}; it can carry only one, untagged",
            )
        seen.setdefault(network.physical_network, name)

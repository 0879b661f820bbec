"""Checks of routers and floating IPs: what they refer to, and whether the router can tell its networks apart."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from itertools import combinations

from ...model.network import FloatingIpModel, InterfaceModel, RouterModel
from ..allocation.ports import interface_addresses, numbered
from ..allocation.subnets import Space, find, number, space_for
from ..floating import Target, targets
from .context import Check


def check(it: Check) -> None:
    """All of them."""
    for name, router in it.cloud.routers.items():
        _router(it, f"cloud_routers.{name}", router)
    _floating_ips(it)


def _router(it: Check, key: str, router: RouterModel) -> None:
    it.known(f"{key}.project", router.project, "project", it.cloud.projects)
    outside = router.external_network
    if it.known(f"{key}.external_network", outside, "network", it.cloud.networks) and outside:
        _external(it, f"{key}.external_network", outside)
        if not it.spaces[outside]:
            it.bad(f"{key}.external_network", outside, "has no subnet, so the router can have no address there")
    attached: list[tuple[Space, str]] = [(one, outside or "") for one in it.spaces.get(outside or "", [])]
    seen: set[tuple[str, str]] = set()
    for index, interface in enumerate(router.interfaces):
        where = f"{key}.interfaces.{index}"
        if not it.known(where, interface.network, "network", it.cloud.networks):
            continue
        if interface.network == outside:
            it.bad(where, interface.network, "is the router's external network; it cannot be behind it as well")
            continue
        spaces = _interface(it, where, interface)
        for space in spaces:
            if (space.network, space.name) in seen:
                it.bad(where, interface.network, f"the router already has a port in subnet {space.name}")
            else:
                attached.append((space, interface.network))
            seen.add((space.network, space.name))
    _distinct(it, f"{key}.interfaces", attached)
    _routes(it, key, router, [space for space, _ in attached])


def _external(it: Check, key: str, name: str) -> None:
    if not it.cloud.networks[name].external:
        it.bad(key, name, f"is not an external network (cloud_networks.{name}.external: true)")


def _interface(it: Check, key: str, interface: InterfaceModel) -> list[Space]:
    """The subnets that a router's port is in."""
    names = [one.name for one in it.spaces[interface.network]]
    if interface.subnet is not None and interface.subnet not in names:
        it.problems.unknown(f"{key}.subnet", interface.subnet, "subnet", names, f" in network {interface.network}")
        return []
    spaces = [space for space, _ in interface_addresses(interface, it.spaces)]
    if not names:
        it.bad(key, interface.network, "has no subnet, so the router can have no address there")
    elif not spaces:
        it.bad(key, interface.network, "has no subnet with a gateway_ip for the router to have")
    return spaces


def _distinct(it: Check, key: str, attached: list[tuple[Space, str]]) -> None:
    """A router cannot tell apart two networks whose addresses overlap."""
    for (one, network), (other, second) in combinations(attached, 2):
        if network == second or one.version != other.version:
            continue  # within one network, overlapping is refused anyway
        if one.base <= other.end and other.base <= one.end:
            it.bad(
                key, other.model.cidr,
                f"subnet {other.name} of {second} overlaps subnet {one.name} ({one.model.cidr}) of {network} "
                "on the same router",
            )


def _routes(it: Check, key: str, router: RouterModel, attached: list[Space]) -> None:
    seen: set[tuple[str, str]] = set()
    for index, route in enumerate(router.routes):
        where = f"{key}.routes.{index}"
        version = ip_network(route.destination).version
        if ip_address(route.nexthop).version != version:
            it.bad(f"{where}.nexthop", route.nexthop, f"must be of IP version {version}, as its destination")
        elif find(attached, number(route.nexthop), version) is None:
            it.bad(f"{where}.nexthop", route.nexthop, "must lie in a subnet that the router is attached to")
        if (route.destination, route.nexthop) in seen:
            it.bad(where, route.destination, "is there twice with the same nexthop")
        seen.add((route.destination, route.nexthop))


def _floating_ips(it: Check) -> None:
    fixed: dict[tuple[str, str], str] = {}
    for address, floating in it.cloud.floating_ips.items():
        key = f"cloud_floating_ips.{address}"
        it.known(f"{key}.project", floating.project, "project", it.cloud.projects)
        it.known(f"{key}.qos_policy", floating.qos_policy, "QoS policy", it.cloud.qos_policies)
        if ip_address(address).version != 4:
            it.bad(key, address, "a floating IP is an IPv4 address; IPv6 guests need none")
            continue
        if it.known(f"{key}.network", floating.network, "network", it.cloud.networks):
            _external(it, f"{key}.network", floating.network)
            _in_pool(it, key, address, floating.network)
        it.known(f"{key}.fixed_network", floating.fixed_network, "network", it.cloud.networks)
        target = _target(it, key, floating)
        if target is None:
            continue
        place = (target.instance, target.label)
        if place in fixed:
            it.bad(
                key, target.instance,
                f"floating IP {fixed[place]} already leads to this address of {target.instance} on {target.network}",
            )
        fixed.setdefault(place, address)


def _in_pool(it: Check, key: str, address: str, network: str) -> None:
    space, value = space_for(it.spaces[network], address)
    there = [one for one in it.spaces[network] if one.version == 4]
    pools = [f"{one.text(start)}-{one.text(end)}" for one in there for start, end in one.all_pools()]
    if space is None or not space.in_pools(value):
        it.bad(key, address, f"is outside the allocation pools of {network} ({', '.join(pools) or 'it has none'})")


def _target(it: Check, key: str, floating: FloatingIpModel) -> Target | None:
    """The NIC meant, if it is clear which."""
    name = floating.instance
    if name is None:
        return None
    if name in it.inventory.absent:
        it.bad(f"{key}.instance", name, "this instance is absent (instance_state); take the instance out here, too")
        return None
    if not it.known(f"{key}.instance", name, "instance", it.inventory.instances):
        return None
    nics = it.inventory.instances[name].networks
    networks = [nic.network for nic in nics]
    if floating.fixed_network is not None and floating.fixed_network not in networks:
        it.bad(f"{key}.fixed_network", floating.fixed_network, f"{name} is not on it, but on {_list(networks)}")
        return None
    found = [one for one in targets(it.inventory, floating) if _has_ipv4(it, one)]
    if not found:
        wanted = floating.fixed_network or _list(networks)
        it.bad(
            f"{key}.instance", name,
            f"no router with external_network {floating.network} has an interface on {wanted}, where the instance is",
        )
        return None
    if floating.fixed_address is not None:
        indexes = dict(numbered(nics))
        found = [one for one in found if _may_have(it, floating.fixed_address, one, nics[indexes[one.label]].address)]
        if not found:
            it.bad(f"{key}.fixed_address", floating.fixed_address, f"{name} does not have this address")
            return None
    elif len(found) > 1:
        it.bad(f"{key}.instance", name, f"has several addresses; say which with fixed_network ({_list(networks)})")
        return None
    return found[0]


def _has_ipv4(it: Check, target: Target) -> bool:
    return any(one.version == 4 for one in it.spaces.get(target.network, ()))


def _may_have(it: Check, address: str, target: Target, declared: str | None) -> bool:
    """Whether the NIC has the address: as declared, or as allocated before."""
    if declared is not None:
        return declared == address
    known = it.before.instances.get(target.instance)
    port = known.ports.get(target.label) if known else None
    return port is not None and address in port.addresses


def _list(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(names)) or "none"

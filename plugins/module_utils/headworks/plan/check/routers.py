"""Checks of routers and floating IPs: every name must exist, and no two networks of a router may overlap."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from itertools import combinations

from ...model.network import FloatingIpModel, InterfaceModel, RouterModel
from ..allocation.ports import interface_addresses, numbered
from ..allocation.subnets import Space, find, number, space_for
from ..floating import Target, targets
from .context import Check


def check_routers(check: Check) -> None:
    """Check every router with its interfaces and routes, and every floating IP."""
    for name, router in check.cloud.routers.items():
        _router(check, f"cloud_routers.{name}", router)
    _floating_ips(check)


def _router(check: Check, key: str, router: RouterModel) -> None:
    check.exists(f"{key}.project", router.project, "project", check.cloud.projects)
    outside = router.external_network
    if check.exists(f"{key}.external_network", outside, "network", check.cloud.networks) and outside:
        _external(check, f"{key}.external_network", outside)
        if not check.spaces[outside]:
            check.refuse(f"{key}.external_network", outside, "has no subnet, so the router gets no address on it")
    attached: list[tuple[Space, str]] = [(space, outside or "") for space in check.spaces.get(outside or "", [])]
    seen: set[tuple[str, str]] = set()
    for index, interface in enumerate(router.interfaces):
        where = f"{key}.interfaces.{index}"
        if not check.exists(where, interface.network, "network", check.cloud.networks):
            continue
        if interface.network == outside:
            rule = "is the router's external network; it cannot be an interface as well"
            check.refuse(where, interface.network, rule)
            continue
        spaces = _interface(check, where, interface)
        for space in spaces:
            if (space.network, space.name) in seen:
                check.refuse(where, interface.network, f"the router already has a port in subnet {space.name}")
            else:
                attached.append((space, interface.network))
            seen.add((space.network, space.name))
    _distinct(check, f"{key}.interfaces", attached)
    _routes(check, key, router, [space for space, _ in attached])


def _external(check: Check, key: str, name: str) -> None:
    if not check.cloud.networks[name].external:
        check.refuse(key, name, f"is not an external network (cloud_networks.{name}.external: true)")


def _interface(check: Check, key: str, interface: InterfaceModel) -> list[Space]:
    """The subnets that a router's interface is in; none if the interface is refused."""
    names = [space.name for space in check.spaces[interface.network]]
    if interface.subnet is not None and interface.subnet not in names:
        check.problems.unknown(f"{key}.subnet", interface.subnet, "subnet", names, f" in network {interface.network}")
        return []
    spaces = [space for space, _ in interface_addresses(interface, check.spaces)]
    if not names:
        check.refuse(key, interface.network, "has no subnet, so the router gets no address on it")
    elif not spaces:
        check.refuse(key, interface.network, "has no subnet with a gateway_ip, which would be the router's address")
    return spaces


def _distinct(check: Check, key: str, attached: list[tuple[Space, str]]) -> None:
    """Refuse overlapping subnets of different networks on one router: the router could not route between them."""
    for (first, first_network), (second, second_network) in combinations(attached, 2):
        if first_network == second_network or first.version != second.version:
            continue  # the check of networks refuses an overlap within one network
        if first.base <= second.end and second.base <= first.end:
            check.refuse(
                key, second.model.cidr,
                f"subnet {second.name} of {second_network} overlaps subnet {first.name} ({first.model.cidr}) "
                f"of {first_network} on the same router",
            )


def _routes(check: Check, key: str, router: RouterModel, attached: list[Space]) -> None:
    seen: set[tuple[str, str]] = set()
    for index, route in enumerate(router.routes):
        where = f"{key}.routes.{index}"
        version = ip_network(route.destination).version
        if ip_address(route.nexthop).version != version:
            check.refuse(f"{where}.nexthop", route.nexthop, f"must be of IP version {version}, as the destination")
        elif find(attached, number(route.nexthop), version) is None:
            check.refuse(f"{where}.nexthop", route.nexthop, "must lie in a subnet that the router is attached to")
        if (route.destination, route.nexthop) in seen:
            check.refuse(where, route.destination, "is declared twice with the same nexthop")
        seen.add((route.destination, route.nexthop))


def _floating_ips(check: Check) -> None:
    fixed: dict[tuple[str, str], str] = {}
    for address, floating in check.cloud.floating_ips.items():
        key = f"cloud_floating_ips.{address}"
        check.exists(f"{key}.project", floating.project, "project", check.cloud.projects)
        check.exists(f"{key}.qos_policy", floating.qos_policy, "QoS policy", check.cloud.qos_policies)
        if ip_address(address).version != 4:
            check.refuse(key, address, "must be an IPv4 address; IPv6 guests need no floating IP")
            continue
        if check.exists(f"{key}.network", floating.network, "network", check.cloud.networks):
            _external(check, f"{key}.network", floating.network)
            _in_pool(check, key, address, floating.network)
        check.exists(f"{key}.fixed_network", floating.fixed_network, "network", check.cloud.networks)
        target = _target(check, key, floating)
        if target is None:
            continue
        place = (target.instance, target.label)
        if place in fixed:
            check.refuse(
                key, target.instance,
                f"floating IP {fixed[place]} already leads to the same address of {target.instance} "
                f"on {target.network}",
            )
        fixed.setdefault(place, address)


def _in_pool(check: Check, key: str, address: str, network: str) -> None:
    space, value = space_for(check.spaces[network], address)
    ipv4 = [each for each in check.spaces[network] if each.version == 4]
    pools = [f"{each.text(start)}-{each.text(end)}" for each in ipv4 for start, end in each.all_pools()]
    if space is None or not space.in_pools(value):
        rule = f"is outside the allocation pools of {network} ({', '.join(pools) or 'it has none'})"
        check.refuse(key, address, rule)


def _target(check: Check, key: str, floating: FloatingIpModel) -> Target | None:
    """The NIC that the floating IP leads to; None if the floating IP has no instance, or is refused."""
    name = floating.instance
    if name is None:
        return None
    if name in check.inventory.absent:
        check.refuse(f"{key}.instance", name, "this instance has instance_state: absent; remove it here as well")
        return None
    if not check.exists(f"{key}.instance", name, "instance", check.inventory.instances):
        return None
    nics = check.inventory.instances[name].networks
    networks = [nic.network for nic in nics]
    if floating.fixed_network is not None and floating.fixed_network not in networks:
        rule = f"{name} has no NIC on this network; it has one on {_list(networks)}"
        check.refuse(f"{key}.fixed_network", floating.fixed_network, rule)
        return None
    candidates = [target for target in targets(check.inventory, floating) if _has_ipv4(check, target)]
    if not candidates:
        wanted = floating.fixed_network or _list(networks)
        check.refuse(
            f"{key}.instance", name,
            f"no router with external_network {floating.network} has an interface on {wanted}, where the instance is",
        )
        return None
    if floating.fixed_address is not None:
        indexes = dict(numbered(nics))
        candidates = [
            target
            for target in candidates
            if _may_have(check, floating.fixed_address, target, nics[indexes[target.label]].address)
        ]
        if not candidates:
            check.refuse(f"{key}.fixed_address", floating.fixed_address, f"{name} does not have this address")
            return None
    elif len(candidates) > 1:
        rule = f"has several addresses; choose one with fixed_network ({_list(networks)})"
        check.refuse(f"{key}.instance", name, rule)
        return None
    return candidates[0]


def _has_ipv4(check: Check, target: Target) -> bool:
    return any(space.version == 4 for space in check.spaces.get(target.network, ()))


def _may_have(check: Check, address: str, target: Target, declared: str | None) -> bool:
    """Return whether the NIC has ``address``: the declared one, or else one that the last run allocated."""
    if declared is not None:
        return declared == address
    instance = check.before.instances.get(target.instance)
    port = instance.ports.get(target.label) if instance else None
    return port is not None and address in port.addresses


def _list(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(names)) or "none"

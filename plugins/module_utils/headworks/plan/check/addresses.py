"""Checks of the addresses that the inventory declares: each must lie in a subnet, be usable by a host, and be free."""

from __future__ import annotations

from ..allocation.ports import Declared, declared_addresses
from .context import Check


def check_addresses(check: Check) -> None:
    """Check each declared address against its subnet and against the other declared addresses."""
    holders: dict[tuple[str, str, int], Declared] = {}
    for declared in declared_addresses(check.inventory, check.spaces):
        space = declared.space
        if space is None:
            cidrs = ", ".join(f"{other.name} {other.model.cidr}" for other in check.spaces[declared.network])
            where = f" ({cidrs})" if cidrs else ", which has no subnet"
            rule = f"must lie within its subnet of network {declared.network}{where}"
            check.refuse(declared.key, declared.text, rule)
            continue
        if declared.is_gateway and declared.text == space.model.gateway and not space.usable(declared.address):
            continue  # the check of subnets refuses the gateway_ip
        if not space.usable(declared.address):
            rule = f"is the network address or the broadcast address of {space.model.cidr}"
            check.refuse(declared.key, declared.text, rule)
        if declared.address == space.gateway and not declared.is_gateway:
            check.refuse(declared.key, declared.text, f"is the gateway of subnet {space.name}")
            continue
        place = (space.network, space.name, declared.address)
        if place in holders:
            other = holders[place]
            rule = f"is declared twice: it is also the address of {other.holder} ({other.key})"
            check.refuse(declared.key, declared.text, rule)
        holders.setdefault(place, declared)

"""Checks of every address that the inventory gives to somebody: it must lie in a subnet, be a host's, and be free."""

from __future__ import annotations

from ..allocation.ports import Declared, declared_addresses
from .context import Check


def check(it: Check) -> None:
    """All of them."""
    holders: dict[tuple[str, str, int], Declared] = {}
    for one in declared_addresses(it.inventory, it.spaces):
        space = one.space
        if space is None:
            cidrs = ", ".join(f"{there.name} {there.model.cidr}" for there in it.spaces[one.network])
            where = f" ({cidrs})" if cidrs else ", which has none"
            it.bad(one.key, one.text, f"must lie within its subnet of network {one.network}{where}")
            continue
        if one.is_gateway and one.text == space.model.gateway and not space.usable(one.address):
            continue  # said where the subnet's gateway is declared
        if not space.usable(one.address):
            it.bad(one.key, one.text, f"is the network's own or the broadcast address of {space.model.cidr}")
        if one.address == space.gateway and not one.is_gateway:
            it.bad(one.key, one.text, f"is the gateway of subnet {space.name}")
            continue
        place = (space.network, space.name, one.address)
        if place in holders:
            other = holders[place]
            it.bad(one.key, one.text, f"is taken twice: it is also that of {other.holder} ({other.key})")
        holders.setdefault(place, one)

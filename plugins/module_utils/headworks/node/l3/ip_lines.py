"""The ``ip -batch`` lines that change an L3 configuration, in an order that keeps existing connections alive.

New addresses are added before old addresses are deleted. Routes are replaced, not deleted and added. Pure. What does
not belong here: reading a namespace and running the lines (``namespaces.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...state.l3 import Device, NamespaceConfig, Route

Hops = dict[tuple[bool, str], list["Route"]]


def lines_for(desired: NamespaceConfig, actual: NamespaceConfig) -> list[str]:
    """Return the lines that change ``actual`` to ``desired``; an empty list if both are equal.

    For a device that does not exist yet, the lines configure it completely.
    """
    actual_devices = {device.name: device for device in actual.devices}
    lines = [] if actual.lo_up else ["link set dev lo up"]
    deletions = []
    for device in desired.devices:
        lines += _device_lines(device, actual_devices.get(device.name))
        deletions += _address_deletions(device, actual_devices.get(device.name))
    desired_hops, actual_hops = _by_destination(desired.routes), _by_destination(actual.routes)
    lines += [_replace(hops) for key, hops in desired_hops.items() if not _same_hops(hops, actual_hops.get(key, []))]
    lines += [f"route delete {_destination(key)}" for key in actual_hops if key not in desired_hops]
    lines += deletions
    if deletions:  # with an address the kernel also deletes the routes that depend on it
        lines += [_replace(hops) for hops in desired_hops.values()]
    return lines


def _device_lines(desired: Device, actual: Device | None) -> list[str]:
    """Return the lines that set MAC, MTU and state of a device and add its missing addresses."""
    words = []
    if desired.mac and (actual is None or desired.mac.lower() != actual.mac):
        words.append(f"address {desired.mac}")
    if desired.mtu and (actual is None or desired.mtu != actual.mtu):
        words.append(f"mtu {desired.mtu}")
    if desired.up and (actual is None or not actual.up):
        words.append("up")
    lines = [f"link set dev {desired.name} {' '.join(words)}"] if words else []
    existing = set(actual.addresses) if actual else set()
    for address in desired.addresses:
        if address not in existing:
            options = " nodad" if ":" in address else " broadcast +" if _has_broadcast(address) else ""
            lines.append(f"address add {address} dev {desired.name}{options}")
    return lines


def _has_broadcast(address: str) -> bool:
    return int(address.rpartition("/")[2]) < 31


def _address_deletions(desired: Device, actual: Device | None) -> list[str]:
    undesired = sorted(set(actual.addresses) - set(desired.addresses)) if actual else []
    return [f"address delete {address} dev {desired.name}" for address in undesired]


def _by_destination(routes: Iterable[Route]) -> Hops:
    """Return (whether IPv6, destination) → the routes to it, one for each next hop."""
    hops: Hops = {}
    for route in routes:
        is_ipv6 = ":" in route.via or ":" in route.destination
        hops.setdefault((is_ipv6, route.destination), []).append(route)
    return hops


def _same_hops(desired: list[Route], actual: list[Route]) -> bool:
    if len(desired) != len(actual):
        return False
    return all(any(_same_hop(hop, actual_hop) for actual_hop in actual) for hop in desired)


def _same_hop(desired: Route, actual: Route) -> bool:
    return desired.via == actual.via and desired.device in ("", actual.device)


def _replace(hops: list[Route]) -> str:
    start = f"route replace {hops[0].destination} proto static"
    if len(hops) == 1:
        return f"{start} {_hop(hops[0])}"
    return f"{start} " + " ".join(f"nexthop {_hop(route)}" for route in hops)


def _hop(route: Route) -> str:
    return " ".join(([f"via {route.via}"] if route.via else []) + ([f"dev {route.device}"] if route.device else []))


def _destination(key: tuple[bool, str]) -> str:
    is_ipv6, destination = key
    return "::/0" if is_ipv6 and destination == "default" else destination

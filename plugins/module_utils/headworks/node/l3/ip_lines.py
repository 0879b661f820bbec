"""From the difference between two L3 configurations to ``ip -batch`` lines, in an order that never cuts what flows.

New addresses come before old ones go; routes are replaced, not removed and added. Pure; see ``l3.py`` for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...state.l3 import Device, NamespaceConfig, Route

Hops = dict[tuple[bool, str], list["Route"]]


def commands(desired: NamespaceConfig, actual: NamespaceConfig) -> list[str]:
    """The lines that bring ``actual`` to ``desired``; none if there is nothing to do.

    Devices that do not exist yet count as a difference: their lines are there too.
    """
    now = {one.name: one for one in actual.devices}
    lines = [] if actual.lo_up else ["link set dev lo up"]
    gone = []
    for device in desired.devices:
        lines += _device(device, now.get(device.name))
        gone += _old_addresses(device, now.get(device.name))
    wanted, there = _by_destination(desired.routes), _by_destination(actual.routes)
    lines += [_replace(hops) for key, hops in wanted.items() if not _same_hops(hops, there.get(key, []))]
    lines += [f"route delete {_destination(key)}" for key in there if key not in wanted]
    lines += gone
    if gone:  # the kernel drops routes with the addresses they depend on
        lines += [_replace(hops) for hops in wanted.values()]
    return lines


def _device(desired: Device, actual: Device | None) -> list[str]:
    words = []
    if desired.mac and (actual is None or desired.mac.lower() != actual.mac):
        words.append(f"address {desired.mac}")
    if desired.mtu and (actual is None or desired.mtu != actual.mtu):
        words.append(f"mtu {desired.mtu}")
    if desired.up and (actual is None or not actual.up):
        words.append("up")
    lines = [f"link set dev {desired.name} {' '.join(words)}"] if words else []
    there = set(actual.addresses) if actual else set()
    for address in desired.addresses:
        if address not in there:
            plain = " nodad" if ":" in address else " broadcast +" if _has_broadcast(address) else ""
            lines.append(f"address add {address} dev {desired.name}{plain}")
    return lines


def _has_broadcast(address: str) -> bool:
    return int(address.rpartition("/")[2]) < 31


def _old_addresses(desired: Device, actual: Device | None) -> list[str]:
    old = sorted(set(actual.addresses) - set(desired.addresses)) if actual else []
    return [f"address delete {address} dev {desired.name}" for address in old]


def _by_destination(routes: Iterable[Route]) -> Hops:
    hops: Hops = {}
    for route in routes:
        six = ":" in route.via or ":" in route.destination
        hops.setdefault((six, route.destination), []).append(route)
    return hops


def _same_hops(desired: list[Route], actual: list[Route]) -> bool:
    if len(desired) != len(actual):
        return False
    return all(any(_same_hop(one, other) for other in actual) for one in desired)


def _same_hop(desired: Route, actual: Route) -> bool:
    return desired.via == actual.via and desired.device in ("", actual.device)


def _replace(hops: list[Route]) -> str:
    start = f"route replace {hops[0].destination} proto static"
    if len(hops) == 1:
        return f"{start} {_hop(hops[0])}"
    return f"{start} " + " ".join(f"nexthop {_hop(one)}" for one in hops)


def _hop(route: Route) -> str:
    return " ".join(([f"via {route.via}"] if route.via else []) + ([f"dev {route.device}"] if route.device else []))


def _destination(key: tuple[bool, str]) -> str:
    six, destination = key
    return "::/0" if six and destination == "default" else destination

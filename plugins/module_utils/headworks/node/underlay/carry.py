"""Carrying a device's addresses and routes to another: what there is, and the ``ip -batch`` lines that move it.

What is carried is written to /run first, so that a run killed half way, or an Open vSwitch that lost its devices in a
restart, loses nothing. After a reboot the NIC has its addresses from the system's own configuration.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...system.files import write_file
from ...system.process import run

STORE = Path("/run/headworks/underlay")
_NOT_OURS = ("local", "broadcast", "multicast", "anycast", "unreachable")  # the kernel's own kinds of route
_DROPPED_WORDS = {"linkdown", "dead", "offload", "trap"}


@dataclass(frozen=True)
class Address:
    """An address: ``text`` is ``ip/prefix``, ``extra`` further words of ``ip address add``."""

    text: str
    extra: str = ""


@dataclass(frozen=True)
class Carried:
    """What a device has that can move: addresses, and routes as ``ip route`` prints them, without the device."""

    addresses: tuple[Address, ...] = ()
    routes: tuple[str, ...] = ()


def gather(device: str) -> Carried:
    """Global addresses and configured routes of a device. IPv6 addresses that the kernel made from router
    advertisements are left out: the bridge makes its own."""
    (found,) = json.loads(run(["ip", "-json", "address", "show", "dev", device])) or [{}]
    addresses = [_address(one) for one in found.get("addr_info", ()) if _movable(one)]
    if not addresses:
        return Carried()
    routes = [
        _route(line)
        for family in ("-4", "-6")
        for line in run(["ip", family, "route", "show", "table", "all", "dev", device]).splitlines()
        if not _automatic(line)
    ]
    # On-link routes first: the others need them to reach their next hop.
    return Carried(tuple(addresses), tuple(sorted(routes, key=lambda one: " via " in one)))


def _movable(info: dict[str, Any]) -> bool:
    return info.get("scope") == "global" and not (info["family"] == "inet6" and info.get("dynamic"))


def _address(info: dict[str, Any]) -> Address:
    extra = []
    if "broadcast" in info:
        extra += ["broadcast", info["broadcast"]]
    if info["family"] == "inet6":
        extra.append("nodad")
    return Address(f"{info['local']}/{info['prefixlen']}", " ".join(extra))


def _automatic(line: str) -> bool:
    return line.split()[0] in _NOT_OURS or " proto kernel" in line or " proto ra" in line


def _route(line: str) -> str:
    return " ".join(word for word in line.split() if word not in _DROPPED_WORDS)


def to_first(carried: Carried, device: str, also_up: str = "") -> list[str]:
    """Lines before the change of hands: ``device`` gets the addresses too (the old one keeps them for now)."""
    lines = [f"link set dev {one} up" for one in (also_up, device) if one]
    return lines + [f"address replace {one.text} {one.extra} dev {device}" for one in carried.addresses]


def to_finish(carried: Carried, old: str, new: str) -> list[str]:
    """Lines after it: routes are pointed at ``new``, and ``old`` ("" = it is gone) loses the addresses."""
    lines = [f"route replace {route} dev {new}" for route in carried.routes]
    if old:
        lines += [f"address flush dev {old} to {one.text}" for one in carried.addresses]  # no error if it has gone
    return lines


def remember(nic: str, carried: Carried) -> None:
    """Keep what is about to be moved."""
    STORE.mkdir(parents=True, exist_ok=True)
    write_file(STORE / f"{nic}.json", json.dumps(asdict(carried)))


def recall(nic: str) -> Carried | None:
    """What was moved, if this system has been up since."""
    try:
        data = json.loads((STORE / f"{nic}.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return Carried(tuple(Address(**one) for one in data["addresses"]), tuple(data["routes"]))


def forget(nic: str) -> None:
    """The NIC has its addresses back."""
    (STORE / f"{nic}.json").unlink(missing_ok=True)

"""Carry the addresses and routes of a device to another device: read them, and make the ``ip -batch`` lines that move
them.

Addresses and routes are written to a file below /run before they are moved. So they are not lost if the run is killed,
or if Open vSwitch recreates its devices at a restart. After a reboot the NIC gets its addresses from the system's own
configuration. What does not belong here: the order of the steps (``mover.py``), and the settings by which the bridge
takes addresses from router advertisements as the NIC did (``advertised.py``).
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...system.files import write_file
from ...system.process import run
from .advertised import read_token

UNDERLAY_DIR = Path("/run/headworks/underlay")  # <NIC>.json and the batches of the rollback
_KERNEL_ROUTES = ("local", "broadcast", "multicast", "anycast", "unreachable")  # types of routes that the kernel adds
_STATUS_WORDS = {"linkdown", "dead", "offload", "trap"}  # "ip route show" prints them, "ip route replace" refuses them


_FOREVER = 4294967295  # the lifetime of an address that does not expire
_ADVERTISED = " proto ra"  # of a route from a router advertisement
_METRIC = re.compile(r"(?<= metric )\d+")


@dataclass(frozen=True)
class Address:
    """An address. ``text`` is ``ip/prefix``, ``extra`` has further words for ``ip address add``."""

    text: str
    extra: str = ""

    @property
    def lasting(self) -> bool:
        """Whether the address does not expire. One that does is renewed by router advertisements or replaced."""
        return "valid_lft" not in self.extra


@dataclass(frozen=True)
class Carried:
    """The addresses of a device, and its routes as ``ip route`` prints them, without the device. ``token`` is the
    interface identifier ("": the MAC's) of the addresses that the device makes for advertised prefixes."""

    addresses: tuple[Address, ...] = ()
    routes: tuple[str, ...] = ()
    token: str = ""


def read_carried(device: str) -> Carried:
    """Return the global addresses of a device, and its configured and advertised routes; nothing if it has no such
    address. IPv6 addresses and routes that expire have the lifetime that is left."""
    (shown,) = json.loads(run(["ip", "-json", "address", "show", "dev", device])) or [{}]
    addresses = [_address(info) for info in shown.get("addr_info", ()) if _is_carried(info)]
    if not addresses:
        return Carried()
    routes = [
        _route(line)
        for family in ("-4", "-6")
        for line in run(["ip", family, "route", "show", "table", "all", "dev", device]).splitlines()
        if not _is_automatic(line)
    ]
    # On-link routes first, because other routes reach their next hop by them.
    return Carried(tuple(addresses), tuple(sorted(routes, key=lambda route: " via " in route)), read_token(device))


def _is_carried(info: dict[str, Any]) -> bool:
    return info.get("scope") == "global" and not info.get("dadfailed")


def _address(info: dict[str, Any]) -> Address:
    extra = []
    if "broadcast" in info:
        extra += ["broadcast", info["broadcast"]]
    if info["family"] == "inet6":
        extra.append("nodad")
        # An IPv4 address from DHCP does not expire here: the client sets its lifetime again.
        if info.get("valid_life_time", _FOREVER) != _FOREVER:
            extra += ["valid_lft", str(info["valid_life_time"])]
            extra += ["preferred_lft", str(min(info.get("preferred_life_time", 0), info["valid_life_time"]))]
    if info.get("noprefixroute"):
        extra.append("noprefixroute")
    return Address(f"{info['local']}/{info['prefixlen']}", " ".join(extra))


def _is_automatic(line: str) -> bool:
    """Return whether the kernel added the route by itself."""
    return line.split()[0] in _KERNEL_ROUTES or " proto kernel" in line


def _route(line: str) -> str:
    words = (word for word in line.split() if word not in _STATUS_WORDS)
    return " ".join(re.sub(r"^(\d+)sec$", r"\1", word) for word in words)  # "expires 1790sec"


def lines_before_move(carried: Carried, new: str, also_up: str = "") -> list[str]:
    """Return the lines to run before the NIC enters or leaves the bridge: device ``new`` gets the addresses, too. The
    old device keeps them until ``lines_after_move``."""
    lines = [f"link set dev {device} up" for device in (also_up, new) if device]
    lines += [f"address replace {address.text} {address.extra} dev {new}" for address in carried.addresses]
    return lines + ([f"token set {carried.token} dev {new}"] if carried.token else [])


def lines_after_move(carried: Carried, old: str, new: str) -> list[str]:
    """Return the lines to run afterwards: the routes use device ``new``, and device ``old`` ("": it does not exist)
    loses the addresses."""
    # Up again: Open vSwitch may take a NIC down that it gives up, if it came up just before.
    lines = [f"link set dev {new} up"] if carried.routes else []
    lines += [f"route replace {route} dev {new}" for route in carried.routes if not _is_advertised(route)]
    for route in filter(_is_advertised, carried.routes):
        lines += _lines_of_advertised(route, old, new)
    if old:  # "flush", because it does not fail if the address is missing
        lines += [f"address flush dev {old} to {address.text}" for address in carried.addresses]
    return lines


def _is_advertised(route: str) -> bool:
    return _ADVERTISED in route and " metric " in route


def _lines_of_advertised(route: str, old: str, new: str) -> list[str]:
    """Return the lines that move a route from a router advertisement. With the next advertisement, the kernel adds its
    own route to ``new``. It would ignore the whole advertisement if an equal route were there, so the moved route has
    the next metric and expires by itself."""
    lines = [f"route replace {_METRIC.sub(lambda metric: str(int(metric[0]) + 1), route)} dev {new}"]
    if old:  # "replace" first, because "delete" fails if the route is missing
        lines += [f"route replace {route} dev {old}", f"route delete {_without_expiry(route)} dev {old}"]
    return lines


def _without_expiry(route: str) -> str:
    return re.sub(r" (expires|hoplimit|mtu|advmss|pref) \S+", "", route)


def save_carried(nic: str, carried: Carried) -> None:
    """Write the addresses and routes that are about to move from ``nic`` to a file."""
    UNDERLAY_DIR.mkdir(parents=True, exist_ok=True)
    write_file(UNDERLAY_DIR / f"{nic}.json", json.dumps(asdict(carried)))


def load_carried(nic: str) -> Carried | None:
    """Return the addresses and routes that were saved for ``nic``; None if there are none since the last boot."""
    try:
        data = json.loads((UNDERLAY_DIR / f"{nic}.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    addresses = tuple(Address(**address) for address in data["addresses"])
    return Carried(addresses, tuple(data["routes"]), data.get("token", ""))


def delete_carried(nic: str) -> None:
    """Delete the file of ``nic``, after its addresses have moved back."""
    (UNDERLAY_DIR / f"{nic}.json").unlink(missing_ok=True)

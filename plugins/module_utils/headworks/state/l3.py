"""Section ``l3``: addresses, routes and sysctls inside a namespace."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

_IPV4 = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?")


def canonical(address: str) -> str:
    """Return an address, an interface address or a CIDR as the kernel prints it; "" and "default" are returned as they
    are.

    :raises ValueError: ``address`` is none of these.
    """
    if address in ("", "default") or _IPV4.fullmatch(address):
        return address
    return str(ipaddress.ip_interface(address)) if "/" in address else str(ipaddress.ip_address(address))


@dataclass(frozen=True)
class Device:
    """A device inside the namespace. ``addresses`` are ``ip/prefix``, sorted. ``announce`` True: new addresses are
    announced with gratuitous ARP. ``tx_checksum`` False switches transmit checksum offload off. ``mtu`` 0 and ``mac``
    "": the device keeps its value. A desired device is always ``up``."""

    name: str
    mac: str = ""
    mtu: int = 1500
    addresses: tuple[str, ...] = ()
    tx_checksum: bool = True
    announce: bool = False
    up: bool = True

    def __post_init__(self) -> None:
        """Sort the addresses and write them as the kernel does."""
        object.__setattr__(self, "addresses", tuple(sorted(canonical(address) for address in self.addresses)))


@dataclass(frozen=True)
class Route:
    """A route. ``destination`` is a CIDR or ``default``. ``via`` is the next hop, or "" for an on-link route over
    ``device``. Several records with the same destination describe one route with several next hops."""

    destination: str
    via: str = ""
    device: str = ""

    def __post_init__(self) -> None:
        """Write addresses as the kernel does. ``0.0.0.0/0`` becomes ``default``, and so does ``::/0`` if ``via`` is
        set (without it, "default" would not tell the address family)."""
        is_default = self.destination == "0.0.0.0/0" or (self.destination == "::/0" and self.via)
        object.__setattr__(self, "destination", "default" if is_default else canonical(self.destination))
        object.__setattr__(self, "via", canonical(self.via))


@dataclass(frozen=True)
class NamespaceConfig:
    """The L3 configuration of namespace ``name``. A desired ``lo`` is always up. ``sysctls`` maps a key below
    /proc/sys/net, with dots or slashes (``ipv4.ip_forward``), to its value."""

    name: str
    devices: tuple[Device, ...] = ()
    routes: tuple[Route, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    lo_up: bool = True
    nested: ClassVar[Mapping[str, type]] = {"devices": Device, "routes": Route}

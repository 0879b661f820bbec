"""Section ``l3``: addresses, routes and sysctls inside a namespace."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

_IPV4 = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?")


def canonical(address: str) -> str:
    """An address, interface address or CIDR as the kernel would print it ("" and "default" stay).

    :raises ValueError: it is none.
    """
    if address in ("", "default") or _IPV4.fullmatch(address):
        return address
    return str(ipaddress.ip_interface(address)) if "/" in address else str(ipaddress.ip_address(address))


@dataclass(frozen=True)
class Device:
    """A device inside the namespace. ``addresses`` are ``ip/prefix``, sorted. ``announce``: send gratuitous ARP for
    addresses that are new. ``tx_checksum`` False switches transmit checksum offload off. ``mtu`` 0 and ``mac`` "":
    leave as it is. Every device is kept ``up``."""

    name: str
    mac: str = ""
    mtu: int = 1500
    addresses: tuple[str, ...] = ()
    tx_checksum: bool = True
    announce: bool = False
    up: bool = True

    def __post_init__(self) -> None:
        """Addresses sorted, and written as the kernel writes them."""
        object.__setattr__(self, "addresses", tuple(sorted(canonical(one) for one in self.addresses)))


@dataclass(frozen=True)
class Route:
    """``destination`` is a CIDR or ``default``; ``via`` a next hop or "" for an on-link route over ``device``. Routes
    with the same destination are one route with several next hops."""

    destination: str
    via: str = ""
    device: str = ""

    def __post_init__(self) -> None:
        """Addresses as the kernel writes them; ``0.0.0.0/0`` is ``default``, and so is ``::/0`` if ``via`` tells."""
        whole = self.destination == "0.0.0.0/0" or (self.destination == "::/0" and self.via)
        object.__setattr__(self, "destination", "default" if whole else canonical(self.destination))
        object.__setattr__(self, "via", canonical(self.via))


@dataclass(frozen=True)
class NamespaceConfig:
    """The L3 configuration of namespace ``name``. ``lo`` is always up; ``sysctls`` are keys below /proc/sys/net, with
    dots or slashes (``ipv4.ip_forward``)."""

    name: str
    devices: tuple[Device, ...] = ()
    routes: tuple[Route, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    lo_up: bool = True
    nested: ClassVar[Mapping[str, type]] = {"devices": Device, "routes": Route}

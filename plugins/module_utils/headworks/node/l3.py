"""What is inside a namespace besides the firewall: devices' addresses and MTU, routes, sysctls, gratuitous ARP.

The namespace itself is made by ``netns.py``, the devices by ``links.py``, NAT and filters by ``nft.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Device:
    """A device inside the namespace. ``addresses`` are ``ip/prefix``, sorted. ``announce``: send gratuitous ARP for
    addresses that are new. ``tx_checksum`` False switches transmit checksum offload off."""

    name: str
    mac: str = ""
    mtu: int = 1500
    addresses: tuple[str, ...] = ()
    tx_checksum: bool = True
    announce: bool = False


@dataclass(frozen=True)
class Route:
    """``destination`` is a CIDR or ``default``; ``via`` a next hop or "" for an on-link route over ``device``."""

    destination: str
    via: str = ""
    device: str = ""


@dataclass(frozen=True)
class NamespaceConfig:
    """The L3 configuration of namespace ``name``. ``lo`` is always up; ``sysctls`` are keys below /proc/sys/net, with
    dots or slashes (``ipv4.ip_forward``)."""

    name: str
    devices: tuple[Device, ...] = ()
    routes: tuple[Route, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    nested: ClassVar[Mapping[str, type]] = {"devices": Device, "routes": Route}

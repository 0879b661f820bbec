"""Section ``dhcp``: the DHCP service of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class DhcpHost:
    """A static lease of ``address`` for ``mac``, in the subnet that contains the address.

    ``hostname`` may have dots: DHCP gives the guest its first label, and DNS knows the whole name. "": the name is made
    from the address."""

    mac: str
    address: str
    hostname: str


@dataclass(frozen=True)
class HostRoute:
    """A classless static route (options 121 and 249)."""

    destination: str
    nexthop: str


@dataclass(frozen=True)
class DhcpSubnet:
    """A subnet that dnsmasq serves. ``tag`` is unique within the network. ``server`` is dnsmasq's own address in the
    subnet. ``gateway`` "" means no default route. ``dns`` are the DNS servers that guests get; if it is empty, they get
    ``server``. ``routes`` contains neither the default route nor the network's other subnets: the renderer adds both
    to option 121 (RFC 3442)."""

    tag: str
    cidr: str
    server: str
    gateway: str = ""
    dns: tuple[str, ...] = ()
    routes: tuple[HostRoute, ...] = ()
    nested: ClassVar[Mapping[str, type]] = {"routes": HostRoute}


@dataclass(frozen=True)
class DhcpNetwork:
    """The DHCP service of one network. ``name`` is the network's id. The service runs in namespace ``netns`` ("" = the
    root namespace) on ``interface``.

    ``lease_seconds`` is the lease time (negative: leases do not expire), ``mtu`` is sent as option 26, ``domain`` is
    the DNS domain. ``problems`` is set only when a node is read: it lists where the service differs from its record.
    """

    name: str
    netns: str = ""
    interface: str = ""
    mtu: int = 1500
    domain: str = "novalocal"
    lease_seconds: int = 86400
    subnets: tuple[DhcpSubnet, ...] = ()
    hosts: tuple[DhcpHost, ...] = ()
    problems: tuple[str, ...] = ()
    nested: ClassVar[Mapping[str, type]] = {"subnets": DhcpSubnet, "hosts": DhcpHost}

"""Section ``dhcp``: the DHCP service of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class DhcpHost:
    """A static lease: ``address`` for ``mac``, in whichever subnet has it. ``hostname`` "" = called by its address."""

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
    """A subnet that dnsmasq serves. ``tag`` is unique within the network; ``gateway`` "" = no default route;
    ``dns`` are the servers handed out (empty: dnsmasq's own address ``server``). ``routes`` excludes the default
    (the renderer adds it to option 121, as RFC 3442 wants) and the network's other subnets (added too)."""

    tag: str
    cidr: str
    server: str
    gateway: str = ""
    dns: tuple[str, ...] = ()
    routes: tuple[HostRoute, ...] = ()
    nested: ClassVar[Mapping[str, type]] = {"routes": HostRoute}


@dataclass(frozen=True)
class DhcpNetwork:
    """The DHCP service of one network. ``name`` is the network's id; it runs in ``netns`` ("" = the root namespace) on
    ``interface``.

    ``lease_seconds`` is the lease time (negative: for ever), ``mtu`` goes out as option 26, ``domain`` is the DNS
    domain.
    ``problems`` is set only by reading: why what is on the node is not what its own record says.
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

"""DHCP and DNS of a network: one dnsmasq per network in its ``qdhcp-`` namespace, as a systemd template instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class DhcpHost:
    """A static lease. ``tag`` names the subnet's tag. ``address`` is the fixed address."""

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
    (the renderer adds it to option 121, as RFC 3442 wants)."""

    tag: str
    cidr: str
    server: str
    gateway: str = ""
    dns: tuple[str, ...] = ()
    routes: tuple[HostRoute, ...] = ()
    nested: ClassVar = {"routes": HostRoute}


@dataclass(frozen=True)
class DhcpNetwork:
    """The DHCP service of one network. ``name`` is the network's id; it runs in ``netns`` on ``interface``.

    ``lease_seconds`` is the lease time, ``mtu`` goes out as option 26, ``domain`` is the DNS domain.
    """

    name: str
    netns: str
    interface: str
    mtu: int = 1500
    domain: str = "novalocal"
    lease_seconds: int = 86400
    subnets: tuple[DhcpSubnet, ...] = ()
    hosts: tuple[DhcpHost, ...] = ()
    nested: ClassVar = {"subnets": DhcpSubnet, "hosts": DhcpHost}

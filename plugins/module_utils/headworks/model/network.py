"""Networks, subnets, routers and floating IPs, in OpenStack's words and with its defaults."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from .addresses import Address, Cidr, SubnetCidr
from .base import Listed, Model, Named, Whole
from .names import Domain, Line, Name

Ipv6Mode = Literal["slaac", "dhcpv6-stateful", "dhcpv6-stateless"]
NetworkType = Literal["vxlan", "gre", "geneve", "vlan", "flat", "local"]


class Pool(Model):
    """An allocation pool, both ends included."""

    start: Address
    end: Address


class HostRoute(Model):
    """A route: ``destination`` (CIDR) by way of ``nexthop``."""

    destination: Cidr
    nexthop: Address


class SubnetModel(Model):
    """A subnet. ``gateway_ip`` not given = the first address; null = none."""

    cidr: SubnetCidr
    gateway_ip: Address | None = None
    enable_dhcp: bool = True
    ip_version: Literal[4, 6] | None = None
    ipv6_mode: Ipv6Mode | None = None
    dns_nameservers: Listed[Address]
    host_routes: Listed[HostRoute]
    allocation_pools: Listed[Pool]

    @field_validator("gateway_ip", mode="before")
    @classmethod
    def _no_gateway(cls, value: Any) -> Any:
        return None if value == "" else value

    @property
    def version(self) -> int:
        """4 or 6, as the CIDR has it."""
        return ip_network(self.cidr).version

    @property
    def gateway(self) -> str:
        """The gateway's address; "" = none."""
        if "gateway_ip" in self.model_fields_set:
            return self.gateway_ip or ""
        net = ip_network(self.cidr)
        return "" if net.num_addresses < 4 else str(net.network_address + 1)


class NetworkModel(Model):
    """A network. ``segmentation_id`` and ``mtu`` are decided by the plan when not given."""

    type: NetworkType = "vxlan"
    physical_network: Name | None = None
    segmentation_id: Whole | None = None
    external: bool = False
    mtu: Annotated[int, Field(ge=68, le=65535)] | None = None
    shared: bool = False
    project: Name | None = None
    port_security: bool = True
    dns_domain: Domain | None = None
    qos_policy: Name | None = None
    host_gateway: bool = False
    description: Line = ""
    subnets: Named[SubnetModel]


def _named_interface(value: Any) -> Any:
    return {"network": value} if isinstance(value, str) else value


class InterfaceModel(Model):
    """A router's port on a network: on all its subnets that have a gateway, or on ``subnet`` alone, where ``address``
    may stand in for the subnet's gateway address."""

    network: Name
    subnet: Name | None = None
    address: Address | None = None

    @model_validator(mode="after")
    def _address_needs_subnet(self) -> InterfaceModel:
        if self.address and not self.subnet:
            raise ValueError("an interface with an address must also name its subnet")
        return self


Interface = Annotated[InterfaceModel, BeforeValidator(_named_interface)]


class RouterModel(Model):
    """A router. ``external_ip`` is its own address on ``external_network``; null = from the pool."""

    external_network: Name | None = None
    external_ip: Address | None = None
    enable_snat: bool = True
    interfaces: Listed[Interface]
    routes: Listed[HostRoute]
    ha: bool = False
    project: Name | None = None
    description: Line = ""

    @model_validator(mode="after")
    def _address_needs_network(self) -> RouterModel:
        if self.external_ip and not self.external_network:
            raise ValueError("a router with an external_ip must also have an external_network")
        return self


class FloatingIpModel(Model):
    """A floating address. Without ``instance`` it is only kept. ``fixed_network`` and ``fixed_address`` say which
    address of the instance is meant; needed when it has several."""

    network: Name
    instance: str | None = None
    fixed_network: Name | None = None
    fixed_address: Address | None = None
    project: Name | None = None
    qos_policy: Name | None = None
    description: Line = ""

    @model_validator(mode="after")
    def _fixed_needs_instance(self) -> FloatingIpModel:
        if self.instance is None and (self.fixed_network or self.fixed_address):
            raise ValueError("a floating IP with fixed_network or fixed_address must also name its instance")
        if self.fixed_address and ip_address(self.fixed_address).version != 4:
            raise ValueError("fixed_address must be an IPv4 address")
        return self

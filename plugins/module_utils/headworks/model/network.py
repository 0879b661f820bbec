"""Networks, subnets, routers and floating IPs, in OpenStack's words and with its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from .addresses import Address, Cidr, SubnetCidr
from .base import Listed, Model, Named, Whole, also
from .names import HOST_NAME, NAME, Domain, Line, Name
from .written import EMPTY_TEXT, ShortForm, Unset

Ipv6Mode = Literal["slaac", "dhcpv6-stateful", "dhcpv6-stateless"]
NetworkType = Literal["vxlan", "gre", "geneve", "vlan", "flat", "local"]


class Pool(Model):
    """An allocation pool, both ends included."""

    start: Address = Field(description="First address of the pool.", examples=["192.0.2.100"])
    end: Address = Field(description="Last address of the pool.", examples=["192.0.2.199"])


class HostRoute(Model):
    """A route: ``destination`` (CIDR) by way of ``nexthop``."""

    destination: Cidr = Field(description="Network that the route leads to.", examples=["198.51.100.0/24"])
    nexthop: Address = Field(
        description="Address of the next hop, of the same IP version as the destination.", examples=["192.0.2.9"]
    )


class SubnetModel(Model):
    """A subnet. ``gateway_ip`` not given = the first address; null = none."""

    cidr: SubnetCidr = Field(
        description="Addresses of the subnet, as a network address with its prefix length. The subnets of a network "
        "do not overlap.",
        examples=["192.0.2.0/24"],
    )
    gateway_ip: Annotated[Address | None, EMPTY_TEXT, Unset("the first address")] = Field(
        default=None,
        description="Gateway of the guests, and the address of a router that has an interface here; null for no "
        "gateway.",
        examples=["192.0.2.1"],
    )
    enable_dhcp: bool = Field(default=True, description="Whether the network nodes run DHCP for the subnet.")
    ip_version: Literal[4, 6] | None = Field(
        default=None,
        description="IP version of the subnet, which must be that of cidr. With null, it is taken from cidr.",
    )
    ipv6_mode: Ipv6Mode | None = Field(
        default=None,
        description="How guests get their IPv6 address. Addresses are allocated, but nothing gives them to the guests "
        "yet.",
    )
    dns_nameservers: Listed[Address] = Field(
        description="Name servers that DHCP gives to the guests. With an empty list, guests use the DHCP servers, "
        "which resolve only the names of guests on the network.",
    )
    host_routes: Listed[HostRoute] = Field(description="Routes that DHCP gives to the guests.")
    allocation_pools: Listed[Pool] = Field(
        description="Ranges that addresses are allocated from; an address that you set yourself may be outside. With "
        "an empty list, the pool is the whole subnet without the gateway.",
    )

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

    type: NetworkType = Field(
        default="vxlan",
        validation_alias=also("type", "provider:network_type"),
        description="How nodes carry the network: in tunnels (vxlan, gre, geneve), on a physical network (vlan with a "
        "tag, flat without), or on one node only (local). OpenStack's name provider:network_type is accepted too.",
    )
    physical_network: Name | None = Field(
        default=None,
        validation_alias=also("physical_network", "provider:physical_network"),
        description="Physical network of a flat or vlan network, which require it; others have none. A physical "
        "network carries one flat network. OpenStack's name provider:physical_network is accepted too.",
        examples=["physnet1"],
    )
    segmentation_id: Whole | None = Field(
        default=None,
        validation_alias=also("segmentation_id", "provider:segmentation_id"),
        description="VLAN or tunnel id. With null, the plan takes the lowest free one of cloud_vlan_ranges or "
        "cloud_tunnel_id_range. OpenStack's name provider:segmentation_id is accepted too.",
    )
    external: bool = Field(
        default=False,
        validation_alias=also("external", "router:external"),
        description="Whether routers may have their gateway on the network and floating IPs may be taken from it. "
        "OpenStack's name router:external is accepted too.",
    )
    mtu: Annotated[int, Field(ge=68, le=65535)] | None = Field(
        default=None,
        description="Largest packet in bytes. With null, it is the MTU of the NICs below, less the encapsulation "
        "(vxlan and geneve 50, gre 42); a larger value is refused.",
    )
    shared: bool = Field(default=False, description="Whether other projects may use the network. It has no effect yet.")
    project: Name | None = Field(
        default=None,
        description="Name of the project that the network belongs to; null for none. It has no effect yet.",
    )
    port_security: bool = Field(
        default=True,
        validation_alias=also("port_security", "port_security_enabled"),
        description="Whether guests may only send from their own MAC and IP addresses. A NIC may override it. "
        "OpenStack's name port_security_enabled is accepted too.",
    )
    dns_domain: Domain | None = Field(
        default=None, description="Domain of the guests' names. With null, it is novalocal.", examples=["example.org"]
    )
    qos_policy: Name | None = Field(
        default=None, description="Name of the QoS policy of all ports; null for none. It has no effect yet."
    )
    host_gateway: bool = Field(
        default=False,
        description="Whether the network node itself, without a router, is the gateway of the network. It is checked, "
        "but not acted on yet.",
    )
    description: Line = Field(default="", description="A remark for people; it has no effect.")
    subnets: Named[SubnetModel] = Field(description="Subnets of the network, keyed by name.")
    cidr: SubnetCidr | None = Field(
        default=None,
        exclude=True,
        description="Short for subnets with one subnet, which has the name of the network and only a cidr; not "
        "together with subnets.",
        examples=["192.0.2.0/24"],
    )

    @model_validator(mode="after")
    def _one_notation(self) -> NetworkModel:
        if self.cidr and self.subnets:
            raise ValueError("a network has cidr or subnets, not both")
        return self


def with_subnets(networks: Any) -> Any:
    """Networks with ``subnets`` in place of the short form ``cidr``."""
    if not isinstance(networks, Mapping):
        return networks
    return {name: _with_subnet(name, network) for name, network in networks.items()}


def _with_subnet(name: Any, network: Any) -> Any:
    if not isinstance(network, Mapping) or network.get("cidr") is None or network.get("subnets"):
        return network
    return {**network, "cidr": None, "subnets": {name: {"cidr": network["cidr"]}}}


def _named_interface(value: Any) -> Any:
    return {"network": value} if isinstance(value, str) else value


class InterfaceModel(Model):
    """A router's port on a network: on all its subnets that have a gateway, or on ``subnet`` alone, where ``address``
    may stand in for the subnet's gateway address."""

    network: Name = Field(description="Name of the network.", examples=["web"])
    subnet: Name | None = Field(
        default=None,
        description="Name of the one subnet that the router is attached to. With null, the router is attached to all "
        "subnets of the network that have a gateway.",
    )
    address: Address | None = Field(
        default=None,
        description="Address of the router in the subnet; it requires subnet. With null, it is the subnet's gateway "
        "address.",
    )

    @model_validator(mode="after")
    def _address_needs_subnet(self) -> InterfaceModel:
        if self.address and not self.subnet:
            raise ValueError("an interface with an address must also name its subnet")
        return self


Interface = Annotated[InterfaceModel, ShortForm((NAME,)), BeforeValidator(_named_interface)]


class RouterModel(Model):
    """A router. ``external_ip`` is its own address on ``external_network``; null = from the pool."""

    external_network: Name | None = Field(
        default=None,
        description="Name of the external network that the router has its gateway on; it must have a subnet. With "
        "null, the router has no gateway.",
        examples=["ext"],
    )
    external_ip: Address | None = Field(
        default=None,
        description="Address of the router on the external network. With null, it is taken from the allocation pools.",
    )
    enable_snat: bool = Field(
        default=True,
        description="Whether guests without a floating IP go out with the router's address. With false, they go out "
        "with their own address and are reachable from outside.",
    )
    interfaces: Listed[Interface] = Field(
        description="Networks that the router connects. The subnets of a router do not overlap."
    )
    routes: Listed[HostRoute] = Field(
        description="Further routes. The next hop must be in a subnet that the router is attached to."
    )
    ha: bool = Field(
        default=False,
        description="Whether the router runs on several network nodes. It is checked, but not acted on yet: the "
        "router is on one node.",
    )
    project: Name | None = Field(
        default=None, description="Name of the project that the router belongs to; null for none. It has no effect yet."
    )
    description: Line = Field(default="", description="A remark for people; it has no effect.")

    @model_validator(mode="after")
    def _address_needs_network(self) -> RouterModel:
        if self.external_ip and not self.external_network:
            raise ValueError("a router with an external_ip must also have an external_network")
        return self


class FloatingIpModel(Model):
    """A floating address. Without ``instance`` it is only kept. ``fixed_network`` and ``fixed_address`` say which
    address of the instance is meant; needed when it has several."""

    network: Name = Field(description="Name of the external network that the address is from.", examples=["ext"])
    instance: Annotated[str, HOST_NAME] | None = Field(
        default=None,
        description="Name of the instance that gets the address; a router must connect its network with the external "
        "one. With null, the address is only reserved.",
        examples=["vm1"],
    )
    fixed_network: Name | None = Field(
        default=None, description="Name of the instance's network that is meant, if the instance has several addresses."
    )
    fixed_address: Address | None = Field(
        default=None, description="IPv4 address of the instance that is meant, if the instance has several addresses."
    )
    project: Name | None = Field(
        default=None,
        description="Name of the project that the floating IP belongs to; null for none. It has no effect yet.",
    )
    qos_policy: Name | None = Field(
        default=None, description="Name of the QoS policy of the floating IP; null for none. It has no effect yet."
    )
    description: Line = Field(default="", description="A remark for people; it has no effect.")

    @model_validator(mode="after")
    def _fixed_needs_instance(self) -> FloatingIpModel:
        if self.instance is None and (self.fixed_network or self.fixed_address):
            raise ValueError("a floating IP with fixed_network or fixed_address must also name its instance")
        if self.fixed_address and ip_address(self.fixed_address).version != 4:
            raise ValueError("fixed_address must be an IPv4 address")
        return self

"""The resolved cloud: every name looked up, every id, address, MAC, tunnel id and VLAN decided, every port on a node.

``resolve`` (validate → allocate → schedule) makes it from the inventory; ``wire`` makes node states from it. What does
not belong here: what an operator may write (``model/``), or what a node is told (the records in ``state/``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Port.owner, in Neutron's words.
OWNER_INSTANCE = "compute:nova"
OWNER_DHCP = "network:dhcp"
OWNER_ROUTER_INTERFACE = "network:router_interface"
OWNER_ROUTER_GATEWAY = "network:router_gateway"

TUNNEL_TYPES = ("vxlan", "gre", "geneve")


@dataclass(frozen=True)
class BridgeMapping:
    """A provider bridge of a node: ``physical_network`` is reached by ``bridge``, whose NIC is ``interface`` ("" = the
    operator plugs it)."""

    physical_network: str
    bridge: str
    interface: str = ""


@dataclass(frozen=True)
class Node:
    """A machine. ``roles`` are of controller, network, compute. ``tunnel_interface`` is the NIC that has ``tunnel_ip``
    (known from facts, "" = unknown); ``virt_type`` is resolved to kvm or qemu."""

    name: str
    roles: frozenset[str]
    management_ip: str
    tunnel_ip: str
    tunnel_interface: str = ""
    datapath_type: str = "system"
    virt_type: str = "qemu"
    mappings: tuple[BridgeMapping, ...] = ()
    local_vlans: Mapping[str, int] = field(default_factory=dict)  # network name → br-int VLAN, for its networks


@dataclass(frozen=True)
class Subnet:
    """A subnet. ``gateway_ip`` "" = none. ``host_routes`` are (destination, nexthop)."""

    name: str
    id: str
    cidr: str
    gateway_ip: str = ""
    enable_dhcp: bool = True
    dns_nameservers: tuple[str, ...] = ()
    host_routes: tuple[tuple[str, str], ...] = ()
    ip_version: int = 4


@dataclass(frozen=True)
class Network:
    """A network. ``segmentation_id``: tunnel id, VLAN, or None (flat, local). ``mtu`` is computed. ``isolated``: no
    router serves it, so its DHCP namespace serves metadata."""

    name: str
    id: str
    type: str
    subnets: tuple[Subnet, ...]
    physical_network: str = ""
    segmentation_id: int | None = None
    external: bool = False
    mtu: int = 1500
    dns_domain: str = "novalocal"
    isolated: bool = True


@dataclass(frozen=True)
class SecurityRule:
    """What a rule of a security group lets through. ``direction`` is the guest's: ingress is what it receives.

    ``protocol`` is the IP protocol's number (None: any), ``ports`` the first and the last destination port (None: any).
    ``remote_cidr`` and ``remote_group`` say who is at the other end ("" = not restricted by it); a rule has at most one
    of the two, and a group stands for the addresses of all ports in it.
    """

    direction: str
    ip_version: int
    protocol: int | None = None
    ports: tuple[int, int] | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    remote_cidr: str = ""
    remote_group: str = ""


@dataclass(frozen=True)
class SecurityGroup:
    """A security group: what none of its rules lets through is dropped. ``stateful``: answers are let through too."""

    name: str
    id: str
    rules: tuple[SecurityRule, ...] = ()
    stateful: bool = True


@dataclass(frozen=True)
class FixedIp:
    """An address of a port, in a subnet (name)."""

    subnet: str
    address: str


@dataclass(frozen=True)
class Port:
    """A port of a network. ``device`` is the instance's, router's or network's name, by ``owner``.

    ``nodes`` are the nodes that have the port, at least one. Several nodes have it when its owner may be on any of them
    at a given moment: a router with standbys, an instance that migrates. It is the same port on each: same MAC, same
    addresses.
    ``allowed_pairs`` are (mac or "", cidr). ``port_security`` False: no spoof guard and no security group.
    ``security_groups`` are names, and only a guest's port has any."""

    id: str
    mac: str
    network: str
    nodes: tuple[str, ...]
    owner: str
    device: str
    fixed_ips: tuple[FixedIp, ...]
    port_security: bool = True
    allowed_pairs: tuple[tuple[str, str], ...] = ()
    security_groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class FloatingIp:
    """A floating address of a router: DNAT to, and SNAT from, ``fixed``."""

    address: str
    network: str
    fixed: str
    instance: str
    id: str


@dataclass(frozen=True)
class Router:
    """A router. The network nodes ``nodes`` have it and its ports. ``gateway`` is its port on the external network
    (None: no gateway); ``interfaces`` its ports on networks; ``routes`` are (destination, nexthop). ``floating_ips``
    sorted by address."""

    name: str
    id: str
    nodes: tuple[str, ...]
    gateway: Port | None = None
    enable_snat: bool = True
    interfaces: tuple[Port, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    floating_ips: tuple[FloatingIp, ...] = ()


@dataclass(frozen=True)
class Image:
    """An image of the store. ``digest`` is the hex part of ``checksum``; ``url`` is the store's."""

    name: str
    checksum: str
    digest: str
    url: str
    format: str = "qcow2"
    ca: str = ""


@dataclass(frozen=True)
class Instance:
    """A guest on a node. ``number`` gives the libvirt name ``instance-%08x``. ``ports`` in the order of its NICs.
    ``keys`` are (name, public key); ``state`` running, stopped, paused or suspended."""

    name: str
    id: str
    number: int
    node: str
    vcpus: int
    ram_mb: int
    disk_gb: int
    flavor: str
    image: Image
    ports: tuple[Port, ...]
    state: str = "running"
    keys: tuple[tuple[str, str], ...] = ()
    user_data: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    availability_zone: str = "nova"
    project: str = ""
    security_groups: tuple[str, ...] = ("default",)


@dataclass(frozen=True)
class Cloud:
    """Everything that wiring needs. Mappings are keyed by name; ``dhcp_ports`` maps a network's name to its DHCP ports
    (one per node that serves it). ``l2_mechanism`` and ``firewall_driver`` are the names by which ``wiring/mechanism/``
    and ``wiring/firewall/`` register them."""

    name: str
    nodes: Mapping[str, Node]
    networks: Mapping[str, Network]
    routers: Mapping[str, Router]
    instances: Mapping[str, Instance]
    dhcp_ports: Mapping[str, tuple[Port, ...]]
    l2_mechanism: str = "openvswitch"
    firewall_driver: str = "openvswitch"
    security_groups: Mapping[str, SecurityGroup] = field(default_factory=dict)

"""The records of the resolved cloud: names are looked up, and ids, addresses, MACs, VLANs and nodes are decided.

``resolve.py`` makes the resolved cloud from the inventory; ``wiring/`` makes node states from it. What does not belong
here: what an operator may declare (``model/``), and the node state (``state/``).
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
    """A provider bridge of a node: ``bridge`` leads to ``physical_network`` through the NIC ``interface``.

    ``interface`` is "" if the operator adds the NIC to the bridge. ``addressed``: the node has addresses on this NIC,
    or had them before they moved to the bridge.
    """

    physical_network: str
    bridge: str
    interface: str = ""
    addressed: bool = False


@dataclass(frozen=True)
class Node:
    """A node. ``roles`` is a subset of controller, network and compute; ``virt_type`` is kvm or qemu, never auto.

    ``tunnel_interface`` is the NIC that has ``tunnel_ip``, according to the node's facts ("" = unknown).
    ``rollback_seconds`` is the time after which the move of a NIC is undone, if it is not confirmed.
    """

    name: str
    roles: frozenset[str]
    management_ip: str
    tunnel_ip: str
    tunnel_interface: str = ""
    datapath_type: str = "system"
    virt_type: str = "qemu"
    mappings: tuple[BridgeMapping, ...] = ()
    local_vlans: Mapping[str, int] = field(default_factory=dict)  # network with a port on the node → VLAN on br-int
    rollback_seconds: int = 60


@dataclass(frozen=True)
class Subnet:
    """A subnet. ``gateway_ip`` is "" without a gateway. ``host_routes`` are (destination, nexthop)."""

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
    """A network. ``segmentation_id`` is its tunnel id or VLAN, or None (flat, local).

    ``isolated`` says that no router has an interface on the network, so its DHCP namespace serves metadata.
    """

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
    """A rule of a security group: the traffic that it allows. ``direction`` ingress means packets to the guest.

    ``protocol`` is the IP protocol's number (None: any). ``ports`` are the first and the last destination port (None:
    any). ``remote_cidr`` and ``remote_group`` restrict the other end of the traffic ("": no restriction). A rule has at
    most one of the two. A group stands for the addresses of all ports in it.
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
    """A security group: traffic that none of its rules allows is dropped. ``stateful`` also allows the answers."""

    name: str
    id: str
    rules: tuple[SecurityRule, ...] = ()
    stateful: bool = True


@dataclass(frozen=True)
class FixedIp:
    """An address of a port, and the name of its subnet."""

    subnet: str
    address: str


@dataclass(frozen=True)
class Port:
    """A port of a network. ``device`` is the name of its instance, router or network, according to ``owner``.

    ``nodes`` are the nodes that have the port, at least one. Several nodes have a port if its owner can be on any of
    them: a router with standbys, or an instance that migrates. The port has the same MAC and addresses on each node.
    ``allowed_pairs`` are (MAC or "", CIDR). Without ``port_security``, the port has no spoof guard and no security
    group. ``security_groups`` are names; only ports of guests have security groups.
    """

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
    """A floating IP of a router, which translates it to and from the address ``fixed`` of an instance."""

    address: str
    network: str
    fixed: str
    instance: str
    id: str


@dataclass(frozen=True)
class Router:
    """A router on the network nodes ``nodes``.

    ``gateway`` is its port on the external network (None without an external network), and ``interfaces`` are its
    other ports. ``routes`` are (destination, nexthop). ``floating_ips`` are sorted by address.
    """

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
    """An image in the image store. ``digest`` is the hex part of ``checksum``; ``url`` is its URL in the store."""

    name: str
    checksum: str
    digest: str
    url: str
    format: str = "qcow2"
    ca: str = ""


@dataclass(frozen=True)
class Instance:
    """A guest on a node. Its libvirt name is ``instance-%08x`` of ``number``; ``ports`` are in the order of its NICs.

    ``keys`` are (name, public key). ``state`` is running, stopped, paused or suspended. The node refuses to remove a
    guest that is ``protected``.
    """

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
    protected: bool = False


@dataclass(frozen=True)
class Cloud:
    """Everything that ``wiring/`` needs. Mappings are keyed by name.

    ``dhcp_ports`` is network → its DHCP ports, a port for each node that runs its DHCP. ``l2_mechanism`` and
    ``firewall_driver`` are the names under which ``wiring/mechanism/`` and ``wiring/firewall/`` register them. Nodes
    keep the disks of removed guests for ``reclaim_after_days``.
    """

    name: str
    nodes: Mapping[str, Node]
    networks: Mapping[str, Network]
    routers: Mapping[str, Router]
    instances: Mapping[str, Instance]
    dhcp_ports: Mapping[str, tuple[Port, ...]]
    l2_mechanism: str = "openvswitch"
    firewall_driver: str = "openvswitch"
    security_groups: Mapping[str, SecurityGroup] = field(default_factory=dict)
    reclaim_after_days: int = 7

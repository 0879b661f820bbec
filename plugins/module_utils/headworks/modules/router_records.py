"""The records of one router, computed from the options of module router.

The options become a cloud with one node and one router, which ``wiring/`` turns into records. So a router that the
module makes is the same as one that ``site.yml`` makes. What does not belong here: Ansible, and reading the node
(``routers.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from itertools import combinations
from typing import Any

from ..plan.cloud import (
    OWNER_ROUTER_GATEWAY,
    OWNER_ROUTER_INTERFACE,
    Cloud,
    FixedIp,
    FloatingIp,
    Network,
    Node,
    Port,
    Router,
    Subnet,
)
from ..plan.identity import derived_mac, object_id
from ..state.l3 import NamespaceConfig
from ..state.links import Link
from ..state.namespaces import Namespace
from ..state.nft import NftTable
from ..state.ovs import OvsPort
from ..wiring.node_view import Index, NodeView, contains
from ..wiring.owners import owner_device
from ..wiring.router import router_l3
from ..wiring.router_nft import router_tables
from ..wiring.veth import switch_end, veth_pair

NODE = "here"
EXTERNAL = "external"


@dataclass(frozen=True)
class Plug:
    """The bridge to which a router's port is added. ``kind`` is ``ovs`` or ``linux``. ``userspace`` tells whether the
    bridge has Open vSwitch's userspace datapath. ``vlan`` is the access VLAN on an OVS bridge."""

    bridge: str
    kind: str
    userspace: bool = False
    vlan: int | None = None


@dataclass(frozen=True)
class RouterRecords:
    """All records of a router. ``ports`` is what module router returns about each port: name, devices, MAC and
    addresses."""

    namespace: Namespace
    links: tuple[Link, ...]
    ovs_ports: tuple[OvsPort, ...]
    config: NamespaceConfig
    table: NftTable
    ports: tuple[Mapping[str, Any], ...]


def namespace_name(router: str) -> str:
    """The name of the namespace of the router called ``router``."""
    return f"qrouter-{router}"


def root_side(device: str) -> str:
    """The other end of a router's device, in the root namespace: ``tap…`` for ``qr-…`` and ``qg-…``."""
    return f"tap{device[3:]}"


def compile_router(options: Mapping[str, Any], plugs: Mapping[str, Plug]) -> RouterRecords:
    """The records of the router that ``options`` describe.

    :param options: those of module router, but ``floating_ips`` as a mapping from floating to fixed address.
    :param plugs: the bridges of the ports that are added to one, by port name (an interface's name, or ``external``).
    :raises ValueError: an option is wrong; the message names the option, its value and the rule.
    """
    name = options["name"]
    interfaces = options.get("interfaces", ())
    described = [(interface["name"], interface, OWNER_ROUTER_INTERFACE) for interface in interfaces]
    if options.get("external"):
        described.append((EXTERNAL, options["external"], OWNER_ROUTER_GATEWAY))
    _check_names(name, [port_name for port_name, _, _ in described])
    networks = {port_name: _network(name, port_name, given) for port_name, given, _ in described}
    _check_overlap(name, networks.values())
    ports = [_port(name, port_name, given, owner) for port_name, given, owner in described]
    router = Router(
        name=name,
        id=name,
        nodes=(NODE,),
        gateway=next((port for port in ports if port.owner == OWNER_ROUTER_GATEWAY), None),
        enable_snat=options.get("enable_snat", True),
        interfaces=tuple(port for port in ports if port.owner == OWNER_ROUTER_INTERFACE),
        routes=_routes(name, options.get("routes", ()), networks.values()),
        floating_ips=_floating_ips(name, options),
    )
    userspace = any(plug.userspace for plug in plugs.values())
    node = Node(NODE, frozenset({"network"}), "", "", datapath_type="netdev" if userspace else "system")
    cloud = Cloud(name, {NODE: node}, networks, {name: router}, {}, {})
    return _records(NodeView(Index.of(cloud), node), router, ports, plugs)


def _records(view: NodeView, router: Router, ports: Sequence[Port], plugs: Mapping[str, Plug]) -> RouterRecords:
    in_linux = {network: plug.bridge for network, plug in plugs.items() if plug.kind == "linux"}
    in_ovs = {network: plug for network, plug in plugs.items() if plug.kind == "ovs"}
    return RouterRecords(
        Namespace(namespace_name(router.name)),
        tuple(veth_pair(view, port, in_linux.get(port.network, "")) for port in view.ports),
        tuple(_ovs_port(port, in_ovs[port.network]) for port in ports if port.network in in_ovs),
        router_l3(view)[0],
        router_tables(view)[0],
        tuple(_described(view, port) for port in ports),
    )


def _ovs_port(port: Port, plug: Plug) -> OvsPort:
    ids = {"iface-id": port.id, "attached-mac": port.mac, "iface-status": "active"}
    return OvsPort(switch_end(port), plug.bridge, tag=plug.vlan, external_ids=ids)


def _described(view: NodeView, port: Port) -> dict[str, Any]:
    """What module router returns about a port."""
    addresses = list(view.with_prefix(port))
    return {
        "name": port.network,
        "device": owner_device(port),
        "port": switch_end(port),
        "mac": port.mac,
        "addresses": addresses,
    }


def _network(router: str, name: str, options: Mapping[str, Any]) -> Network:
    """The network of the router's port ``name``, with a subnet for each of the router's addresses on it."""
    gateways = _as_list(options.get("gateway"))
    subnets = []
    for text in _as_list(options["address"]):
        _, cidr = _parse_interface(f"router {router}: {name}: address", text)
        inside = [gateway for gateway in gateways if _is_address(gateway) and contains(cidr, gateway)]
        subnets.append(Subnet(cidr, cidr, cidr, inside[0] if inside else ""))
    used = {subnet.gateway_ip for subnet in subnets}
    for gateway in gateways:
        if gateway not in used:
            raise ValueError(f"router {router}: {name}: gateway: {gateway!r}: must be in a subnet of address")
    return Network(name, name, "local", tuple(subnets), mtu=options.get("mtu", 1500))


def _port(router: str, name: str, options: Mapping[str, Any], owner: str) -> Port:
    identity = object_id(router, "port", name)
    where = f"router {router}: {name}: address"
    addresses = [_parse_interface(where, text) for text in _as_list(options["address"])]
    fixed = tuple(FixedIp(cidr, address) for address, cidr in addresses)
    mac = options.get("mac") or derived_mac(identity, ())
    return Port(identity, mac.lower(), name, (NODE,), owner, router, fixed)


def _parse_interface(where: str, text: str) -> tuple[str, str]:
    """``10.0.0.1/24`` as address and CIDR of its subnet: ``10.0.0.1``, ``10.0.0.0/24``."""
    try:
        if "/" not in text:
            raise ValueError
        value = ip_interface(text)
    except ValueError:
        rule = "must be an address with its prefix length, for example 10.0.0.1/24"
        raise ValueError(f"{where}: {text!r}: {rule}") from None
    return str(value.ip), str(value.network)


def _routes(
    router: str, routes: Iterable[Mapping[str, str]], networks: Iterable[Network]
) -> tuple[tuple[str, str], ...]:
    cidrs = [subnet.cidr for network in networks for subnet in network.subnets]
    pairs = []
    for route in routes:
        nexthop = route["nexthop"]
        if not _is_address(nexthop) or not any(contains(cidr, nexthop) for cidr in cidrs):
            rule = "must be an address in a subnet of the router"
            raise ValueError(f"router {router}: routes: nexthop: {nexthop!r}: {rule}")
        pairs.append((route["destination"], nexthop))
    return tuple(pairs)


def _floating_ips(router: str, options: Mapping[str, Any]) -> tuple[FloatingIp, ...]:
    pairs: Mapping[str, str] = options.get("floating_ips") or {}
    if pairs and not options.get("external"):
        raise ValueError(f"router {router}: floating_ips: a router with floating IPs needs the option external")
    for address in (*pairs, *pairs.values()):
        if not _is_address(address) or ":" in address:
            raise ValueError(f"router {router}: floating_ips: {address!r}: must be an IPv4 address")
    return tuple(FloatingIp(floating, EXTERNAL, pairs[floating], "", floating) for floating in sorted(pairs))


def _check_names(router: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"router {router}: interfaces: name: {name!r}: must be unique, and not {EXTERNAL!r}")


def _check_overlap(router: str, networks: Iterable[Network]) -> None:
    ranges = [ip_network(subnet.cidr) for network in networks for subnet in network.subnets]
    for first, second in combinations(ranges, 2):
        if first.overlaps(second):
            raise ValueError(f"router {router}: address: {second}: must not overlap {first}")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _as_list(value: Any) -> list[str]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]

"""A router described by itself, without a cloud: what ``library/router.py`` takes, compiled by the cloud's own rules.

The options become a cloud of one node and one router, which ``wiring`` turns into records; so a router made by the
module is the same as one made by ``site.yml``. What does not belong here: Ansible, and looking at the node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
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
    """The bridge that takes a port's root-side end. ``kind`` is ``ovs`` or ``linux``; ``userspace``: Open vSwitch's
    datapath there is netdev; ``vlan`` is the access VLAN on an OVS bridge."""

    bridge: str
    kind: str
    userspace: bool = False
    vlan: int | None = None


@dataclass(frozen=True)
class LoneRouter:
    """Everything a router consists of, as records by subsystem; ``ports`` tells people which device is which."""

    namespace: Namespace
    links: tuple[Link, ...]
    ovs_ports: tuple[OvsPort, ...]
    config: NamespaceConfig
    table: NftTable
    ports: tuple[Mapping[str, Any], ...]


def namespace_name(router: str) -> str:
    """The namespace of the router called ``router``."""
    return f"qrouter-{router}"


def root_side(device: str) -> str:
    """The root-side end of a router's device: ``tap…`` for ``qr-…`` and ``qg-…``."""
    return f"tap{device[3:]}"


def compile_router(options: Mapping[str, Any], plugs: Mapping[str, Plug]) -> LoneRouter:
    """The router that ``options`` (those of the module, ``floating_ips`` as a mapping) describe.

    :param plugs: by port name (an interface's name, or ``external``), for the ports that go into a bridge.
    :raises ValueError: naming the option, its value and the rule.
    """
    name = options["name"]
    interfaces = options.get("interfaces", ())
    described = [(one["name"], one, OWNER_ROUTER_INTERFACE) for one in interfaces]
    if options.get("external"):
        described.append((EXTERNAL, options["external"], OWNER_ROUTER_GATEWAY))
    _check_names(name, [one[0] for one in described])
    networks = {key: _network(name, key, one) for key, one, _ in described}
    _check_overlap(name, networks.values())
    ports = [_port(name, key, one, owner) for key, one, owner in described]
    router = Router(
        name=name,
        id=name,
        nodes=(NODE,),
        gateway=next((one for one in ports if one.owner == OWNER_ROUTER_GATEWAY), None),
        enable_snat=options.get("enable_snat", True),
        interfaces=tuple(one for one in ports if one.owner == OWNER_ROUTER_INTERFACE),
        routes=_routes(name, options.get("routes", ()), networks.values()),
        floating_ips=_floating(name, options),
    )
    userspace = any(plug.userspace for plug in plugs.values())
    node = Node(NODE, frozenset({"network"}), "", "", datapath_type="netdev" if userspace else "system")
    cloud = Cloud(name, {NODE: node}, networks, {name: router}, {}, {})
    return _records(NodeView(Index.of(cloud), node), router, ports, plugs)


def _records(view: NodeView, router: Router, ports: Sequence[Port], plugs: Mapping[str, Plug]) -> LoneRouter:
    in_linux = {network: plug.bridge for network, plug in plugs.items() if plug.kind == "linux"}
    in_ovs = {network: plug for network, plug in plugs.items() if plug.kind == "ovs"}
    return LoneRouter(
        Namespace(namespace_name(router.name)),
        tuple(veth_pair(view, port, in_linux.get(port.network, "")) for port in view.ports),
        tuple(_ovs_port(port, in_ovs[port.network]) for port in ports if port.network in in_ovs),
        router_l3(view)[0],
        router_tables(view)[0],
        tuple(_told(view, port) for port in ports),
    )


def _ovs_port(port: Port, plug: Plug) -> OvsPort:
    ids = {"iface-id": port.id, "attached-mac": port.mac, "iface-status": "active"}
    return OvsPort(switch_end(port), plug.bridge, tag=plug.vlan, external_ids=ids)


def _told(view: NodeView, port: Port) -> dict[str, Any]:
    addresses = list(view.with_prefix(port))
    return {
        "name": port.network,
        "device": owner_device(port),
        "port": switch_end(port),
        "mac": port.mac,
        "addresses": addresses,
    }


def _network(router: str, name: str, options: Mapping[str, Any]) -> Network:
    gateways = _as_list(options.get("gateway"))
    subnets = []
    for address in _as_list(options["address"]):
        cidr = _interface(f"router {router}: {name}: address", address)[1]
        inside = next((one for one in gateways if _is_address(one) and contains(cidr, one)), "")
        subnets.append(Subnet(cidr, cidr, cidr, inside))
    placed = {one.gateway_ip for one in subnets}
    for gateway in gateways:
        if gateway not in placed:
            raise ValueError(f"router {router}: {name}: gateway: {gateway!r}: must be in a subnet of address")
    return Network(name, name, "local", tuple(subnets), mtu=options.get("mtu", 1500))


def _port(router: str, name: str, options: Mapping[str, Any], owner: str) -> Port:
    identity = object_id(router, "port", name)
    addresses = [_interface(f"router {router}: {name}: address", one) for one in _as_list(options["address"])]
    fixed = tuple(FixedIp(cidr, address) for address, cidr in addresses)
    mac = options.get("mac") or derived_mac(identity, ())
    return Port(identity, mac.lower(), name, (NODE,), owner, router, fixed)


def _interface(where: str, text: str) -> tuple[str, str]:
    """(address, CIDR of its subnet) of ``10.0.0.1/24``."""
    try:
        if "/" not in text:
            raise ValueError
        value = ip_interface(text)
    except ValueError:
        raise ValueError(f"{where}: {text!r}: must be an address with its prefix, e.g. 10.0.0.1/24") from None
    return str(value.ip), str(value.network)


def _routes(
    router: str, routes: Iterable[Mapping[str, str]], networks: Iterable[Network]
) -> tuple[tuple[str, str], ...]:
    cidrs = [subnet.cidr for network in networks for subnet in network.subnets]
    found = []
    for route in routes:
        hop = route["nexthop"]
        if not _is_address(hop) or not any(contains(cidr, hop) for cidr in cidrs):
            raise ValueError(f"router {router}: routes: nexthop: {hop!r}: must be an address in a subnet of the router")
        found.append((route["destination"], hop))
    return tuple(found)


def _floating(router: str, options: Mapping[str, Any]) -> tuple[FloatingIp, ...]:
    pairs: Mapping[str, str] = options.get("floating_ips") or {}
    if pairs and not options.get("external"):
        raise ValueError(f"router {router}: floating_ips: needs external: there is nowhere they could be reached from")
    for one in (*pairs, *pairs.values()):
        if not _is_address(one) or ":" in one:
            raise ValueError(f"router {router}: floating_ips: {one!r}: must be an IPv4 address")
    return tuple(FloatingIp(one, EXTERNAL, pairs[one], "", one) for one in sorted(pairs))


def _check_names(router: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"router {router}: interfaces: name: {name!r}: must be there once, and not be {EXTERNAL!r}"
            )


def _check_overlap(router: str, networks: Iterable[Network]) -> None:
    seen: list[str] = []
    for cidr in (subnet.cidr for network in networks for subnet in network.subnets):
        for other in seen:
            if ip_interface(cidr).network.version == ip_interface(other).network.version and (
                contains(cidr, other.split("/")[0]) or contains(other, cidr.split("/")[0])
            ):
                raise ValueError(f"router {router}: address: {cidr}: must not overlap {other}")
        seen.append(cidr)


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

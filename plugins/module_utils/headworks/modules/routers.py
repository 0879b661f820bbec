"""Routers on the node, for modules router, router_info and floating_ip: reading them, and the steps that change them.

The records of a router are computed in ``router_records.py``.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..node.l3.namespaces import L3Subsystem, read_namespace
from ..node.links.links import LinkSubsystem
from ..node.links.namespaces import NetnsSubsystem
from ..node.nft.tables import NftSubsystem, families, read_table
from ..node.ovs.ports import OvsPortSubsystem
from ..state.l3 import Device, NamespaceConfig
from ..state.links import Link
from ..state.namespaces import Namespace
from ..state.nft import NftMap, NftTable
from ..state.ovs import OvsPort
from ..system import rtnl
from ..system.netns import NETNS_DIR, in_netns, is_namespace
from ..system.ovsdb import Ovsdb, optional, present, select
from .items import Step
from .router_records import EXTERNAL, Plug, RouterRecords, compile_router, namespace_name, root_side

DNAT, SNAT = "floating_dnat", "floating_snat"
_PREFIX = namespace_name("")
_PAIRS = "ipv4_addr : ipv4_addr"


def router_steps(items: Sequence[Mapping[str, Any]]) -> tuple[list[Step], list[RouterRecords]]:
    """The steps for ``items.finish`` from the items of module router, and the routers that are to be present.

    :raises ValueError: an option is wrong; the message names the option, its value and the rule.
    """
    routers = [compile_router(_with_floating_ips(item), _plugs(item)) for item in items if item["state"] == "present"]
    absent = [namespace_name(item["name"]) for item in items if item["state"] == "absent"]
    links = {link.name: link for router in routers for link in router.links}
    ports = {port.name: port for router in routers for port in router.ovs_ports}
    namespaces = {router.namespace.name: router.namespace for router in routers}
    unlisted = {root_side(device) for netns in [*absent, *namespaces] for device in devices(netns)} - set(links)
    steps: list[Step] = [
        (NetnsSubsystem(), namespaces, {name: Namespace(name) for name in absent}),
        (LinkSubsystem(), links, {name: Link(name, "veth") for name in unlisted}),
        (OvsPortSubsystem(), ports, {name: OvsPort(name, "") for name in unlisted}),
        (NftSubsystem(), {router.table.name: router.table for router in routers}, {n: NftTable(n) for n in absent}),
        (L3Subsystem(), {router.config.name: router.config for router in routers}, {}),
    ]
    return steps, routers


def all_routers() -> list[str]:
    """The names of the routers on this node, sorted."""
    names = os.listdir(NETNS_DIR) if NETNS_DIR.is_dir() else []
    return sorted(name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX) and is_namespace(name))


def describe_router(name: str) -> dict[str, Any]:
    """What module router_info returns about a router."""
    netns = namespace_name(name)
    config = read_namespace(NamespaceConfig(netns, tuple(Device(name) for name in devices(netns))))
    return {
        "name": name,
        "namespace": netns,
        "devices": [
            {"name": device.name, "mac": device.mac, "mtu": device.mtu, "addresses": list(device.addresses)}
            for device in config.devices
        ],
        "routes": [
            {"destination": route.destination, "via": route.via, "device": route.device} for route in config.routes
        ],
        "floating_ips": [
            {"floating_ip_address": floating, "fixed_ip_address": fixed}
            for floating, fixed in sorted(floating_ips(netns).items())
        ],
    }


def devices(netns: str) -> list[str]:
    """The names of the router's devices in a namespace (``qr-…``, ``qg-…``); empty if there is no such namespace."""
    if not is_namespace(netns):
        return []
    with in_netns(netns):
        return sorted(name for _, name in socket.if_nameindex() if name.startswith(("qr-", "qg-")))


def floating_ips(netns: str) -> dict[str, str]:
    """The present floating IPs of the router in ``netns``: floating → fixed address."""
    if not is_namespace(netns) or "ip" not in families(netns):
        return {}
    maps = {nft_map.name: nft_map for nft_map in read_table(netns, "ip").maps}
    return dict(maps[DNAT].elements) if DNAT in maps else {}


def floating_steps(netns: str, device: str, changes: Mapping[str, str | None]) -> list[Step]:
    """The steps that change floating IPs of one router.

    :param device: the router's external device; empty for the one whose name begins with ``qg-``.
    :param changes: floating → fixed address; None removes the floating IP.
    :raises ValueError: there is no such router, or it has no external device or no NAT maps.
    """
    if not is_namespace(netns):
        raise ValueError(f"router: there is no namespace {netns} on this node")
    if "ip" not in families(netns):
        raise ValueError(f"router: namespace {netns} has no table headworks")
    table = read_table(netns, "ip")
    maps = {nft_map.name: nft_map for nft_map in table.maps}
    if not {DNAT, SNAT} <= set(maps):
        raise ValueError(f"router: namespace {netns} has no external gateway: its table has no map {DNAT}")
    changed = {**maps[DNAT].elements, **changes}
    pairs = {floating: fixed for floating, fixed in changed.items() if fixed is not None}
    device = device or next((name for name in devices(netns) if name.startswith("qg-")), "")
    if not device:
        raise ValueError(f"device: namespace {netns} has no device qg-…")
    return [
        (NftSubsystem(), {netns: _with_pairs(table, pairs)}, {}),
        (L3Subsystem(), {netns: _with_addresses(netns, device, changes)}, {}),
    ]


def _with_pairs(table: NftTable, pairs: Mapping[str, str]) -> NftTable:
    """``table`` with the floating IPs ``pairs``. Of several floating IPs of one fixed address, the first is the source
    address of its connections to the outside."""
    sources: dict[str, str] = {}
    for floating in sorted(pairs):
        sources.setdefault(pairs[floating], floating)
    elements = {DNAT: dict(sorted(pairs.items())), SNAT: sources}
    maps = tuple(
        NftMap(nft_map.name, _PAIRS, elements[nft_map.name]) if nft_map.name in elements else nft_map
        for nft_map in table.maps
    )
    return replace(table, maps=maps, floating_maps=(DNAT,))


def _with_addresses(netns: str, device: str, changes: Mapping[str, str | None]) -> NamespaceConfig:
    """The namespace as it is, with the addresses of the changed floating IPs added to the device or removed from it."""
    now = read_namespace(NamespaceConfig(netns, (Device(device),)))
    if not now.devices:
        raise ValueError(f"device: namespace {netns} has no device {device}")
    (external,) = now.devices
    changing = {f"{floating}/32" for floating in changes}
    kept = [address for address in external.addresses if address not in changing]
    new = [f"{floating}/32" for floating, fixed in changes.items() if fixed is not None]
    return replace(now, devices=(replace(external, addresses=(*kept, *new), announce=True, up=True),), lo_up=True)


def _with_floating_ips(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item with its floating IPs as a mapping. If the item does not list them, a router with an external network
    keeps those that it has."""
    given = item.get("floating_ips")
    if given is not None:
        pairs = {pair["floating_ip_address"]: pair["fixed_ip_address"] for pair in given}
    else:
        pairs = floating_ips(namespace_name(item["name"])) if item.get("external") else {}
    return {**item, "floating_ips": pairs}


def _plugs(item: Mapping[str, Any]) -> dict[str, Plug]:
    """The bridges of the item's ports that name one, by port name."""
    ports = {interface["name"]: interface for interface in item.get("interfaces", ())}
    if item.get("external"):
        ports[EXTERNAL] = item["external"]
    return {
        name: _plug(f"router {item['name']}: {name}", port["bridge"], port.get("vlan"))
        for name, port in ports.items()
        if port.get("bridge")
    }


def _plug(where: str, bridge: str, vlan: int | None) -> Plug:
    """The bridge called ``bridge``, of Open vSwitch or of the kernel.

    :param where: the router and its port, for messages.
    :raises ValueError: there is no such bridge, or it cannot have a port with a VLAN.
    """
    if present():
        with Ovsdb() as database:
            (rows,) = database.select([select("Bridge", ["datapath_type"], [["name", "==", bridge]])])
        if rows:
            return Plug(bridge, "ovs", optional(rows[0]["datapath_type"], "") == "netdev", vlan)
    found = rtnl.links([bridge]).get(bridge)
    if found is None or found.kind != "bridge":
        raise ValueError(f"{where}: bridge: {bridge!r}: there is no such bridge on this node")
    if vlan is not None:
        raise ValueError(f"{where}: vlan: {vlan}: {bridge} is a Linux bridge; only a port of an OVS bridge has a VLAN")
    return Plug(bridge, "linux")

"""Routers made by modules, as they are on the node: their devices, floating IPs and bridges. For router and
floating_ip in library/; how a router is composed is ``lone_router.py``'s part.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
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
from .lone_router import EXTERNAL, LoneRouter, Plug, compile_router, namespace_name, root_side

DNAT, SNAT = "floating_dnat", "floating_snat"
_PREFIX = namespace_name("")
_PAIRS = "ipv4_addr : ipv4_addr"


def router_steps(wanted: Iterable[Mapping[str, Any]]) -> tuple[list[Step], list[LoneRouter]]:
    """Steps for ``module.finish`` from the router module's items, and the routers that shall be there.

    :raises ValueError: an option that cannot be, naming it.
    """
    routers = [compile_router(_complete(one), _plugs(one)) for one in wanted if one["state"] == "present"]
    gone = [namespace_name(one["name"]) for one in wanted if one["state"] == "absent"]
    links = {one.name: one for router in routers for one in router.links}
    ports = {one.name: one for router in routers for one in router.ovs_ports}
    old = {root_side(one) for netns in [*gone, *(one.namespace.name for one in routers)] for one in devices(netns)}
    old -= set(links)
    steps: list[Step] = [
        (NetnsSubsystem(), {one.namespace.name: one.namespace for one in routers}, {n: Namespace(n) for n in gone}),
        (LinkSubsystem(), links, {name: Link(name, "veth") for name in old}),
        (OvsPortSubsystem(), ports, {name: OvsPort(name, "") for name in old}),
        (NftSubsystem(), {one.table.name: one.table for one in routers}, {name: NftTable(name) for name in gone}),
        (L3Subsystem(), {one.config.name: one.config for one in routers}, {}),
    ]
    return steps, routers


def all_routers() -> list[str]:
    """Names of the routers on this node."""
    names = os.listdir(NETNS_DIR) if NETNS_DIR.is_dir() else []
    return sorted(one.removeprefix(_PREFIX) for one in names if one.startswith(_PREFIX) and is_namespace(one))


def describe_router(name: str) -> dict[str, Any]:
    """One router as plain data, for router_info."""
    netns = namespace_name(name)
    config = read_namespace(NamespaceConfig(netns, tuple(Device(one) for one in devices(netns))))
    return {
        "name": name,
        "namespace": netns,
        "devices": [
            {"name": one.name, "mac": one.mac, "mtu": one.mtu, "addresses": list(one.addresses)}
            for one in config.devices
        ],
        "routes": [{"destination": one.destination, "via": one.via, "device": one.device} for one in config.routes],
        "floating_ips": [
            {"floating_ip_address": floating, "fixed_ip_address": fixed}
            for floating, fixed in sorted(floating_ips(netns).items())
        ],
    }


def devices(netns: str) -> list[str]:
    """The router's devices in a namespace (``qr-…``, ``qg-…``); none if it is not there."""
    if not is_namespace(netns):
        return []
    with in_netns(netns):
        return sorted(name for _, name in socket.if_nameindex() if name.startswith(("qr-", "qg-")))


def floating_ips(netns: str) -> dict[str, str]:
    """The router's floating IPs now: floating → fixed."""
    if not is_namespace(netns) or "ip" not in families(netns):
        return {}
    maps = {one.name: one for one in read_table(netns, "ip").maps}
    return dict(maps[DNAT].elements) if DNAT in maps else {}


def floating_steps(netns: str, device: str, changes: Mapping[str, str | None]) -> list[Step]:
    """Steps that bring floating IPs of one router to what ``changes`` says (floating → fixed, None = none).

    :raises ValueError: there is no such router, or it has no external device or NAT maps.
    """
    if not is_namespace(netns):
        raise ValueError(f"router: there is no namespace {netns} on this node")
    if "ip" not in families(netns):
        raise ValueError(f"router: namespace {netns} has no table headworks")
    table = read_table(netns, "ip")
    if not {DNAT, SNAT} <= {one.name for one in table.maps}:
        raise ValueError(f"router: namespace {netns} has no external gateway: its table has no map {DNAT}")
    pairs = dict(next(one for one in table.maps if one.name == DNAT).elements)
    pairs.update({floating: fixed for floating, fixed in changes.items() if fixed is not None})
    for floating in [one for one, fixed in changes.items() if fixed is None]:
        pairs.pop(floating, None)
    device = device or next(iter(one for one in devices(netns) if one.startswith("qg-")), "")
    if not device:
        raise ValueError(f"device: namespace {netns} has no device qg-…")
    return [
        (NftSubsystem(), {netns: _with_pairs(table, pairs)}, {}),
        (L3Subsystem(), {netns: _with_addresses(netns, device, changes)}, {}),
    ]


def _with_pairs(table: NftTable, pairs: Mapping[str, str]) -> NftTable:
    outward: dict[str, str] = {}
    for floating in sorted(pairs):
        outward.setdefault(pairs[floating], floating)
    new = {DNAT: dict(sorted(pairs.items())), SNAT: outward}
    maps = tuple(NftMap(one.name, _PAIRS, new[one.name]) if one.name in new else one for one in table.maps)
    return replace(table, maps=maps, floating_maps=(DNAT,))


def _with_addresses(netns: str, device: str, changes: Mapping[str, str | None]) -> NamespaceConfig:
    """What is there, but for the addresses that ``changes`` speaks of."""
    now = read_namespace(NamespaceConfig(netns, (Device(device),)))
    if not now.devices:
        raise ValueError(f"device: namespace {netns} has no device {device}")
    (there,) = now.devices
    kept = [one for one in there.addresses if not (one.endswith("/32") and one[:-3] in changes)]
    new = [f"{floating}/32" for floating, fixed in changes.items() if fixed is not None]
    return replace(now, devices=(replace(there, addresses=(*kept, *new), announce=True, up=True),), lo_up=True)


def _complete(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item with its floating IPs as a mapping: those given, or else those the router has."""
    given = item.get("floating_ips")
    if given is None:
        pairs = floating_ips(namespace_name(item["name"]))
    else:
        pairs = {one["floating_ip_address"]: one["fixed_ip_address"] for one in given}
    return {**item, "floating_ips": pairs if item.get("external") else (pairs if given else {})}


def _plugs(item: Mapping[str, Any]) -> dict[str, Plug]:
    described = {one["name"]: one for one in item.get("interfaces", ())}
    if item.get("external"):
        described[EXTERNAL] = item["external"]
    return {
        name: _plug(f"router {item['name']}: {name}", one["bridge"], one.get("vlan"))
        for name, one in described.items()
        if one.get("bridge")
    }


def _plug(where: str, bridge: str, vlan: int | None) -> Plug:
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

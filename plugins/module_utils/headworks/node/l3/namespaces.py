"""The L3 configuration inside namespaces: addresses and MTU of devices, routes, sysctls, gratuitous ARP.

What does not belong here: the namespaces and the devices themselves (``node/links``), NAT and filters (``node/nft``),
and the ``ip`` commands for a difference (``ip_lines.py``).
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache

from ...state.l3 import Device, NamespaceConfig, Route
from ...state.nft import tables_of
from ...system import rtnl
from ...system.ip_batch import ip_batch
from ...system.netns import in_netns, is_namespace
from ...system.process import ToolError
from ...system.tx_checksum import set_tx_checksum, tx_checksum
from ..subsystem import Applied, Change, Reading, Scope, Subsystem
from .gratuitous_arp import announce
from .ip_lines import lines_for

SYSCTL_DIR = "/proc/sys/net"
_LOOPBACK = ("127.0.0.1/8", "::1/128")  # addresses that the kernel itself adds to lo
_SYSCTL = re.compile(r"[a-zA-Z0-9_-]+([./][a-zA-Z0-9_.@:-]+)*")


class L3Subsystem(Subsystem[NamespaceConfig]):
    """L3 configurations of namespaces. This subsystem removes none: a configuration disappears with its namespace."""

    kind = "l3"
    record = NamespaceConfig

    def read(
        self, desired: Mapping[str, NamespaceConfig], scope: Scope | None = None
    ) -> Reading[NamespaceConfig]:
        """Return the actual configuration of each desired namespace that exists. One that cannot be read is broken."""
        objects, broken = {}, {}
        for name, config in desired.items():
            if (scope is None or name in scope) and is_namespace(name):
                try:
                    objects[name] = read_namespace(config)
                except (OSError, ValueError) as error:
                    broken[name] = f"namespace {name}: {error}"
        return Reading(objects, broken=broken)

    def same(self, desired: NamespaceConfig, actual: NamespaceConfig) -> bool:
        """Return whether the namespace is as desired. Fields that the plan leaves open are not compared."""
        return not (
            lines_for(desired, actual) or _wrong_sysctls(desired, actual) or _wrong_tx_checksums(desired, actual)
        )

    def requires(self, item: NamespaceConfig) -> Mapping[str, Collection[str]]:
        """Return the namespace, which must be ours, and its tables: an address or a route must not work without its
        filter and NAT."""
        return {"netns": {item.name}, "nft": tables_of(item.name)}

    def apply(self, changes: Sequence[Change[NamespaceConfig]]) -> Applied:
        """Run one ``ip -batch`` for each namespace, then announce the new addresses of all namespaces. A namespace that
        fails stops no other, and a missing device does not stop the others of its namespace."""
        new_addresses: dict[str, Mapping[str, Sequence[str]]] = {}
        failures = {}
        for change in changes:
            if change.after is None:
                continue
            try:
                missing = _missing(change.after)
                new_addresses[change.name] = _apply(_without(change.after, missing))
                if missing:
                    failures[change.name] = f"namespace {change.name}: no device {', '.join(sorted(missing))} in it"
            except (OSError, ToolError, ValueError) as error:
                failures[change.name] = f"namespace {change.name}: {error}"
        announce(new_addresses)
        return Applied(failures=failures)


def read_namespace(desired: NamespaceConfig) -> NamespaceConfig:
    """Return the actual configuration of a namespace: all its routes, but only the devices and sysctls in ``desired``.

    :raises FileNotFoundError: the namespace does not exist.
    """
    with in_netns(desired.name):
        links = rtnl.links()
        names = {info.index: info.name for info in links.values()}
        addresses: dict[str, list[str]] = {}
        for index, address in rtnl.addresses():
            addresses.setdefault(names.get(index, ""), []).append(address)
        routes = [_route(info, names.get(info.index, "")) for info in rtnl.routes()]
        sysctls = {key: _read_sysctl(key) for key in desired.sysctls}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
            devices = tuple(
                _device(device, links[device.name], addresses.get(device.name, ()), query)
                for device in desired.devices
                if device.name in links
            )
    return NamespaceConfig(
        desired.name,
        devices,
        tuple(sorted(routes, key=lambda route: (route.destination, route.via, route.device))),
        {key: value for key, value in sysctls.items() if value is not None},
        lo_up=links["lo"].up,
    )


def _device(desired: Device, info: rtnl.LinkInfo, addresses: Sequence[str], query: socket.socket) -> Device:
    """Return the record of an actual device, without the addresses that the kernel adds by itself."""
    compared = [
        address
        for address in addresses
        if address in desired.addresses or not (address.startswith("fe80:") or address in _LOOPBACK)
    ]
    return Device(
        info.name,
        info.mac,
        info.mtu,
        tuple(compared),
        desired.tx_checksum if info.name == "lo" else tx_checksum(query, info.name),
        desired.announce,
        info.up,
    )


def _route(info: rtnl.RouteInfo, device: str) -> Route:
    """Return the record of an actual route. "default" without a next hop would not tell IPv6 from IPv4."""
    on_link_ipv6 = info.destination == "default" and info.family == socket.AF_INET6 and not info.via
    return Route("::/0" if on_link_ipv6 else info.destination, info.via, device)


def _missing(desired: NamespaceConfig) -> set[str]:
    """Return the desired devices that the namespace does not have.

    :raises FileNotFoundError: the namespace does not exist.
    """
    with in_netns(desired.name):
        return {device.name for device in desired.devices} - {name for _, name in socket.if_nameindex()}


def _without(desired: NamespaceConfig, missing: Collection[str]) -> NamespaceConfig:
    """Return the configuration without these devices and the routes over them."""
    return replace(
        desired,
        devices=tuple(device for device in desired.devices if device.name not in missing),
        routes=tuple(route for route in desired.routes if route.device not in missing),
    )


def _apply(desired: NamespaceConfig) -> Mapping[str, Sequence[str]]:
    """Configure one namespace as desired. Returns the new IPv4 addresses to announce, by device.

    The namespace is read again first: links that the same run removed took addresses and routes with them.
    """
    actual = read_namespace(desired)
    with in_netns(desired.name):
        for key, value in _wrong_sysctls(desired, actual):
            _write_sysctl(key, value)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
            for device in _wrong_tx_checksums(desired, actual):
                set_tx_checksum(query, device.name, device.tx_checksum)
        lines = lines_for(desired, actual)
        if any(line.startswith("address delete") for line in lines):
            # Otherwise the kernel deletes all addresses of a subnet together with the first.
            _write_sysctl("ipv4.conf.all.promote_secondaries", "1")
        ip_batch(lines)
    return {device.name: _new_ipv4_addresses(device, actual) for device in desired.devices if device.announce}


def _new_ipv4_addresses(device: Device, actual: NamespaceConfig) -> list[str]:
    """Return the IPv4 addresses that are new at the device's MAC, or all if the MAC changes or the device was down."""
    (before,) = [actual_device for actual_device in actual.devices if actual_device.name == device.name]
    mac_changes = device.mac and device.mac.lower() != before.mac
    announced = () if mac_changes or not before.up else before.addresses
    return [
        address.split("/")[0] for address in device.addresses if address not in announced and ":" not in address
    ]


def _wrong_tx_checksums(desired: NamespaceConfig, actual: NamespaceConfig) -> list[Device]:
    """Return the desired devices whose transmit checksum offload must be switched."""
    actual_tx_checksum = {device.name: device.tx_checksum for device in actual.devices}
    return [
        device
        for device in desired.devices
        if actual_tx_checksum.get(device.name, device.tx_checksum) != device.tx_checksum
    ]


def _wrong_sysctls(desired: NamespaceConfig, actual: NamespaceConfig) -> list[tuple[str, str]]:
    """Return the (key, value) pairs to write. Those that switch forwarding come first, because the kernel then resets
    other keys."""
    wrong = [(key, value) for key, value in desired.sysctls.items() if actual.sysctls.get(key) != value]
    return sorted(wrong, key=lambda pair: (not pair[0].endswith("forward"), pair[0]))


@cache
def _sysctl_path(key: str) -> str:
    if not _SYSCTL.fullmatch(key) or ".." in key:
        raise ValueError(f"sysctl {key!r}: is not a key below {SYSCTL_DIR}")
    return f"{SYSCTL_DIR}/{key if '/' in key else key.replace('.', '/')}"


def _read_sysctl(key: str) -> str | None:
    try:
        descriptor = os.open(_sysctl_path(key), os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return " ".join(os.read(descriptor, 4096).decode().split())
    finally:
        os.close(descriptor)


def _write_sysctl(key: str, value: str) -> None:
    try:
        descriptor = os.open(_sysctl_path(key), os.O_WRONLY)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OSError(error.errno, f"sysctl {key} = {value}: {error.strerror}") from error

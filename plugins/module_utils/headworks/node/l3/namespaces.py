"""What is inside a namespace besides the firewall: devices' addresses and MTU, routes, sysctls, gratuitous ARP.

The namespace itself is made by ``netns.py``, the devices by ``links.py``, NAT and filters by ``nft.py``. How the
difference becomes ``ip`` commands is in ``l3_commands.py``.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping, Sequence
from functools import cache

from ...state.l3 import Device, NamespaceConfig, Route
from ...system import rtnl
from ...system.ip_batch import ip_batch
from ...system.netns import in_netns, is_namespace
from ...system.tx_checksum import set_tx_checksum, tx_checksum
from ..subsystem import Applied, Change, Reading, Scope, Subsystem
from .gratuitous_arp import announce
from .ip_lines import commands

SYSCTL_DIR = "/proc/sys/net"
_LOOPBACK = ("127.0.0.1/8", "::1/128")  # the kernel's own on lo
_SYSCTL = re.compile(r"[a-zA-Z0-9_-]+([./][a-zA-Z0-9_.@:-]+)*")


class L3Subsystem(Subsystem[NamespaceConfig]):
    """Configuration of namespaces. It is removed with the namespace, so there is never a removal of its own."""

    kind = "l3"
    record = NamespaceConfig

    def read(
        self, desired: Mapping[str, NamespaceConfig], scope: Scope | None = None
    ) -> Reading[NamespaceConfig]:
        """What the desired devices, sysctls and routes of each namespace are now; other devices are not looked at."""
        chosen = [one for name, one in desired.items() if scope is None or name in scope]
        return Reading({one.name: read_namespace(one) for one in chosen if is_namespace(one.name)})

    def same(self, desired: NamespaceConfig, actual: NamespaceConfig) -> bool:
        """What the plan leaves open is not compared."""
        return not (commands(desired, actual) or _sysctls(desired, actual) or _offloads(desired, actual))

    def apply(self, changes: Sequence[Change[NamespaceConfig]]) -> Applied:
        """One ``ip -batch`` a namespace, then one round of announcements for all."""
        news: dict[str, Mapping[str, Sequence[str]]] = {}
        for change in changes:
            if change.after is not None:
                news[change.name] = _apply(change.after)
        announce(news)
        return Applied()


def read_namespace(desired: NamespaceConfig) -> NamespaceConfig:
    """The present state of what ``desired`` speaks of.

    :raises FileNotFoundError: no such namespace.
    """
    with in_netns(desired.name):
        links = rtnl.links()
        names = {one.index: one.name for one in links.values()}
        found: dict[str, list[str]] = {}
        for index, address in rtnl.addresses():
            found.setdefault(names.get(index, ""), []).append(address)
        routes = [_route(one, names.get(one.index, "")) for one in rtnl.routes()]
        sysctls = {key: _read_sysctl(key) for key in desired.sysctls}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
            devices = tuple(
                _device(one, links[one.name], found.get(one.name, ()), query)
                for one in desired.devices
                if one.name in links
            )
    return NamespaceConfig(
        desired.name,
        devices,
        tuple(sorted(routes, key=lambda one: (one.destination, one.via, one.device))),
        {key: value for key, value in sysctls.items() if value is not None},
        lo_up=links["lo"].up,
    )


def _device(desired: Device, info: rtnl.LinkInfo, addresses: Sequence[str], query: socket.socket) -> Device:
    wanted = set(desired.addresses)
    kept = [one for one in addresses if one in wanted or not (one.startswith("fe80:") or one in _LOOPBACK)]
    return Device(
        info.name,
        info.mac,
        info.mtu,
        tuple(kept),
        desired.tx_checksum if info.name == "lo" else tx_checksum(query, info.name),
        desired.announce,
        info.up,
    )


def _route(info: rtnl.RouteInfo, device: str) -> Route:
    bare = info.destination == "default" and info.family == socket.AF_INET6 and not info.via
    return Route("::/0" if bare else info.destination, info.via, device)


def _apply(desired: NamespaceConfig) -> Mapping[str, Sequence[str]]:
    """Bring one namespace to its desired state; returns the new IPv4 addresses to announce, by device.

    The state is read afresh: removing links, earlier in the run, took addresses and routes along.
    """
    actual = read_namespace(desired)
    before = {one.name: set(one.addresses) for one in actual.devices}
    missing = [one.name for one in desired.devices if one.name not in before]
    if missing:
        raise ValueError(f"{desired.name}: no device {', '.join(missing)} in this namespace")
    with in_netns(desired.name):
        for key, value in _sysctls(desired, actual):
            _write_sysctl(key, value)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
            for device in _offloads(desired, actual):
                set_tx_checksum(query, device.name, device.tx_checksum)
        lines = commands(desired, actual)
        if any(line.startswith("address delete") for line in lines):
            _write_sysctl("ipv4.conf.all.promote_secondaries", "1")  # or other addresses would go with the first
        ip_batch(lines)
    return {one.name: _news(one, actual) for one in desired.devices if one.announce}


def _news(device: Device, actual: NamespaceConfig) -> list[str]:
    """IPv4 addresses that are new at this MAC."""
    (before,) = [one for one in actual.devices if one.name == device.name]
    moved = device.mac and device.mac.lower() != before.mac
    known = () if moved or not before.up else before.addresses
    return [one.split("/")[0] for one in device.addresses if one not in known and ":" not in one]


def _offloads(desired: NamespaceConfig, actual: NamespaceConfig) -> list[Device]:
    """Devices whose offload must be switched."""
    now = {one.name: one.tx_checksum for one in actual.devices}
    return [one for one in desired.devices if one.name in now and now[one.name] != one.tx_checksum]


def _sysctls(desired: NamespaceConfig, actual: NamespaceConfig) -> list[tuple[str, str]]:
    """Keys and values to write; switching forwarding comes first, because it resets others."""
    wrong = [(key, value) for key, value in desired.sysctls.items() if actual.sysctls.get(key) != value]
    return sorted(wrong, key=lambda one: (not one[0].endswith("forward"), one[0]))


@cache
def _sysctl_path(key: str) -> str:
    if not _SYSCTL.fullmatch(key) or ".." in key:
        raise ValueError(f"sysctl {key!r}: is no key below {SYSCTL_DIR}")
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

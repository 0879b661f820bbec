"""What the kernel says of links, addresses and routes in the current namespace, by rtnetlink dumps (reading only).

Changes are made by ``ip -batch`` (``ip_batch.py``). What does not belong here: what ought to be.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .netlink import ROUTE, Netlink, attribute, attributes, number, text

_GETLINK, _GETADDR, _GETROUTE = 18, 22, 26
_SKIP_STATISTICS = 8
_UP = 1
_PERMANENT = 0x80
_MAIN_TABLE = 254
_UNICAST = 1
_CONFIGURED = (3, 4)  # protocols boot and static: what ``ip route add`` and ``proto static`` leave
_FEW = 16  # up to so many links are asked for by name, more by a dump


@dataclass(frozen=True)
class LinkInfo:
    """A link as the kernel reports it. ``kind`` is the rtnetlink kind (``tap`` and ``tun`` told apart, "" = hardware);
    ``peer_index`` is the other end's index, in this namespace unless ``peer_elsewhere``."""

    index: int
    name: str
    kind: str
    mac: str
    mtu: int
    up: bool
    group: int
    master_index: int
    peer_index: int
    peer_elsewhere: bool


def links(names: Iterable[str] | None = None) -> dict[str, LinkInfo]:
    """Links by name: all of the namespace, or those of ``names`` that exist."""
    wanted = None if names is None else sorted(set(names))
    with Netlink(ROUTE) as netlink:
        if wanted is None or len(wanted) > _FEW:
            found = [_link(body) for body in netlink.dump(_GETLINK, _link_request())]
        else:
            found = [_link(body) for name in wanted for body in _link_by_name(netlink, name)]
    chosen = None if wanted is None else set(wanted)
    return {one.name: one for one in found if chosen is None or one.name in chosen}


def _link_request(name: str = "") -> bytes:
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(29, struct.pack("=I", _SKIP_STATISTICS))
    return body + attribute(3, name.encode() + b"\0") if name else body


def _link_by_name(netlink: Netlink, name: str) -> list[bytes]:
    try:
        return netlink.ask(_GETLINK, _link_request(name))
    except OSError as error:
        if error.errno in (errno.ENODEV, errno.EINVAL, errno.ERANGE):
            return []
        raise


def _link(body: bytes) -> LinkInfo:
    _, _, index, flags, _ = struct.unpack_from("=BxHiII", body)
    found = attributes(body, 16)
    return LinkInfo(
        index=index,
        name=text(found[3]),
        kind=_link_kind(found.get(18, b"")),
        mac=found.get(1, b"").hex(":"),
        mtu=number(found.get(4, b"")),
        up=bool(flags & _UP),
        group=number(found.get(27, b"")),
        master_index=number(found.get(10, b"")),
        peer_index=number(found.get(5, b"")),
        peer_elsewhere=37 in found,
    )


def _link_kind(info: bytes) -> str:
    found = attributes(info)
    kind = text(found.get(1, b""))
    if kind == "tun":
        return "tap" if number(attributes(found.get(2, b"")).get(3, b"")) == 2 else "tun"
    return kind


def addresses(also_dynamic: bool = False) -> Iterator[tuple[int, str]]:
    """(link index, ``ip/prefix``) of every permanent address (or of all), in the kernel's order."""
    with Netlink(ROUTE) as netlink:
        for body in netlink.dump(_GETADDR, struct.pack("=BBBBI", socket.AF_UNSPEC, 0, 0, 0, 0)):
            family, prefix, flags, _, index = struct.unpack_from("=BBBBI", body)
            found = attributes(body, 8)
            value = found.get(2) or found.get(1)
            if value and (also_dynamic or (number(found[8]) if 8 in found else flags) & _PERMANENT):
                yield index, f"{socket.inet_ntop(family, value)}/{prefix}"


@dataclass(frozen=True)
class RouteInfo:
    """One next hop of a configured route of the main table; ``destination`` is a CIDR or ``default``."""

    family: int
    destination: str
    via: str
    index: int


def routes() -> Iterator[RouteInfo]:
    """Unicast routes of the main table that someone configured (neither the kernel's own nor a routing daemon's)."""
    with Netlink(ROUTE) as netlink:
        for body in netlink.dump(_GETROUTE, struct.pack("=BBBBBBBBI", 0, 0, 0, 0, 0, 0, 0, 0, 0)):
            yield from _route(body)


def _route(body: bytes) -> Iterator[RouteInfo]:
    family, length, _, _, table, protocol, _, kind, _ = struct.unpack_from("=BBBBBBBBI", body)
    if table != _MAIN_TABLE or kind != _UNICAST or protocol not in _CONFIGURED or family not in _FAMILIES:
        return
    found = attributes(body, 12)
    destination = f"{socket.inet_ntop(family, found[1])}/{length}" if 1 in found else "default"
    if 9 not in found:
        yield RouteInfo(family, destination, _gateway(family, found), number(found.get(4, b"")))
        return
    hops, offset = found[9], 0
    while offset + 8 <= len(hops):
        size, _, _, index = struct.unpack_from("=HBBi", hops, offset)
        yield RouteInfo(family, destination, _gateway(family, attributes(hops[offset + 8 : offset + size])), index)
        offset += (size + 3) & ~3


def _gateway(family: int, found: dict[int, bytes]) -> str:
    return socket.inet_ntop(family, found[5]) if 5 in found else ""


_FAMILIES = (socket.AF_INET, socket.AF_INET6)

"""Read the links, addresses and routes of the current namespace from the kernel by rtnetlink.

Constants have the kernel's names; a comment above them names their header file. What does not belong here: changes
(``ip_batch.py``), and the desired links, addresses and routes (``node/links``, ``node/l3``).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .netlink import NETLINK_ROUTE, Netlink, aligned, attribute, attribute_text, attributes, number, text

# linux/rtnetlink.h
RTM_GETLINK = 18
RTM_GETADDR = 22
RTM_GETROUTE = 26
RTEXT_FILTER_SKIP_STATS = 1 << 3
RTA_DST = 1
RTA_OIF = 4
RTA_GATEWAY = 5
RTA_MULTIPATH = 9
RTN_UNICAST = 1
RTPROT_BOOT = 3
RTPROT_STATIC = 4
RT_TABLE_MAIN = 254
IFINFOMSG = struct.Struct("=BxHiII")  # family, device type, index, flags, change mask
RTMSG = struct.Struct("=BBBBBBBBI")  # family, dst_len, src_len, tos, table, protocol, scope, type, flags
RTNEXTHOP = struct.Struct("=HBBi")  # length, flags, hops, index

# linux/if_link.h
IFLA_ADDRESS = 1
IFLA_IFNAME = 3
IFLA_MTU = 4
IFLA_LINK = 5
IFLA_MASTER = 10
IFLA_LINKINFO = 18
IFLA_AF_SPEC = 26
IFLA_GROUP = 27
IFLA_EXT_MASK = 29
IFLA_LINK_NETNSID = 37
IFLA_INFO_KIND = 1  # within IFLA_LINKINFO
IFLA_INFO_DATA = 2
IFLA_TUN_TYPE = 3  # within IFLA_INFO_DATA of a tun or tap device
IFLA_INET6_CONF = 2  # within AF_INET6 of IFLA_AF_SPEC: an array of the link's IPv6 sysctls

# linux/ipv6.h
DEVCONF_DISABLE_IPV6 = 26

# linux/if.h, linux/if_tun.h
IFF_UP = 1 << 0
IFF_NOARP = 1 << 7
IFF_TAP = 0x0002

# linux/if_addr.h
IFA_ADDRESS = 1
IFA_LOCAL = 2
IFA_FLAGS = 8
IFA_F_PERMANENT = 0x80
IFADDRMSG = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index

_CONFIGURED = (RTPROT_BOOT, RTPROT_STATIC)  # the protocols of ``ip route add`` without and with ``proto static``
_FEW = 16  # up to this number, links are requested by name; more links by a dump


@dataclass(frozen=True)
class LinkInfo:
    """A link as the kernel reports it. ``kind`` is the rtnetlink kind (``tap`` and ``tun`` are distinguished; "" is
    hardware). ``peer_index`` is the index of the other end, in this namespace unless ``peer_elsewhere``. ``arp`` and
    ``ipv6``: the kernel's stack takes such packets from the link."""

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
    arp: bool = True
    ipv6: bool = True


def links(names: Iterable[str] | None = None) -> dict[str, LinkInfo]:
    """Return links by name: all links of the namespace, or those of ``names`` that exist."""
    wanted = None if names is None else sorted(set(names))
    with Netlink(NETLINK_ROUTE) as netlink:
        if wanted is None or len(wanted) > _FEW:
            read = [_link(body) for body in netlink.dump(RTM_GETLINK, _link_request())]
        else:
            read = [_link(body) for name in wanted for body in _link_by_name(netlink, name)]
    chosen = None if wanted is None else set(wanted)
    return {link.name: link for link in read if chosen is None or link.name in chosen}


def _link_request(name: str = "") -> bytes:
    body = IFINFOMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    body += attribute(IFLA_EXT_MASK, struct.pack("=I", RTEXT_FILTER_SKIP_STATS))
    return body + attribute_text(IFLA_IFNAME, name) if name else body


def _link_by_name(netlink: Netlink, name: str) -> list[bytes]:
    try:
        return netlink.ask(RTM_GETLINK, _link_request(name))
    except OSError as error:
        if error.errno in (errno.ENODEV, errno.EINVAL, errno.ERANGE):
            return []
        raise


def _link(body: bytes) -> LinkInfo:
    _, _, index, flags, _ = IFINFOMSG.unpack_from(body)
    found = attributes(body, IFINFOMSG.size)
    return LinkInfo(
        index=index,
        name=text(found[IFLA_IFNAME]),
        kind=_link_kind(found.get(IFLA_LINKINFO, b"")),
        mac=found.get(IFLA_ADDRESS, b"").hex(":"),
        mtu=number(found.get(IFLA_MTU, b"")),
        up=bool(flags & IFF_UP),
        group=number(found.get(IFLA_GROUP, b"")),
        master_index=number(found.get(IFLA_MASTER, b"")),
        peer_index=number(found.get(IFLA_LINK, b"")),
        peer_elsewhere=IFLA_LINK_NETNSID in found,
        arp=not flags & IFF_NOARP,
        ipv6=_has_ipv6(found.get(IFLA_AF_SPEC, b"")),
    )


def _has_ipv6(families: bytes) -> bool:
    """Whether IPv6 is on for a link. A link that is down or has a small MTU may have no IPv6 part."""
    values = attributes(attributes(families).get(socket.AF_INET6, b"")).get(IFLA_INET6_CONF, b"")
    offset = 4 * DEVCONF_DISABLE_IPV6
    return len(values) >= offset + 4 and values[offset : offset + 4] == bytes(4)


def _link_kind(info: bytes) -> str:
    found = attributes(info)
    kind = text(found.get(IFLA_INFO_KIND, b""))
    if kind == "tun":
        data = attributes(found.get(IFLA_INFO_DATA, b""))
        return "tap" if number(data.get(IFLA_TUN_TYPE, b"")) == IFF_TAP else "tun"
    return kind


def addresses(also_dynamic: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (link index, ``ip/prefix``) of every permanent address, or of every address, in the kernel's order."""
    with Netlink(NETLINK_ROUTE) as netlink:
        bodies = netlink.dump(RTM_GETADDR, IFADDRMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
    for body in bodies:
        family, prefix, flags, _, index = IFADDRMSG.unpack_from(body)
        found = attributes(body, IFADDRMSG.size)
        value = found.get(IFA_LOCAL) or found.get(IFA_ADDRESS)
        all_flags = number(found[IFA_FLAGS]) if IFA_FLAGS in found else flags
        if value and (also_dynamic or all_flags & IFA_F_PERMANENT):
            yield index, f"{socket.inet_ntop(family, value)}/{prefix}"


@dataclass(frozen=True)
class RouteInfo:
    """A next hop of a configured route in the main table; ``destination`` is a CIDR or ``default``."""

    family: int
    destination: str
    via: str
    index: int


def routes() -> Iterator[RouteInfo]:
    """Yield the next hops of configured unicast routes in the main table, without routes of the kernel and of routing
    daemons."""
    with Netlink(NETLINK_ROUTE) as netlink:
        bodies = netlink.dump(RTM_GETROUTE, bytes(RTMSG.size))
    for body in bodies:
        yield from _route(body)


def _route(body: bytes) -> Iterator[RouteInfo]:
    family, length, _, _, table, protocol, _, kind, _ = RTMSG.unpack_from(body)
    if table != RT_TABLE_MAIN or kind != RTN_UNICAST or protocol not in _CONFIGURED or family not in _FAMILIES:
        return
    found = attributes(body, RTMSG.size)
    destination = f"{socket.inet_ntop(family, found[RTA_DST])}/{length}" if RTA_DST in found else "default"
    if RTA_MULTIPATH not in found:
        yield RouteInfo(family, destination, _gateway(family, found), number(found.get(RTA_OIF, b"")))
        return
    for index, hop in _next_hops(found[RTA_MULTIPATH]):
        yield RouteInfo(family, destination, _gateway(family, hop), index)


def _next_hops(data: bytes) -> Iterator[tuple[int, dict[int, bytes]]]:
    """Yield (link index, attributes) of each next hop of a multipath route."""
    offset = 0
    while offset + RTNEXTHOP.size <= len(data):
        size, _, _, index = RTNEXTHOP.unpack_from(data, offset)
        if size < RTNEXTHOP.size:
            break
        yield index, attributes(data[offset + RTNEXTHOP.size : offset + size])
        offset += aligned(size)


def _gateway(family: int, found: dict[int, bytes]) -> str:
    return socket.inet_ntop(family, found[RTA_GATEWAY]) if RTA_GATEWAY in found else ""


_FAMILIES = (socket.AF_INET, socket.AF_INET6)

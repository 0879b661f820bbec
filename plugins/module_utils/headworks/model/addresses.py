"""IP addresses, CIDRs, MACs and number ranges as an operator writes them; normalised to their usual text.

Whether an address lies in its subnet is not decided here (``plan/check/``).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from .written import range_kind, text_kind

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_RANGE = re.compile(r"(\d{1,10})(?:[:-](\d{1,10}))?")
# This host, loopback, link-local (metadata among it), multicast and reserved.
_UNUSABLE = tuple(
    ip_network(one)
    for one in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10", "ff00::/8")
)


def address(value: str) -> str:
    """An IPv4 or IPv6 address, in its usual text."""
    try:
        parsed = ip_address(value)
    except ValueError:
        raise ValueError("must be an IP address, e.g. 10.18.0.3") from None
    if "%" in value:
        raise ValueError("must be an IP address without a zone")
    return str(parsed)


def address4(value: str) -> str:
    """An IPv4 address."""
    if ip_address(address(value)).version != 4:
        raise ValueError("must be an IPv4 address")
    return str(ip_address(value))


def cidr(value: str) -> str:
    """A network with its prefix length and no host bits."""
    if "/" not in value:
        raise ValueError("must have a prefix length, e.g. 10.18.0.0/24")
    try:
        parsed = ip_network(value, strict=False)
    except ValueError:
        raise ValueError("must be a CIDR, e.g. 10.18.0.0/24") from None
    if str(parsed.network_address) != str(ip_address(value.split("/")[0])):
        raise ValueError(f"has host bits set; a CIDR names a network, e.g. {parsed}")
    return str(parsed)


def subnet_cidr(value: str) -> str:
    """A CIDR that guests may have addresses of."""
    text = cidr(value)
    parsed: IPv4Network | IPv6Network = ip_network(text)
    for bad in _UNUSABLE:
        if parsed.version == bad.version and parsed.overlaps(bad):
            raise ValueError(f"overlaps {bad}, whose addresses no guest can use")
    return text


def mac(value: str) -> str:
    """A unicast MAC address in lower case with colons."""
    lower = value.lower().replace("-", ":")
    if not _MAC.fullmatch(lower):
        raise ValueError("must be a MAC address, e.g. fa:16:3e:12:34:56 (quote it in YAML)")
    if int(lower[:2], 16) & 1 or lower == "00:00:00:00:00:00":
        raise ValueError("must be a unicast MAC address: the first byte must be even, and not all be zero")
    return lower


def number_range(value: Any) -> tuple[int, int]:
    """``"2000:4094"``, ``"80-90"``, ``80`` or ``(80, 90)`` → (first, last), both included."""
    if isinstance(value, (tuple, list)) and len(value) == 2 and all(type(one) is int for one in value):
        first, last = value
    else:
        found = None if isinstance(value, bool) else _RANGE.fullmatch(str(value))
        if found is None:
            raise ValueError("must be a range, e.g. \"2000:4094\" (quoted), or one number")
        first = int(found[1])
        last = int(found[2]) if found[2] else first
    if first > last:
        raise ValueError("must be a range whose first number is not above its last")
    return first, last


def _within(low: int, high: int, what: str) -> AfterValidator:
    def check(value: tuple[int, int]) -> tuple[int, int]:
        if value[0] < low or value[1] > high:
            raise ValueError(f"must be {what} between {low} and {high}")
        return value

    return AfterValidator(check)


ADDRESS = text_kind("IP address", "^([0-9]{1,3}([.][0-9]{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)$", example="192.0.2.7")
ADDRESS4 = text_kind("IPv4 address", "^[0-9]{1,3}([.][0-9]{1,3}){3}$")
CIDR = text_kind("CIDR", "^[0-9a-fA-F:.]+/[0-9.]+$", example="192.0.2.0/24")
ADDRESS_OR_CIDR = text_kind("address or CIDR", "^[0-9a-fA-F:.]+(/[0-9.]+)?$")
MAC = text_kind("MAC address", "^[0-9a-fA-F][02468aceACE]([:-][0-9a-fA-F]{2}){5}$")
VLANS = range_kind("range of VLANs", 1, 4094)
TUNNEL_IDS = range_kind("range of tunnel ids", 1, 16777215)
PORTS = range_kind("range of ports", 1, 65535)

Address = Annotated[str, ADDRESS, AfterValidator(address)]
Address4 = Annotated[str, ADDRESS4, AfterValidator(address4)]
Cidr = Annotated[str, CIDR, AfterValidator(cidr)]
SubnetCidr = Annotated[str, CIDR, AfterValidator(subnet_cidr)]
Mac = Annotated[str, MAC, AfterValidator(mac)]
VlanRange = Annotated[tuple[int, int], VLANS, BeforeValidator(number_range), _within(1, 4094, "VLANs")]
TunnelRange = Annotated[tuple[int, int], TUNNEL_IDS, BeforeValidator(number_range), _within(1, 16777215, "tunnel ids")]
PortRange = Annotated[tuple[int, int], PORTS, BeforeValidator(number_range), _within(1, 65535, "ports")]

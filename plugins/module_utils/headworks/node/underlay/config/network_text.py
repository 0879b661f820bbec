"""The text of .network files: which parts of a NIC's file go to its bridge, and which stay with the NIC.

This file is pure: it reads and writes no files (``networkd.py`` does).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ....system.net_managers import MADE_OF

# Sections about addresses. All other sections ([Link], [SR-IOV], queueing disciplines, …) stay with the NIC.
_MOVED = {
    "Network", "Address", "Neighbor", "IPv6AddressLabel", "RoutingPolicyRule", "NextHop", "Route", "DHCP", "DHCPv4",
    "DHCPv6", "DHCPPrefixDelegation", "DHCPv6PrefixDelegation", "IPv6AcceptRA", "IPv6NDPProxyAddress", "DHCPServer",
    "DHCPServerStaticLease", "IPv6SendRA", "IPv6PREF64Prefix", "IPv6Prefix", "IPv6RoutePrefix",
}  # fmt: skip
# Keys of [Network] that stay with the NIC: devices on top of it or below it, and LLDP.
_KEPT_NETWORK = {
    "VLAN", "MACVLAN", "MACVTAP", "IPVLAN", "IPVTAP", "VXLAN", "Tunnel", "Bond", "Bridge", "Xfrm", "BatmanAdvanced",
    "MACsec", "IPoIB", "ActiveSlave", "PrimarySlave", "LLDP", "EmitLLDP",
}  # fmt: skip
_MOVED_LINK = {"RequiredForOnline", "RequiredFamilyForOnline"}  # keys of [Link] that go to the bridge


@dataclass(frozen=True)
class Section:
    """A section of a file: its name, and its lines without the comments."""

    name: str
    lines: tuple[str, ...]

    def key_of(self, line: str) -> str:
        """Return the key of one of the lines."""
        return line.partition("=")[0].strip()


@dataclass(frozen=True)
class Identity:
    """What the network knows a NIC by. ``iaid``: of its DHCP client (None: not known). ``leased``: it has a lease.
    ``advertised``: its addresses from router advertisements."""

    iaid: int | None = None
    leased: bool = False
    advertised: tuple[str, ...] = ()

    @property
    def unknown(self) -> bool:
        """Whether a DHCP server may take the bridge for another client."""
        return self.leased and self.iaid is None


def sections(texts: Iterable[str]) -> list[Section]:
    """Return the sections of a file and its drop-ins, in their order. systemd reads them as one file."""
    found: list[Section] = []
    for text in texts:
        name: str | None = None
        lines: list[str] = []
        for raw in text.replace("\\\n", " ").splitlines():
            line = raw.strip()
            if line.startswith("[") and line.endswith("]"):
                if name is not None:
                    found.append(Section(name, tuple(lines)))
                name, lines = line[1:-1], []
            elif line and line[0] not in "#;":
                lines.append(line)
        if name is not None:
            found.append(Section(name, tuple(lines)))
    return found


def bridge_text(source: Path, nic: str, bridge: str, found: Sequence[Section], identity: Identity) -> str:
    """Return the file of the bridge: the NIC's addresses, routes and DHCP."""
    first = [
        "# The bridge has these addresses instead of the NIC, also at boot. What the NIC had comes last, so it counts.",
        "ConfigureWithoutCarrier=yes",
        "# Addresses that moved here stay while no DHCP server or router has answered.",
        "KeepConfiguration=yes",
    ]
    body = [Section("Match", (f"Name={bridge}",)), Section("Network", tuple(first)), *_bridge_sections(found, identity)]
    return _head(source, f"bridge {bridge} has the addresses of NIC {nic}") + _joined(body)


def nic_text(source: Path, nic: str, bridge: str, found: Sequence[Section]) -> str:
    """Return the file of the NIC: no addresses."""
    link = [
        line for part in found if part.name == "Link" for line in part.lines if part.key_of(line) not in _MOVED_LINK
    ]
    network = ["LinkLocalAddressing=no", "IPv6AcceptRA=no", "DHCP=no"]
    network += [
        line for part in found if part.name == "Network" for line in part.lines if part.key_of(line) in _KEPT_NETWORK
    ]
    others = [part for part in found if part.name not in (*_MOVED, "Link", "Match")]
    body = [
        Section("Match", (f"Name={nic}",)),
        Section("Link", (*link, "RequiredForOnline=no")),
        Section("Network", tuple(network)),
        *others,
    ]
    return _head(source, f"NIC {nic} is in bridge {bridge}, which has its addresses") + _joined(body)


def released_text(source: Path, nic: str, found: Sequence[Section]) -> str:
    """Return the file with which the NIC has its own addresses."""
    body = [Section("Match", (f"Name={nic}",)), *(part for part in found if part.name != "Match")]
    return _head(source, f"NIC {nic} has its own addresses while Open vSwitch does not run") + _joined(body)


def _bridge_sections(found: Sequence[Section], identity: Identity) -> list[Section]:
    result = []
    for part in found:
        if part.name == "Link":
            lines = [line for line in part.lines if part.key_of(line) in _MOVED_LINK]
        elif part.name == "Network":
            lines = [line for line in part.lines if part.key_of(line) not in _KEPT_NETWORK]
        elif part.name == "IPv6AcceptRA":
            lines = _without_private_token(part, identity)
        elif part.name in _MOVED:
            result.append(part)
            continue
        else:
            continue
        if lines:
            result.append(Section(part.name, tuple(lines)))
    # systemd-networkd makes the identifier of the device's name, which differs.
    if identity.iaid is not None and not any(_has_key(part, "IAID") for part in found):
        result += [Section(name, (f"IAID={identity.iaid}",)) for name in ("DHCPv4", "DHCPv6")]
    return result


def _without_private_token(part: Section, identity: Identity) -> list[str]:
    """Return the lines of [IPv6AcceptRA]. systemd-networkd makes a private identifier of the device's name, so the
    bridge gets the NIC's identifier as text."""
    private = [line for line in part.lines if part.key_of(line) == "Token" and "prefixstable" in line]
    if not private or not identity.advertised:
        return list(part.lines)
    address = ipaddress.IPv6Interface(identity.advertised[0]).ip
    lower = ipaddress.IPv6Address(int(address) & (1 << 64) - 1)
    return [line for line in part.lines if line not in private] + [f"Token=static:{lower}"]


def _has_key(part: Section, key: str) -> bool:
    return any(part.key_of(line) == key for line in part.lines)


def _head(source: Path, purpose: str) -> str:
    return (
        f"{MADE_OF}{source}\n"
        f"# It says that {purpose}. Do not edit it: a run that takes the NIC out of the bridge deletes it.\n"
    )


def _joined(body: Sequence[Section]) -> str:
    return "".join("\n" + "\n".join((f"[{part.name}]", *part.lines)) + "\n" for part in body)

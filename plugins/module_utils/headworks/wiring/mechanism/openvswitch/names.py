"""Names of Open vSwitch's bridges and ports on a node, as Neutron chooses them."""

from __future__ import annotations

from hashlib import sha1
from ipaddress import IPv4Address

from ....state.openflow import BR_INT as BR_INT

BR_TUN = "br-tun"
BR_PHY = "br-phy"
PATCH_TUN = "patch-tun"  # on br-int
PATCH_INT = "patch-int"  # on br-tun
VLAN_PRESENT = 0x1000  # OpenFlow 1.4 writes VLAN 7 as 4096 + 7

_IFNAMSIZ = 15


def tunnel_port(kind: str, remote_ip: str) -> str:
    """Return the name of the port on br-tun to a node: ``gre-0a000a03``."""
    return f"{kind}-{int(IPv4Address(remote_ip)):08x}"


def int_patch(bridge: str) -> str:
    """Return the name of the patch port on br-int to a provider bridge."""
    return _bounded("int-", bridge)


def phy_patch(bridge: str) -> str:
    """Return the name of the patch port on a provider bridge to br-int."""
    return _bounded("phy-", bridge)


def _bounded(prefix: str, name: str) -> str:
    """Return ``prefix`` + ``name``, shortened to 15 characters (IFNAMSIZ): a shortened name ends in a hash of
    ``name``."""
    if len(prefix) + len(name) <= _IFNAMSIZ:
        return prefix + name
    digest = sha1(name.encode(), usedforsecurity=False).hexdigest()[:6]
    return f"{prefix}{name[: _IFNAMSIZ - len(prefix) - len(digest)]}{digest}"

"""IPv6 addresses from router advertisements: a bridge must make the same addresses as its NIC did, and renew them.

The addresses themselves move as all others do (``carry.py``). This file copies the settings by which the kernel accepts
advertisements and makes addresses.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...system.process import run

CONF = Path("/proc/sys/net/ipv6/conf")
_MODE = "addr_gen_mode"
_BY_MAC = "0"  # of addr_gen_mode: the address is made of the MAC, which the bridge has, too
# In this order: a device that forwards treats advertisements in another way.
_SETTINGS = (
    "disable_ipv6", "forwarding", "accept_ra", "accept_ra_defrtr", "accept_ra_pinfo", "accept_ra_rtr_pref",
    "accept_ra_rt_info_min_plen", "accept_ra_rt_info_max_plen", "accept_ra_mtu", "accept_ra_min_hop_limit",
    "accept_ra_min_lft", "accept_ra_from_local", "ra_defrtr_metric", "router_solicitations", "use_tempaddr",
    "temp_valid_lft", "temp_prefered_lft", "dad_transmits", "stable_secret", _MODE, "autoconf",
)  # fmt: skip


def copy_settings(nic: str, bridge: str) -> None:
    """Let ``bridge`` accept router advertisements and make addresses as ``nic`` does. Does nothing without IPv6.

    It must run before the addresses move, while the NIC still has its own settings.
    """
    for name in _SETTINGS:
        value = _read(nic, name)
        # IPv6 is not taken from a bridge: the kernel would delete its addresses.
        if value and value != _read(bridge, name) and (name, value) != ("disable_ipv6", "1"):
            with suppress(OSError):  # another kernel may not have the setting, or not for this device
                (CONF / bridge / name).write_text(value)


def read_token(device: str) -> str:
    """Return the interface identifier of the addresses that a device makes for advertised prefixes, as ``ip token``
    takes it; "" if it is made of the MAC, or if the kernel makes no such addresses.

    The kernel makes a private identifier of the device's permanent MAC. The bridge has another one.
    """
    if not _accepts(device):
        return ""
    with suppress(ValueError, KeyError, IndexError):
        token = str(json.loads(run(["ip", "-json", "token", "get", "dev", device], ok=range(256)) or "[]")[0]["token"])
        if token != "::":
            return token
    if _read(device, _MODE) in ("", _BY_MAC):
        return ""
    (shown,) = json.loads(run(["ip", "-json", "-6", "address", "show", "dev", device])) or [{}]
    return next((_identifier(info["local"]) for info in shown.get("addr_info", ()) if _is_made(info)), "")


def _accepts(device: str) -> bool:
    """Return whether the kernel makes addresses for the device: then it takes a token."""
    accepted = {"0": ("1", "2")}.get(_read(device, "forwarding"), ("2",))
    return _read(device, "accept_ra") in accepted and _read(device, "router_solicitations") != "0"


def _is_made(info: Mapping[str, Any]) -> bool:
    """Return whether the kernel made the address for an advertised prefix, and not for privacy."""
    kernel_made = info.get("scope") == "global" and info.get("dynamic") and not info.get("temporary")
    return bool(kernel_made) and info.get("prefixlen") == 64


def _identifier(address: str) -> str:
    """Return the lower half of an address."""
    return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(address)) & (1 << 64) - 1))


def _read(device: str, name: str) -> str:
    try:
        return (CONF / device / name).read_text().strip()
    except OSError:  # stable_secret that is not set cannot be read
        return ""

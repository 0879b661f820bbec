"""What the hook of ifupdown does: it calls ``main`` with PHASE, NIC, BRIDGE and ADDRFAM.

Before ``ifup``, the bridge's routes get a large metric, so that ``ifup`` can add the same routes for the NIC; the
bridge's lease becomes the NIC's, so that the DHCP client asks for the same address. After ``ifup``, addresses, routes
and DHCP client move to the bridge. What does not belong here: the hook itself (``ifupdown.py``).
"""

from __future__ import annotations

import re

from ....system.ip_batch import ip_batch
from ....system.process import run
from ..advertised import copy_settings
from ..carry import lines_after_move, lines_before_move, read_carried, save_carried
from ..dhcp_client import copy_leases, delete_leases, move_clients
from ..ipv4_settings import copy_ipv4_settings

LARGE = 7_000_000  # is added to the metric of the bridge's routes while ifup runs
_FAMILIES = {"inet": ("-4",), "inet6": ("-6",)}


def before_ifup(nic: str, bridge: str, addrfam: str) -> None:
    """Let ``ifup`` add the routes and get the lease that the bridge has. The bridge stays reachable."""
    copy_leases(bridge, nic)
    for family in _FAMILIES.get(addrfam, ("-4", "-6")):
        for route in run(["ip", family, "route", "show", "dev", bridge]).splitlines():
            moved = with_large_metric(route, family)
            if moved:
                # Delete first: IPv6 does not tell the two routes apart otherwise.
                old = re.sub(r" (expires|pref|hoplimit) \S+", "", _plain(route))
                run(["ip", family, "route", "replace", *moved.split(), "dev", bridge], ok=range(256))
                run(["ip", family, "route", "delete", *old.split(), "dev", bridge], ok=range(256))


def after_ifup(nic: str, bridge: str) -> None:
    """Move the NIC's addresses, routes and DHCP client to the bridge."""
    carried = read_carried(nic)
    if carried.addresses:
        copy_settings(nic, bridge)
        copy_ipv4_settings(nic, bridge)
        save_carried(nic, carried)
        ip_batch(lines_before_move(carried, bridge))
        ip_batch(lines_after_move(carried, nic, bridge))
    move_clients(nic, bridge)
    delete_leases(nic)
    for family in ("-4", "-6"):
        for route in run(["ip", family, "route", "show", "dev", bridge]).splitlines():
            if _metric(route) >= LARGE:
                run(["ip", family, "route", "delete", *_plain(route).split(), "dev", bridge], ok=range(256))


def with_large_metric(route: str, family: str) -> str:
    """Return a line of ``ip route show`` with a large metric; "" if the route stays as it is: a route of the kernel or
    of an advertisement, or one that has a large metric already."""
    if " proto kernel" in route or " proto ra" in route or _metric(route) >= LARGE or "nexthop" in route:
        return ""
    metric = _metric(route) or (1024 if family == "-6" else 0)
    plain = re.sub(r" metric \d+", "", _plain(route))
    return f"{plain} metric {LARGE + metric}"


def _metric(route: str) -> int:
    found = re.search(r" metric (\d+)", route)
    return int(found[1]) if found else 0


def _plain(route: str) -> str:
    """Return the route without words that ``ip route add`` refuses."""
    words = [word for word in route.split() if word not in ("linkdown", "dead", "offload", "trap")]
    return re.sub(r"(expires \d+)sec", r"\1", " ".join(words))


def main(arguments: list[str]) -> int:
    """Run one phase. Returns the exit code."""
    phase, nic, bridge, *addrfam = arguments
    if phase == "pre-up":
        before_ifup(nic, bridge, addrfam[0] if addrfam else "")
    else:
        after_ifup(nic, bridge)
    return 0

"""Limits of the nodes' kernels, compared with what the declared cloud needs of each node.

The formulas, with what the kernel counts:

- Neighbours: one table for IPv4 and one for IPv6, each for all namespaces together. A router's namespace has an entry
  for each guest on the networks of its interfaces, a DHCP namespace for each guest of its network, the node for each
  other node. ``NEIGHBOURS`` are for all others, such as hosts of external networks. Above gc_thresh3 the kernel logs
  "neighbour table overflow" and drops packets (Documentation/networking/ip-sysctl.rst).
- Connections: nf_conntrack_max is compared with each namespace by itself, so the router with the most ports behind it
  counts, with ``CONNECTIONS`` for each of these ports. Above it the kernel logs "table full, dropping packet". The
  hash table is one for all namespaces; nf_conntrack_buckets is too small if its chains have more than ``CHAIN``
  connections on average (Documentation/networking/nf_conntrack-sysctl.rst).
- Files and threads: ``GUEST_FILES`` and ``GUEST_THREADS`` for each QEMU, which starts up to 64 threads for its disks
  beside one for each vCPU; ``SERVICE_FILES`` for the daemons of a namespace; ``OTHER_FILES``, ``OTHER_THREADS`` for the
  rest of the node.
- Namespaces: one for each router and one for each network with DHCP.

Limits of single daemons are not compared: the packages' units set them (ovs-vswitchd 1048576 files, libvirtd 8192, two
for each guest). inotify is not either: the DHCP servers read no resolv.conf, and so use none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..model.errors import Problems
from .cloud import Cloud, Instance, Port
from .facts import NodeFacts
from .identity import natural

NEIGHBOURS = 256
CONNECTIONS, CHAIN = 1000, 8
GUEST_FILES, GUEST_THREADS = 64, 70
SERVICE_FILES, OTHER_FILES, OTHER_THREADS = 64, 8192, 2048


@dataclass(frozen=True)
class Need:
    """A limit: the sysctl ``key`` must be at least ``least``. ``of`` says what is counted, ``otherwise`` what happens
    with less. ``fatal``: the run would fail."""

    key: str
    least: int
    of: str
    otherwise: str
    fatal: bool = False


@dataclass(frozen=True)
class _Demand:
    """What is counted once for all nodes: node → guests, and network → addresses of guests by IP version."""

    guests: Mapping[str, list[Instance]]
    ipv4: Mapping[str, int]
    ipv6: Mapping[str, int]


def check_limits(cloud: Cloud, facts: Mapping[str, NodeFacts], problems: Problems) -> list[str]:
    """Refuse limits with which the run would fail, and return a warning for each other limit that is too small."""
    warnings = []
    demand = _demand(cloud)
    for name in sorted(cloud.nodes, key=natural):
        kernel = facts[name].kernel if name in facts else None
        for need in _needs(cloud, name, demand) if kernel else ():
            value = kernel.limits.get(need.key) if kernel else None
            if value is None or value >= need.least:
                continue
            rule = (
                f"the declared cloud needs {need.least} ({need.of}); with less, {need.otherwise}. Set on {name}, in a "
                f"file of /etc/sysctl.d: {need.key} = {_rounded(need.least)}"
            )
            if need.fatal:
                problems.add(f"nodes.{name}: {need.key}", value, rule)
            else:
                warnings.append(f"nodes.{name}: {need.key}: {value}: {rule}")
    return warnings


def _demand(cloud: Cloud) -> _Demand:
    guests: dict[str, list[Instance]] = defaultdict(list)
    ipv4: Counter[str] = Counter()
    ipv6: Counter[str] = Counter()
    for guest in cloud.instances.values():
        guests[guest.node].append(guest)
        for port in guest.ports:
            ipv4[port.network] += _addresses(port, False)
            ipv6[port.network] += _addresses(port, True)
    return _Demand(guests, ipv4, ipv6)


def _needs(cloud: Cloud, node: str, demand: _Demand) -> Iterator[Need]:
    """Yield what the cloud needs of the node. The kernel's own defaults are often enough."""
    routers = [router for router in cloud.routers.values() if node in router.nodes]
    served = [name for name, ports in cloud.dhcp_ports.items() for port in ports if node in port.nodes]
    behind = [sorted({port.network for port in router.interfaces}) for router in routers]
    if routers or served:
        yield from _of_namespaces(len(cloud.nodes), behind, served, demand)
    if routers:
        yield from _of_routers(behind, demand)
    guests, spaces = demand.guests.get(node, []), len(routers) + len(served)
    of = f"{len(guests)} guests, {spaces} namespaces"
    files = sum(GUEST_FILES + 4 * len(guest.ports) for guest in guests) + SERVICE_FILES * spaces + OTHER_FILES
    yield Need("fs.file-max", files, of, "daemons and guests fail")
    threads = sum(GUEST_THREADS + guest.vcpus for guest in guests) + 4 * spaces + OTHER_THREADS
    for key in ("kernel.threads-max", "kernel.pid_max"):
        yield Need(key, threads, of, "guests cannot start threads")


def _of_namespaces(nodes: int, behind: list[list[str]], served: list[str], demand: _Demand) -> Iterator[Need]:
    spaces = len(behind) + len(served)
    for version, count in (("ipv4", demand.ipv4), ("ipv6", demand.ipv6)):
        seen = sum(count.get(network, 0) for network in [*(one for networks in behind for one in networks), *served])
        yield Need(
            f"net.{version}.neigh.default.gc_thresh3",
            seen + nodes + NEIGHBOURS,
            f"{seen} neighbours in its {spaces} namespaces, {nodes + NEIGHBOURS} others",
            "the kernel drops packets to neighbours",
        )
    of = f"{len(behind)} routers, {len(served)} DHCP servers"
    yield Need("user.max_net_namespaces", spaces + 1, of, "namespaces cannot be created", fatal=True)


def _of_routers(behind: list[list[str]], demand: _Demand) -> Iterator[Need]:
    connections = [CONNECTIONS * sum(demand.ipv4.get(network, 0) for network in networks) for networks in behind]
    yield Need(
        "net.netfilter.nf_conntrack_max",
        max(connections),
        f"{CONNECTIONS} connections for each guest behind the router that has most",
        "routers drop new connections",
    )
    yield Need(
        "net.netfilter.nf_conntrack_buckets",
        sum(connections) // CHAIN,
        f"{sum(connections)} connections of {len(behind)} routers, {CHAIN} in a bucket",
        "routing becomes slow",
    )


def _addresses(port: Port, ipv6: bool) -> int:
    """The number of addresses that a neighbour of the port sees; with IPv6 also the link-local one."""
    addresses = sum((":" in fixed.address) is ipv6 for fixed in port.fixed_ips)
    return addresses + 1 if ipv6 and addresses else addresses


def _rounded(least: int) -> int:
    """The next power of two."""
    return 1 << max(0, least - 1).bit_length()

"""The text of the files that dnsmasq reads for a network, and of its unit. Pure: this file writes nothing to a node.

What does not belong here: leases (``leases.py``), and when to write, reload or restart (``dnsmasq.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from ....state.places import DHCP_LEASES, GUESTS_UNIT
from ....system.systemd import program

if TYPE_CHECKING:
    from ....state.dhcp import DhcpHost, DhcpNetwork, DhcpSubnet

CONFIG = "dnsmasq.conf"  # dnsmasq reads it only at its start; it reads the other files again on SIGHUP
HOSTS = "hosts"
NAMES = "addn_hosts"
OPTIONS = "opts"
LEASES = DHCP_LEASES

_HEADER = "# Written by headworks: changes made here are overwritten.\n"
_MAX_LEASES = 1 << 24
_PLAIN = r"[A-Za-z0-9_.:-]*"
_MAC = r"[0-9a-f]{2}(:[0-9a-f]{2}){5}"


def unit_text(root: Path) -> str:
    """Return the template unit. ``root`` is the directory that holds a directory for each network.

    The type is forking: dnsmasq's parent process exits when the sockets are open, so the server answers when the start
    has returned.
    """
    return f"""\
[Unit]
Description=DHCP and DNS of network %i
Before={GUESTS_UNIT}
StartLimitIntervalSec=0

[Service]
Type=forking
PIDFile={root}/%i/pid
NetworkNamespacePath={root}/%i/netns
ExecStart={program("dnsmasq")} --conf-file={root}/%i/{CONFIG}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1
TimeoutStartSec=90
LogRateLimitIntervalSec=0
"""


def render(network: DhcpNetwork, directory: Path, user: str) -> dict[str, str]:
    """Return the files of a network that are made from its record, name in ``directory`` → text.

    :param user: the user that dnsmasq runs as.
    :raises ValueError: a value has characters that would end its field or its line.
    """
    return {
        CONFIG: _config(network, directory, user),
        HOSTS: _HEADER + "".join(_host_lines(network)),
        NAMES: _HEADER + "".join(_name_lines(network)),
        OPTIONS: _HEADER + "".join(line + "\n" for subnet in network.subnets for line in _options(network, subnet)),
    }


def _config(network: DhcpNetwork, directory: Path, user: str) -> str:
    lines = [
        f"pid-file={directory}/pid",
        f"interface={_plain('interface', network.interface)}",
        "except-interface=lo",
        "bind-dynamic",
        f"user={user}",
        "no-hosts",
        f"dhcp-hostsfile={directory}/{HOSTS}",
        f"addn-hosts={directory}/{NAMES}",
        f"dhcp-optsfile={directory}/{OPTIONS}",
        f"dhcp-leasefile={directory}/{LEASES}",
        f"dhcp-lease-max={_lease_max(network)}",
        # Answer known hosts only. A provider network may have other DHCP servers, whose guests must not get a NAK.
        "dhcp-ignore=tag:!known",
        # The MAC alone identifies a guest. A client id is what a guest says, and could be that of another guest.
        "dhcp-ignore-clid",
        # A guest must not choose its own DNS name.
        "dhcp-ignore-names",
        f"dhcp-option-force=option:mtu,{int(network.mtu)}",
        "log-async=100",
    ]
    # "no-ping" is not set: with it dnsmasq drops its raw sockets, and could not serve an interface that is recreated.
    # A namespace cannot reach other DNS servers; the root namespace can reach the node's own resolvers.
    lines.append("no-resolv" if network.netns else "strict-order")
    if network.domain:
        lines += [f"domain={_plain('domain', network.domain)}", f"local=/{network.domain}/"]
    lines += [_range(network, subnet) for subnet in network.subnets]
    return _HEADER + "".join(line + "\n" for line in lines)


def _range(network: DhcpNetwork, subnet: DhcpSubnet) -> str:
    net = ip_network(subnet.cidr)
    size = net.netmask if isinstance(net, IPv4Network) else net.prefixlen
    lease = "infinite" if network.lease_seconds < 0 else f"{int(network.lease_seconds)}s"
    return f"dhcp-range=set:{_plain('tag', subnet.tag)},{net.network_address},static,{size},{lease}"


def _lease_max(network: DhcpNetwork) -> int:
    """Return the largest number of leases. It depends on the size of the subnets and not on the number of hosts,
    because it is part of the configuration: another host must not need a restart."""
    sizes = sum(min(ip_network(subnet.cidr).num_addresses, _MAX_LEASES) for subnet in network.subnets)
    return max(1, min(sizes, _MAX_LEASES))


def _host_lines(network: DhcpNetwork) -> list[str]:
    """Return the lines of the hosts file, one for each IPv4 address. A guest's IPv6 addresses are in the line of its
    first IPv4 address, because for a line without an IPv4 address dnsmasq looks one up by the name."""
    ipv4: list[tuple[tuple[str, str], str]] = []
    ipv6: dict[tuple[str, str], list[str]] = {}
    for host in network.hosts:
        if not re.fullmatch(_MAC, host.mac):
            raise ValueError(
                f"DHCP of network {network.name}: {host.mac!r} is not a MAC address in lower case with colons"
            )
        address, guest = ip_address(host.address), (host.mac, full_name(network, host))
        if address.version == 6:
            ipv6.setdefault(guest, []).append(f"[{address}]")
        else:
            ipv4.append((guest, str(address)))
    lines = [",".join([*guest, address, *ipv6.pop(guest, [])]) + "\n" for guest, address in ipv4]
    return lines + [",".join([*guest, *addresses]) + "\n" for guest, addresses in ipv6.items()]


def _name_lines(network: DhcpNetwork) -> Iterator[str]:
    """Yield the lines of the file of DNS names. A host whose name has dots also has its first label as a name, unless
    that is the name of several hosts."""
    holders: dict[str, set[str]] = {}
    for host in network.hosts:
        holders.setdefault(short_name(host), set()).add(host.mac)
    for host in network.hosts:
        names = [full_name(network, host), short_name(host)]
        if "." in host.hostname:
            names = [host.hostname, *(names if len(holders[short_name(host)]) == 1 else ())]
        yield " ".join(dict.fromkeys([str(ip_address(host.address)), *names])) + "\n"


def short_name(host: DhcpHost) -> str:
    """Return the first label of the host's name; if it has none, a name made from its address, ``host-10-0-0-3``."""
    label = _plain("hostname", host.hostname).partition(".")[0]
    return label or "host-" + re.sub(r"[.:]+", "-", host.address).strip("-")


def full_name(network: DhcpNetwork, host: DhcpHost) -> str:
    """Return the first label of the host's name with the network's domain."""
    return f"{short_name(host)}.{network.domain}" if network.domain else short_name(host)


def _options(network: DhcpNetwork, subnet: DhcpSubnet) -> Iterator[str]:
    tag = f"tag:{_plain('tag', subnet.tag)}"
    net = ip_network(subnet.cidr)
    dns = [ip_address(server) for server in subnet.dns or (subnet.server,)]
    if net.version == 6:
        yield ",".join([tag, "option6:dns-server", *(f"[{server}]" for server in dns)])
        return
    yield ",".join([tag, "option:dns-server", *map(str, dns)])
    # Without a value dnsmasq does not send the option; without the line it would send its own address as the router.
    yield f"{tag},option:router,{ip_address(subnet.gateway)}" if subnet.gateway else f"{tag},option:router"
    routes = _routes(network, subnet)
    if routes:
        pairs = ",".join(f"{destination},{nexthop}" for destination, nexthop in routes)
        yield f"{tag},option:classless-static-route,{pairs}"
        yield f"{tag},249,{pairs}"  # Windows asks for 249 instead of 121


def _routes(network: DhcpNetwork, subnet: DhcpSubnet) -> list[tuple[str, str]]:
    """Return the (destination, next hop) pairs of option 121. They have on-link routes to the network's other subnets,
    and the default route, because a client that gets option 121 must ignore option 3 (RFC 3442)."""
    others = [
        other.cidr for other in network.subnets if other.cidr != subnet.cidr and ip_network(other.cidr).version == 4
    ]
    routes = [(str(ip_network(cidr)), "0.0.0.0") for cidr in others]
    routes += [(str(ip_network(route.destination)), str(ip_address(route.nexthop))) for route in subnet.routes]
    if routes and subnet.gateway:
        routes.append(("0.0.0.0/0", str(ip_address(subnet.gateway))))
    return routes


def _plain(field: str, value: str) -> str:
    """Return ``value``.

    :raises ValueError: ``value`` has characters that could end a field or a line.
    """
    if not re.fullmatch(_PLAIN, value):
        raise ValueError(f"DHCP: {field} {value!r} has other characters than letters, digits and _ . : -")
    return value

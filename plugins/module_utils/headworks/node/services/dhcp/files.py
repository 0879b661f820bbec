"""The files dnsmasq reads for one network, and the unit that runs it: pure text from the record, nothing written here.

What does not belong here: leases (``dhcp_leases.py``), and when to write, reload or restart (``dhcp.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from ....state.places import DHCP_LEASES

if TYPE_CHECKING:
    from ....state.dhcp import DhcpHost, DhcpNetwork, DhcpSubnet

# A change of this one needs a restart; the others are read again on SIGHUP.
CONFIG = "dnsmasq.conf"
HOSTS = "hosts"
NAMES = "addn_hosts"
OPTIONS = "opts"
LEASES = DHCP_LEASES

_HEADER = "# Written by headworks: changes made here are overwritten.\n"
_LEASES_AT_MOST = 1 << 24
_PLAIN = r"[A-Za-z0-9_.:-]*"
_MAC = r"[0-9a-f]{2}(:[0-9a-f]{2}){5}"


def unit_text(root: Path) -> str:
    """The template unit. ``root`` is the directory that holds one directory per network.

    Forking, because dnsmasq's parent exits when the sockets are open: a start that returns is a server that answers.
    """
    return f"""\
[Unit]
Description=DHCP and DNS of network %i
StartLimitIntervalSec=0

[Service]
Type=forking
PIDFile={root}/%i/pid
NetworkNamespacePath={root}/%i/netns
ExecStart=/usr/sbin/dnsmasq --conf-file={root}/%i/{CONFIG}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1
TimeoutStartSec=20
LogRateLimitIntervalSec=0
"""


def render(network: DhcpNetwork, directory: Path) -> dict[str, str]:
    """All files of a network that are text made from the record, by name within ``directory``.

    :raises ValueError: a value that would be more than a value in a line of these files.
    """
    return {
        CONFIG: _config(network, directory),
        HOSTS: _HEADER + "".join(_host_lines(network)),
        NAMES: _HEADER + "".join(_name_line(network, host) for host in network.hosts),
        OPTIONS: _HEADER + "".join(line + "\n" for subnet in network.subnets for line in _options(network, subnet)),
    }


def _config(network: DhcpNetwork, directory: Path) -> str:
    lines = [
        f"pid-file={directory}/pid",
        f"interface={_plain('interface', network.interface)}",
        "except-interface=lo",
        "bind-dynamic",
        "user=dnsmasq",
        "no-hosts",
        f"dhcp-hostsfile={directory}/{HOSTS}",
        f"addn-hosts={directory}/{NAMES}",
        f"dhcp-optsfile={directory}/{OPTIONS}",
        f"dhcp-leasefile={directory}/{LEASES}",
        f"dhcp-lease-max={_lease_max(network)}",
        # Only those we know: with others' DHCP servers on a provider network, not even a NAK for a stranger.
        "dhcp-ignore=tag:!known",
        # A guest does not choose the name others find it by.
        "dhcp-ignore-names",
        f"dhcp-option-force=option:mtu,{int(network.mtu)}",
        "log-async=100",
    ]
    # No "no-ping" above: with it dnsmasq gives up raw sockets, and could not follow an interface that is made anew.
    # In a namespace nothing upstream can be reached; in the root namespace the node's own resolvers can.
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
    """By the size of the subnets, not by the number of hosts: one more host must not be a restart."""
    sizes = sum(min(ip_network(subnet.cidr).num_addresses, _LEASES_AT_MOST) for subnet in network.subnets)
    return max(1, min(sizes, _LEASES_AT_MOST))


def _host_lines(network: DhcpNetwork) -> list[str]:
    """A line per lease; a guest's IPv6 addresses go with its first IPv4 one, or dnsmasq looks one up by the name."""
    four: list[tuple[tuple[str, str], str]] = []
    six: dict[tuple[str, str], list[str]] = {}
    for host in network.hosts:
        if not re.fullmatch(_MAC, host.mac):
            raise ValueError(
                f"DHCP of network {network.name}: {host.mac!r} is no MAC address in lower case with colons"
            )
        address, who = ip_address(host.address), (host.mac, qualified(network, host))
        if address.version == 6:
            six.setdefault(who, []).append(f"[{address}]")
        else:
            four.append((who, str(address)))
    lines = [",".join([*who, address, *six.pop(who, [])]) + "\n" for who, address in four]
    return lines + [",".join([*who, *addresses]) + "\n" for who, addresses in six.items()]


def _name_line(network: DhcpNetwork, host: DhcpHost) -> str:
    full = qualified(network, host)
    short = short_name(host)
    return f"{ip_address(host.address)} {full}" + (f" {short}\n" if short != full else "\n")


def short_name(host: DhcpHost) -> str:
    """The host's name; one that has none is called by its address, ``host-10-0-0-3``."""
    return _plain("hostname", host.hostname) or "host-" + re.sub(r"[.:]+", "-", host.address).strip("-")


def qualified(network: DhcpNetwork, host: DhcpHost) -> str:
    """The host's name with the network's domain."""
    return f"{short_name(host)}.{network.domain}" if network.domain else short_name(host)


def _options(network: DhcpNetwork, subnet: DhcpSubnet) -> Iterator[str]:
    tag = f"tag:{_plain('tag', subnet.tag)}"
    net = ip_network(subnet.cidr)
    dns = [ip_address(one) for one in subnet.dns or (subnet.server,)]
    if net.version == 6:
        yield ",".join([tag, "option6:dns-server", *(f"[{one}]" for one in dns)])
        return
    yield ",".join([tag, "option:dns-server", *map(str, dns)])
    # With no value dnsmasq sends none at all; without the line it would name itself as the router.
    yield f"{tag},option:router,{ip_address(subnet.gateway)}" if subnet.gateway else f"{tag},option:router"
    routes = _routes(network, subnet)
    if routes:
        pairs = ",".join(f"{destination},{nexthop}" for destination, nexthop in routes)
        yield f"{tag},option:classless-static-route,{pairs}"
        yield f"{tag},249,{pairs}"  # what Windows asks for instead of 121


def _routes(network: DhcpNetwork, subnet: DhcpSubnet) -> list[tuple[str, str]]:
    """Option 121: the network's other subnets are on the same link; the default route is among them, because a client
    that gets 121 must ignore option 3 (RFC 3442)."""
    others = [one.cidr for one in network.subnets if one.cidr != subnet.cidr and ip_network(one.cidr).version == 4]
    routes = [(str(ip_network(cidr)), "0.0.0.0") for cidr in others]
    routes += [(str(ip_network(one.destination)), str(ip_address(one.nexthop))) for one in subnet.routes]
    if routes and subnet.gateway:
        routes.append(("0.0.0.0/0", str(ip_address(subnet.gateway))))
    return routes


def _plain(field: str, value: str) -> str:
    """``value``, when it cannot end a field or a line."""
    if not re.fullmatch(_PLAIN, value):
        raise ValueError(f"DHCP: {field} {value!r} has more than letters, digits and _ . : -")
    return value

"""The metadata proxies: haproxy inside the namespace of a router or of DHCP, as a systemd template instance.

The proxy finds out whose tree is requested from the source address alone, and passes it to the metadata server in a
header that it sets itself. What does not belong here: the metadata server and the trees (``served.py``), and the
address 169.254.169.254 itself (``node/l3``).
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path

from ....state.distribution import Distribution
from ....state.metadata import METADATA_ADDRESS, NETWORK_ID, MetadataProxy
from ....state.places import GUESTS_UNIT
from ....system import systemd
from ..daemons import DaemonSubsystem
from .server import HEADER, SOCKET

ROOT = Path("/run/headworks/metadata-proxies")
CONFIG = "haproxy.cfg"
HOST = "host"  # the proxy that runs in the root namespace

_CONFIG_HEAD = """\
# Written by headworks: changes made here are overwritten.
global
    user {user}
    group {group}
    maxconn 1024
    nbthread 1
    hard-stop-after 30s
    log stdout format raw local0

defaults
    mode http
    log global
    option httplog
    option dontlognull
    option http-server-close
    timeout connect 2s
    timeout client 15s
    timeout server 15s
    timeout http-request 10s
    timeout http-keep-alive 10s

frontend metadata
    bind {address}:80 transparent
    # One guest must not take the connections of all.
    stick-table type ip size 16k expire 1m store conn_cur
    tcp-request connection track-sc0 src
    tcp-request connection reject if {{ sc0_conn_cur gt 64 }}
    http-request deny deny_status 405 unless METH_GET
    # Whatever a guest says about who it is.
    http-request del-header X-Headworks- -m beg
    http-request del-header X-Forwarded-For
"""
_CONFIG_TAIL = f"""\
    http-request deny deny_status 404 unless {{ req.hdr({HEADER}) -m found }}
    default_backend store

backend store
    http-reuse never
    server store unix@{SOCKET}
"""


class MetadataProxySubsystem(DaemonSubsystem[MetadataProxy]):
    """The haproxy of each namespace. It is reloaded for another list of networks: the old process still answers its
    running requests."""

    kind = "metadata proxy"
    record = MetadataProxy
    template = "headworks-metadata"
    program = "haproxy"

    def __init__(self, owner: str | None = None, root: Path = ROOT, *, user: str, group: str) -> None:
        super().__init__(owner, root)
        self.user = user
        self.group = group

    @classmethod
    def of_node(cls, owner: str, distribution: Distribution) -> MetadataProxySubsystem:
        """Return the subsystem with the user and the group of the distribution's haproxy."""
        return cls(owner, user=distribution.haproxy_user, group=distribution.haproxy_group)

    def unit_text(self) -> str:
        """Return the template unit. When its start has returned, the proxy listens (``-Ws`` notifies systemd)."""
        haproxy = systemd.program("haproxy")
        return f"""\
[Unit]
Description=Metadata proxy in %i
Before={GUESTS_UNIT}
StartLimitIntervalSec=0

[Service]
Type=notify
NetworkNamespacePath={self.root}/%i/netns
ExecStart={haproxy} -Ws -p {self.root}/%i/pid -f {self.root}/%i/{CONFIG}
ExecReload={haproxy} -c -q -f {self.root}/%i/{CONFIG}
ExecReload=/bin/kill -USR2 $MAINPID
KillMode=mixed
SuccessExitStatus=143
Restart=always
RestartSec=1
TimeoutStartSec=90
"""

    def files(self, proxy: MetadataProxy) -> dict[str, str]:
        """Return haproxy's configuration file."""
        return {CONFIG: config_text(proxy, self.user, self.group)}

    def netns(self, proxy: MetadataProxy) -> str:
        """Return the namespace of the proxy, which is also its name; the proxy ``host`` is in the root namespace."""
        return "" if proxy.name == HOST else proxy.name


def config_text(proxy: MetadataProxy, user: str, group: str) -> str:
    """Return haproxy's configuration. It has a line for each network, which sets the header for requests from the
    network's range.

    :raises ValueError: a network id or a range is not valid.
    """
    lines = []
    for network in proxy.networks:
        if not re.fullmatch(NETWORK_ID, network.network_id):
            raise ValueError(f"metadata proxy {proxy.name}: {network.network_id!r} is not a network id")
        source = ip_network(network.cidr)
        lines.append(f"    http-request set-header {HEADER} {network.network_id}/%[src] if {{ src {source} }}\n")
    head = _CONFIG_HEAD.format(user=user, group=group, address=METADATA_ADDRESS)
    return head + "".join(lines) + _CONFIG_TAIL

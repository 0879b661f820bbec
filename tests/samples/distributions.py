"""The names of Debian that the engine needs, as site.yml passes them. A test compares them with site.yml."""

from __future__ import annotations

from headworks.node.services.metadata.server import Accounts
from headworks.state.distribution import Distribution

DEBIAN = Distribution(
    nginx_user="www-data",
    nginx_group="www-data",
    haproxy_user="haproxy",
    haproxy_group="haproxy",
    dnsmasq_user="dnsmasq",
    openvswitch_service="openvswitch-switch.service",
    ovsdb_service="ovsdb-server.service",
    vswitchd_service="ovs-vswitchd.service",
    libvirt_service="libvirtd.service",
    libvirt_guests_service="libvirt-guests.service",
    nftables_service="nftables.service",
)
ACCOUNTS = Accounts(DEBIAN.nginx_user, DEBIAN.nginx_group, DEBIAN.haproxy_group)

"""Names that differ between distributions and that the engine needs: users, groups and systemd units of packages.

The values come from ``roles/common/vars/<distribution>.yml``; this file has no defaults. What does not belong here:
names of packages, and services that only the roles start. They are in the variables file only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.@-]*"


@dataclass(frozen=True)
class Distribution:
    """The users and groups of the programs, and the names of the systemd units."""

    nginx_user: str
    nginx_group: str
    haproxy_user: str
    haproxy_group: str
    dnsmasq_user: str
    openvswitch_service: str
    ovsdb_service: str
    vswitchd_service: str
    libvirt_service: str
    libvirt_guests_service: str
    nftables_service: str

    def __post_init__(self) -> None:
        """Check the values, because they go into configuration files and unit files.

        :raises ValueError: a value is not a name. The message has the field.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, str) or not re.fullmatch(_NAME, value):
                raise ValueError(f"{field.name}: {value!r}: a name has letters, digits and _ . @ - only")

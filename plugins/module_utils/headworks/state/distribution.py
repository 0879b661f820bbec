"""What is a distribution's choice and the engine must know: users, groups and unit names of the packages it works with.

The values come from ``roles/common/vars/<distribution>.yml``. There are no defaults here. What does not belong here:
names of packages, and services that only the roles start; they stay in the variables file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.@-]*"


@dataclass(frozen=True)
class Distribution:
    """Users and groups by the program that they are for, and names of systemd units."""

    nginx_user: str
    nginx_group: str
    haproxy_user: str
    haproxy_group: str
    dnsmasq_user: str
    openvswitch_service: str
    libvirt_service: str
    nftables_service: str

    def __post_init__(self) -> None:
        """Refuse values that could be more than a name in a configuration file or a unit file.

        :raises ValueError: the message names the field.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, str) or not re.fullmatch(_NAME, value):
                raise ValueError(f"{field.name}: {value!r}: a name has letters, digits and _ . @ - only")

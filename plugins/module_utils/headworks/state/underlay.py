"""Section ``underlay``: physical NICs that are ports of bridges."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = r"[^\s/:]{1,15}"


@dataclass(frozen=True)
class NicAttachment:
    """NIC ``name`` is a port of OVS bridge ``bridge``. The IPv4/IPv6 addresses and routes that the NIC had are on the
    bridge's internal device, which has the bridge's name and the NIC's MAC.

    ``unsettled`` is set only when a node is read: it says in words what is still missing.
    """

    name: str
    bridge: str
    datapath_type: str = "system"
    unsettled: str = ""

    def __post_init__(self) -> None:
        """Check the names, because they go on command lines.

        :raises ValueError: the kernel would refuse a name.
        """
        for name in (self.name, self.bridge):
            if not re.fullmatch(_NAME, name):
                raise ValueError(f"NIC {self.name!r} in bridge {self.bridge!r}: {name!r} is not a link name")

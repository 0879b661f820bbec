"""Section ``underlay``: physical NICs that are ports of bridges."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = r"[^\s/:]{1,15}"
ROLLBACK_SECONDS = 60
MIN_ROLLBACK_SECONDS, MAX_ROLLBACK_SECONDS = 10, 3600


@dataclass(frozen=True)
class NicAttachment:
    """NIC ``name`` is a port of OVS bridge ``bridge``. The IPv4/IPv6 addresses and routes that the NIC had are on the
    bridge's internal device, which has the bridge's name and the NIC's MAC.

    A move of the NIC that the control side does not confirm within ``rollback_seconds`` is undone. ``unsettled`` is
    set only when a node is read: it says in words what is still missing.
    """

    name: str
    bridge: str
    datapath_type: str = "system"
    unsettled: str = ""
    rollback_seconds: int = ROLLBACK_SECONDS

    def __post_init__(self) -> None:
        """Check the names and the seconds, because they go on command lines.

        :raises ValueError: the kernel would refuse a name, or the seconds are out of range.
        """
        for name in (self.name, self.bridge):
            if not re.fullmatch(_NAME, name):
                raise ValueError(f"NIC {self.name!r} in bridge {self.bridge!r}: {name!r} is not a link name")
        seconds = self.rollback_seconds
        if type(seconds) is not int or not MIN_ROLLBACK_SECONDS <= seconds <= MAX_ROLLBACK_SECONDS:
            raise ValueError(
                f"NIC {self.name!r} in bridge {self.bridge!r}: rollback_seconds {seconds!r}: must be a whole number "
                f"from {MIN_ROLLBACK_SECONDS} to {MAX_ROLLBACK_SECONDS}"
            )

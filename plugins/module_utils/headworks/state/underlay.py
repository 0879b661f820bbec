"""Section ``underlay``: physical NICs that are ports of bridges."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"[^\s/:]{1,15}")


@dataclass(frozen=True)
class NicAttachment:
    """NIC ``name`` is a port of OVS bridge ``bridge``; whatever IPv4/IPv6 addresses and routes it had are on the
    bridge's internal device of the same name as the bridge, which has the NIC's MAC.

    ``unsettled`` is what is not so yet, in words: only ever set in what is read.
    """

    name: str
    bridge: str
    datapath_type: str = "system"
    unsettled: str = ""

    def __post_init__(self) -> None:
        """Names go on command lines.

        :raises ValueError: a name the kernel would not take.
        """
        for name in (self.name, self.bridge):
            if not _NAME.fullmatch(name):
                raise ValueError(f"NIC {self.name!r} in bridge {self.bridge!r}: {name!r} is no link name")

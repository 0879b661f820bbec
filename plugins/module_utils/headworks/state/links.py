"""Section ``links``: links of the root namespace."""

from __future__ import annotations

import re
from dataclasses import dataclass

GROUP = 26743  # ours

_NAME = re.compile(r"[^\s/:]{1,15}")


@dataclass(frozen=True)
class Link:
    """A link of the root namespace.

    ``kind`` is ``veth``, ``tap``, ``bridge``, or ``existing`` (a NIC that is there: never made nor removed). A veth's
    ``peer`` is created inside ``peer_netns`` ("" = root) with ``peer_mac``. ``mtu`` in bytes (0 = leave as it is).
    ``tx_checksum`` False switches transmit checksum offload off (needed on what feeds the userspace datapath).
    ``master`` is a Linux bridge. All links are kept ``up``.
    """

    name: str
    kind: str
    mtu: int = 1500
    mac: str = ""
    peer: str = ""
    peer_netns: str = ""
    peer_mac: str = ""
    master: str = ""
    tx_checksum: bool = True
    up: bool = True

    def __post_init__(self) -> None:
        """Names go on command lines.

        :raises ValueError: a name the kernel would not take, or a veth without a peer.
        """
        for name in (self.name, self.peer or self.name, self.master or self.name):
            if not _NAME.fullmatch(name):
                raise ValueError(f"link {self.name!r}: {name!r} is no link name: 1 to 15 characters, no / : or space")

"""Section ``links``: links of the root namespace."""

from __future__ import annotations

import re
from dataclasses import dataclass

GROUP = 26743  # the link group that marks a link as ours

_NAME = re.compile(r"[^\s/:]{1,15}")


@dataclass(frozen=True)
class Link:
    """A link of the root namespace.

    ``kind`` is ``veth``, ``tap``, ``bridge``, or ``existing`` (a NIC of the node, which is never created or removed).
    A veth's ``peer`` is created inside namespace ``peer_netns`` ("" = root) with ``peer_mac``. ``mtu`` is in bytes (0:
    the link keeps its MTU). ``tx_checksum`` False switches transmit checksum offload off (needed on links that send
    into the userspace datapath). ``master`` is a Linux bridge. A desired link is always ``up``, and ``closed``: the
    node's own network stack takes no ARP and IPv6 packets from a tap or a veth.
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
    closed: bool = True

    def __post_init__(self) -> None:
        """Check the names, because they go on command lines.

        :raises ValueError: the kernel would refuse a name.
        """
        for name in (self.name, self.peer or self.name, self.master or self.name):
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"link {self.name!r}: {name!r} is not a link name: 1 to 15 characters, no / : or space"
                )

"""Links in the root namespace: veth pairs (the peer born in its namespace), persistent taps, Linux bridges.

Addresses, routes and offloads *inside* namespaces live in ``l3.py``; OVS bridges and ports in ``ovs.py``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """A link of the root namespace.

    ``kind`` is ``veth``, ``tap`` or ``bridge``. A veth's ``peer`` is created inside ``peer_netns`` ("" = root) with
    ``peer_mac``. ``mtu`` in bytes. ``tx_checksum`` False switches transmit checksum offload off (needed on what feeds
    the userspace datapath). ``master`` is a Linux bridge. All links are kept up.
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

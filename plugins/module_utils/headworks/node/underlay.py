"""Physical NICs in bridges: the NIC becomes a port and its addresses and routes move to the bridge in one step.

The OVS bridge itself is a row in ``ovs.py``; this file is about not cutting the node off while a NIC goes in.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NicAttachment:
    """NIC ``interface`` is a port of OVS bridge ``bridge``; whatever IPv4/IPv6 addresses and routes it had are on the
    bridge's internal device of the same name as the bridge. ``name`` is the NIC."""

    name: str
    bridge: str
    datapath_type: str = "system"

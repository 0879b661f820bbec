"""The node state document: its version, the names of its sections, and the steps that bring an older document to it.

A document is ``{"version": …, "cloud": …, "node": …, "sections": {name: [record as a plain dict, …]}}``. A node keeps
the document of its last run, and restores itself from it at boot: an engine must read what an older one kept. What does
not belong here: the records of a section (the other files of this package), and which subsystem makes a section
(``engine/order.py``).
"""

from __future__ import annotations

VERSION = 1

SECTIONS = (
    "netns",
    "links",
    "ovs_bridges",
    "ovs_ports",
    "underlay",
    "flows",
    "l3",
    "nft",
    "dhcp",
    "metadata_proxies",
    "metadata",
    "images",
    "disks",
    "domains",
)

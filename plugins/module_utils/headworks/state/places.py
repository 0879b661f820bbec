"""Directories and files on a node that the plan side names as well as the node side.

What does not belong here: a place that only one subsystem knows; that is in the subsystem's own file.
"""

from __future__ import annotations

INSTANCES_DIR = "/var/lib/headworks/instances"  # <uuid>/disk, <uuid>/console.log
DHCP_DIR = "/run/headworks/dhcp"  # <network id>/
DHCP_LEASES = "leases"  # dnsmasq's lease file in the network's directory

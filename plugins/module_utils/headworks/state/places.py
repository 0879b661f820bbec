"""Directories and files on a node that both the plan side and the node side name.

What does not belong here: a path that only one subsystem uses. It is in the subsystem's own file.
"""

from __future__ import annotations

INSTANCES_DIR = "/var/lib/headworks/instances"  # <uuid>/disk, <uuid>/console.log
DHCP_DIR = "/run/headworks/dhcp"  # <network id>/
DHCP_LEASES = "leases"  # dnsmasq's lease file in the network's directory

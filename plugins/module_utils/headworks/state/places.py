"""Directories and files on a node that both the plan side and the node side name, or several areas of ``node/``.

What does not belong here: a path that only one subsystem uses. It is in the subsystem's own file.
"""

from __future__ import annotations

HEADWORKS_DIR = "/var/lib/headworks"
NODE_STATE = "/var/lib/headworks/node-state.json"  # the document of the last run
INSTANCES_DIR = "/var/lib/headworks/instances"  # <uuid>/
REMOVED_DIR = "/var/lib/headworks/removed"  # <uuid>.<unix time>/
GUESTS_UNIT = "headworks-guests.service"  # it stops the guests at shutdown, before what serves them
DHCP_DIR = "/run/headworks/dhcp"  # <network id>/
DHCP_LEASES = "leases"  # dnsmasq's lease file in the network's directory


def root_disk(instance: str) -> str:
    """Return the path of the root disk of the guest with uuid ``instance``."""
    return f"{INSTANCES_DIR}/{instance}/disk"


def console_log(instance: str) -> str:
    """Return the path of the console log of the guest with uuid ``instance``."""
    return f"{INSTANCES_DIR}/{instance}/console.log"

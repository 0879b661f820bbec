"""Names of things on a node that do not depend on how the node switches, as Neutron and Nova give them.

What does not belong here: deciding what exists, names of a mechanism's own bridges and ports
(``mechanism/<name>/names.py``), and which device a port has (``devices.py``).
"""

from __future__ import annotations

from ..plan.cloud import Network, Port, Router

METADATA_ADDRESS = "169.254.169.254"


def router_netns(router: Router) -> str:
    """The namespace of a router."""
    return f"qrouter-{router.id}"


def dhcp_netns(network: Network) -> str:
    """The namespace of a network's DHCP service."""
    return f"qdhcp-{network.id}"


def port_device(prefix: str, port: Port) -> str:
    """A device of a port, as every device of a port is called: a prefix and the first 11 characters of the id."""
    return f"{prefix}{port.id[:11]}"

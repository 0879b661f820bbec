"""Names of namespaces and devices that are the same with every mechanism, as Neutron and Nova choose them.

What does not belong here: deciding which namespaces and devices exist, names of a mechanism's own bridges and ports
(``mechanism/<name>/names.py``), and which device a port has (``devices.py``).
"""

from __future__ import annotations

from ..plan.cloud import Network, Port, Router


def router_netns(router: Router) -> str:
    """Return the namespace of a router."""
    return f"qrouter-{router.id}"


def dhcp_netns(network: Network) -> str:
    """Return the namespace of a network's DHCP service."""
    return f"qdhcp-{network.id}"


def port_device(prefix: str, port: Port) -> str:
    """Return the name of a port's device: a prefix and the first 11 characters of the port's id."""
    return f"{prefix}{port.id[:11]}"

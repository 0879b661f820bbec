"""The table ``OWNERS``: the properties of a port that depend on the kind of its owner, a row for each kind.

A new kind of owner is a row here and a constant in ``plan/cloud.py``. What does not belong here: the device that the
switch has for a port (``devices.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from ..plan.cloud import (
    OWNER_DHCP,
    OWNER_INSTANCE,
    OWNER_ROUTER_GATEWAY,
    OWNER_ROUTER_INTERFACE,
    Cloud,
    Port,
)
from . import names
from .errors import WiringError


@dataclass(frozen=True)
class PortOwner:
    """A kind of owner.

    ``link``: ``tap``, a device that QEMU opens and that the firewall driver connects to the switch; or ``veth``, a pair
    whose far end is the owner's device. The name of the owner's device begins with ``prefix``, and the device is in the
    namespace that ``netns`` returns. ``spoof_guards``: the owner is not trusted and may only use the port's addresses,
    unless the port has no port security. ``vm_uuid``: the switch port's external_ids have the id of the instance.
    """

    link: Literal["tap", "veth"]
    prefix: str
    netns: Callable[[Cloud, Port], str]
    spoof_guards: bool = False
    vm_uuid: bool = False


def _root(cloud: Cloud, port: Port) -> str:
    return ""


def _dhcp_netns(cloud: Cloud, port: Port) -> str:
    return names.dhcp_netns(cloud.networks[port.network])


def _router_netns(cloud: Cloud, port: Port) -> str:
    return names.router_netns(cloud.routers[port.device])


OWNERS: Mapping[str, PortOwner] = {
    OWNER_INSTANCE: PortOwner("tap", "tap", _root, spoof_guards=True, vm_uuid=True),
    OWNER_DHCP: PortOwner("veth", "ns-", _dhcp_netns),
    OWNER_ROUTER_INTERFACE: PortOwner("veth", "qr-", _router_netns),
    OWNER_ROUTER_GATEWAY: PortOwner("veth", "qg-", _router_netns),
}


def owner_of(port: Port) -> PortOwner:
    """Return the row of the port's owner.

    :raises WiringError: ``OWNERS`` has no row for the owner.
    """
    owner = OWNERS.get(port.owner)
    if owner is None:
        raise WiringError(
            f"port {port.id} of {port.device} on network {port.network}: owner {port.owner!r}: "
            f"must be one of {', '.join(OWNERS)}"
        )
    return owner


def owner_device(port: Port) -> str:
    """Return the name of the owner's device: a guest's tap, or the device of a router or DHCP service in its
    namespace."""
    return names.port_device(owner_of(port).prefix, port)


def is_guarded(port: Port) -> bool:
    """Whether the switch drops packets of the port's owner that have addresses of others."""
    return port.port_security and owner_of(port).spoof_guards


def may_serve_dhcp(port: Port) -> bool:
    """Whether the port's owner can be a DHCP server of the network, or a relay: it is our DHCP service, or a guest
    without port security."""
    return port.owner == OWNER_DHCP or (owner_of(port).spoof_guards and not port.port_security)

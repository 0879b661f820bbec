"""The two devices of a port: the one that its owner uses, and the one that the switch has.

For a guest both names are the firewall driver's: they are one tap where the guest is plugged into the switch directly,
and differ where the driver puts a bridge between the two. For a router or a DHCP service they are the ends of a veth
pair. What does not belong here: making these devices (``links.py``).
"""

from __future__ import annotations

from ..plan.cloud import Cloud, Port
from .firewall.registry import firewall_of
from .owners import owner_device, owner_of
from .veth import switch_end


def guest_device(cloud: Cloud, port: Port) -> str:
    """The device that the port's owner uses: QEMU's tap, or the device in the owner's namespace."""
    if owner_of(port).link == "tap":
        return firewall_of(cloud).guest_device(port)
    return owner_device(port)


def switch_device(cloud: Cloud, port: Port) -> str:
    """The device that the switch has as a port."""
    if owner_of(port).link == "tap":
        return firewall_of(cloud).switch_device(port)
    return switch_end(port)

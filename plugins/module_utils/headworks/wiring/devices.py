"""The two devices of a port: its owner uses the guest device, and the switch has the switch device as a port.

For a guest, the firewall driver decides both names: they are the same tap if the guest is connected to the switch
directly, and differ if the driver puts a bridge between the guest and the switch. For a router or a DHCP service, they
are the ends of a veth pair. What does not belong here: the records of these devices (``links.py``).
"""

from __future__ import annotations

from ..plan.cloud import Cloud, Port
from .firewall.registry import firewall_of
from .owners import owner_device, owner_of
from .veth import switch_end


def guest_device(cloud: Cloud, port: Port) -> str:
    """Return the device that the port's owner uses: QEMU's tap, or the device in the owner's namespace."""
    if owner_of(port).link == "tap":
        return firewall_of(cloud).guest_device(port)
    return owner_device(port)


def switch_device(cloud: Cloud, port: Port) -> str:
    """Return the device that the switch has as a port."""
    if owner_of(port).link == "tap":
        return firewall_of(cloud).switch_device(port)
    return switch_end(port)

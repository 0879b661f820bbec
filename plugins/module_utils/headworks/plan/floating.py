"""Which router serves a floating IP, and which NIC the floating IP leads to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..model.inventory import Inventory
from ..model.network import FloatingIpModel
from .allocation.ports import numbered


@dataclass(frozen=True)
class Target:
    """A NIC of an instance (``label`` is that of its port's key), and the router that serves it."""

    router: str
    instance: str
    network: str
    label: str


def targets(inventory: Inventory, floating: FloatingIpModel) -> Iterator[Target]:
    """The NICs that a floating IP can lead to.

    Each is on a network (``fixed_network``, if declared) that is behind a router with a gateway on the floating IP's
    network. If several routers qualify, the first by name serves the floating IP.
    """
    instance = inventory.instances.get(floating.instance or "")
    if instance is None:
        return
    for label, index in numbered(instance.networks):
        network = instance.networks[index].network
        if floating.fixed_network not in (None, network):
            continue
        for name in sorted(inventory.cloud.routers):
            router = inventory.cloud.routers[name]
            served = {interface.network for interface in router.interfaces}
            if router.external_network == floating.network and network in served:
                yield Target(name, str(floating.instance), network, label)
                break

"""The ports that a cloud has, by key, and the addresses that the inventory itself gives away.

A port's key follows from names only, so that a port stays the same when others come and go: ``instance/vm1/internal``,
``instance/vm1/internal#2`` (a second NIC on one network), ``router/r1/gateway``, ``router/r1/internal``,
``dhcp/internal/network1``. What does not belong here: choosing addresses (``allocate.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...model.compute import NicModel
from ...model.inventory import Inventory
from ...model.network import InterfaceModel
from ..identity import natural
from .allocations import Allocations, PortAllocation
from .allocator import Claim, PortRequest
from .subnets import Space, number, space_for

Spaces = Mapping[str, list[Space]]


@dataclass(frozen=True)
class Declared:
    """An address that the inventory names: at ``key``, for ``holder``, on ``network``. ``space`` None = it lies in no
    subnet of the network (or not in ``subnet``). ``is_gateway`` = it may be a subnet's gateway address."""

    key: str
    text: str
    holder: str
    network: str
    space: Space | None
    address: int
    is_gateway: bool = False

    def claim(self) -> Claim:
        """As the allocator wants it; only for one that lies in a subnet."""
        assert self.space is not None
        return Claim(self.space, self.address, self.holder, self.key)


def numbered(items: Sequence[NicModel | InterfaceModel]) -> Iterator[tuple[str, int]]:
    """(``net``, 0), (``net#2``, 1), …: names within an instance or a router, and positions in its list."""
    seen: dict[str, int] = {}
    for index, one in enumerate(items):
        seen[one.network] = seen.get(one.network, 0) + 1
        yield (one.network if seen[one.network] == 1 else f"{one.network}#{seen[one.network]}"), index


def interface_addresses(interface: InterfaceModel, spaces: Spaces) -> list[tuple[Space, int]]:
    """Where a router's port is: in the subnet it names, or in every subnet of its network that has a gateway."""
    there = spaces.get(interface.network, [])
    if interface.subnet:
        there = [one for one in there if one.name == interface.subnet]
    if interface.address:
        return [(one, number(interface.address)) for one in there]
    return [(one, one.gateway) for one in there if one.gateway is not None]


def declared_addresses(inventory: Inventory, spaces: Spaces) -> Iterator[Declared]:
    """Every address that the inventory names for a port of the cloud, whether or not it can be had."""
    cloud = inventory.cloud
    for name, router in cloud.routers.items():
        where = f"cloud_routers.{name}"
        if router.external_ip and router.external_network and router.external_network in spaces:
            yield _declared(
                f"{where}.external_ip", router.external_ip, f"router/{name}/gateway", router.external_network, spaces
            )
        for label, index in numbered(router.interfaces):
            interface = router.interfaces[index]
            for space, address in interface_addresses(interface, spaces):
                if not interface.address or address in space:
                    yield Declared(
                        f"{where}.interfaces.{index}", space.text(address), f"router/{name}/{label}",
                        interface.network, space, address, is_gateway=True,
                    )
                else:
                    yield Declared(
                        f"{where}.interfaces.{index}.address", interface.address, f"router/{name}/{label}",
                        interface.network, None, address,
                    )
    for text, floating in cloud.floating_ips.items():
        if floating.network in spaces:
            yield _declared(f"cloud_floating_ips.{text}", text, f"floating IP {text}", floating.network, spaces)
    for name, balancer in cloud.load_balancers.items():
        if balancer.vip_address and balancer.network in spaces:
            yield _declared(
                f"cloud_load_balancers.{name}.vip_address", balancer.vip_address, f"load balancer {name}",
                balancer.network, spaces, balancer.subnet,
            )
    for name, instance in inventory.instances.items():
        for label, index in numbered(instance.networks):
            nic = instance.networks[index]
            if nic.address and nic.network in spaces:
                yield _declared(
                    f"instances.{name}.instance_networks.{index}.address", nic.address, f"instance/{name}/{label}",
                    nic.network, spaces, nic.subnet,
                )


def _declared(
    key: str, text: str, holder: str, network: str, spaces: Spaces, subnet: str | None = None
) -> Declared:
    there = [one for one in spaces[network] if subnet in (None, one.name)]
    space, address = space_for(there, text)
    return Declared(key, text, holder, network, space, address)


def requests(
    inventory: Inventory, spaces: Spaces, before: Allocations, dhcp: Mapping[str, tuple[str, ...]]
) -> list[PortRequest]:
    """Every port of the cloud, in the order in which new ones get addresses: DHCP, routers, then instances as people
    count.

    :param dhcp: network → the nodes that serve its DHCP.
    """
    result: list[PortRequest] = []
    for name in sorted(dhcp, key=natural):
        old = before.networks.get(name)
        choices = [[one] for one in spaces[name] if one.model.enable_dhcp]
        for node in dhcp[name]:
            port, key = old.dhcp.get(node) if old else None, f"dhcp/{name}/{node}"
            wishes: list[int | None] = [None] * len(choices)
            result.append(PortRequest(key, f"cloud_networks.{name}", name, choices, wishes, None, port))
    for name in sorted(inventory.cloud.routers, key=natural):
        result.extend(_router(name, inventory, spaces, before))
    for name in sorted(inventory.instances, key=natural):
        known = before.instances.get(name)
        ports: Mapping[str, PortAllocation] = known.ports if known else {}
        nics = inventory.instances[name].networks
        for label, index in numbered(nics):
            choices, fixed = _nic(nics[index], spaces[nics[index].network])
            result.append(
                PortRequest(
                    f"instance/{name}/{label}", f"instances.{name}.instance_networks.{index}", nics[index].network,
                    choices, fixed, nics[index].mac, ports.get(label),
                )
            )
    return result


def _router(name: str, inventory: Inventory, spaces: Spaces, before: Allocations) -> Iterator[PortRequest]:
    router, old = inventory.cloud.routers[name], before.routers.get(name)
    if router.external_network:
        choices, fixed = _one_of_each(spaces[router.external_network]), list[int | None]()
        if router.external_ip:
            space, address = space_for(spaces[router.external_network], router.external_ip)
            choices, fixed = [[space] if space else []], [address]
        yield PortRequest(
            f"router/{name}/gateway", f"cloud_routers.{name}.external_network", router.external_network,
            choices, fixed or [None] * len(choices), None, old.gateway if old else None,
        )
    for label, index in numbered(router.interfaces):
        interface = router.interfaces[index]
        pairs = interface_addresses(interface, spaces)
        yield PortRequest(
            f"router/{name}/{label}", f"cloud_routers.{name}.interfaces.{index}", interface.network,
            [[space] for space, _ in pairs], [address for _, address in pairs], None,
            old.ports.get(label) if old else None,
        )


def _nic(nic: NicModel, there: list[Space]) -> tuple[list[list[Space]], list[int | None]]:
    if nic.address:
        space, address = space_for(there, nic.address)
        return [[space] if space else []], [address]
    choices = [[one] for one in there if one.name == nic.subnet] if nic.subnet else _one_of_each(there)
    return choices, [None] * len(choices)


def _one_of_each(there: list[Space]) -> list[list[Space]]:
    """As Neutron does: one IPv4 address, one IPv6 address that DHCP gives, and one of every SLAAC subnet."""
    choices = [
        [one for one in there if one.version == 4],
        [one for one in there if one.version == 6 and not one.slaac],
        *([one] for one in there if one.slaac),
    ]
    return [one for one in choices if one]

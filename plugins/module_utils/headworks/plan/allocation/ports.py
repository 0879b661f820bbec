"""The ports of a cloud, by key, and the addresses that the inventory declares.

A port's key depends on names only, so that a port keeps its key when other ports are added or removed:
``instance/vm1/internal``, ``instance/vm1/internal#2`` (a second NIC on the same network), ``router/r1/gateway``,
``router/r1/internal``, ``dhcp/internal/network1``. What does not belong here: allocating addresses (``allocator.py``).
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
    """An address that the inventory declares at ``key`` for ``holder``, on ``network``.

    ``space`` is the subnet that the address lies in; None if it lies in no subnet that the declaration allows.
    ``is_gateway`` says whether the address may be a subnet's gateway address.
    """

    key: str
    text: str
    holder: str
    network: str
    space: Space | None
    address: int
    is_gateway: bool = False

    def claim(self) -> Claim:
        """The claim of this address for the allocator. The address must lie in a subnet."""
        assert self.space is not None
        return Claim(self.space, self.address, self.holder, self.key)


def numbered(items: Sequence[NicModel | InterfaceModel]) -> Iterator[tuple[str, int]]:
    """The label and the position of each item in the list of an instance or a router: (``net``, 0), (``net#2``, 1)."""
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        count = seen[item.network] = seen.get(item.network, 0) + 1
        yield (item.network if count == 1 else f"{item.network}#{count}"), index


def interface_addresses(interface: InterfaceModel, spaces: Spaces) -> list[tuple[Space, int]]:
    """The subnets and addresses of a router's port.

    The port is in the subnet that the interface names, or in every subnet of its network that has a gateway.
    """
    candidates = spaces.get(interface.network, [])
    if interface.subnet:
        candidates = [space for space in candidates if space.name == interface.subnet]
    if interface.address:
        return [(space, number(interface.address)) for space in candidates]
    return [(space, space.gateway) for space in candidates if space.gateway is not None]


def declared_addresses(inventory: Inventory, spaces: Spaces) -> Iterator[Declared]:
    """Every address that the inventory declares for a port of the cloud, valid or not."""
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
    candidates = [space for space in spaces[network] if subnet in (None, space.name)]
    space, address = space_for(candidates, text)
    return Declared(key, text, holder, network, space, address)


def requests(
    inventory: Inventory, spaces: Spaces, before: Allocations, dhcp: Mapping[str, tuple[str, ...]]
) -> list[PortRequest]:
    """Every port of the cloud, in the order in which new ports get addresses: DHCP, routers, then instances.

    Within each kind, the names are in natural order (web2 before web10).

    :param dhcp: network → the nodes that serve its DHCP.
    """
    result: list[PortRequest] = []
    for name in sorted(dhcp, key=natural):
        allocated = before.networks.get(name)
        choices = [[space] for space in spaces[name] if space.model.enable_dhcp]
        for node in dhcp[name]:
            port, key = allocated.dhcp.get(node) if allocated else None, f"dhcp/{name}/{node}"
            undeclared: list[int | None] = [None] * len(choices)
            result.append(PortRequest(key, f"cloud_networks.{name}", name, choices, undeclared, None, port))
    for name in sorted(inventory.cloud.routers, key=natural):
        result.extend(_router(name, inventory, spaces, before))
    for name in sorted(inventory.instances, key=natural):
        instance = before.instances.get(name)
        ports: Mapping[str, PortAllocation] = instance.ports if instance else {}
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
    router, allocated = inventory.cloud.routers[name], before.routers.get(name)
    if router.external_network:
        choices, fixed = _neutron_choices(spaces[router.external_network]), list[int | None]()
        if router.external_ip:
            space, address = space_for(spaces[router.external_network], router.external_ip)
            choices, fixed = [[space] if space else []], [address]
        yield PortRequest(
            f"router/{name}/gateway", f"cloud_routers.{name}.external_network", router.external_network,
            choices, fixed or [None] * len(choices), None, allocated.gateway if allocated else None,
        )
    for label, index in numbered(router.interfaces):
        interface = router.interfaces[index]
        pairs = interface_addresses(interface, spaces)
        yield PortRequest(
            f"router/{name}/{label}", f"cloud_routers.{name}.interfaces.{index}", interface.network,
            [[space] for space, _ in pairs], [address for _, address in pairs], None,
            allocated.ports.get(label) if allocated else None,
        )


def _nic(nic: NicModel, spaces: list[Space]) -> tuple[list[list[Space]], list[int | None]]:
    if nic.address:
        space, address = space_for(spaces, nic.address)
        return [[space] if space else []], [address]
    choices = [[space] for space in spaces if space.name == nic.subnet] if nic.subnet else _neutron_choices(spaces)
    return choices, [None] * len(choices)


def _neutron_choices(spaces: list[Space]) -> list[list[Space]]:
    """The choices that Neutron makes: one IPv4 address, one DHCPv6 address, and an address of every SLAAC subnet."""
    choices = [
        [space for space in spaces if space.version == 4],
        [space for space in spaces if space.version == 6 and not space.slaac],
        *([space] for space in spaces if space.slaac),
    ]
    return [choice for choice in choices if choice]

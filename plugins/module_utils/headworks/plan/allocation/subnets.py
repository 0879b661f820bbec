"""Subnets as ranges of numbers: which addresses lie in a subnet, in its pools, and which is the lowest free one.

Addresses are ints here. A space records which port has which address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv6Address, ip_network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from ...model.network import NetworkModel, SubnetModel


def number(address: str) -> int:
    """The address as an int."""
    # A plan converts tens of thousands of addresses; inet_pton is three times as fast as ipaddress.
    return int.from_bytes(inet_pton(AF_INET6 if ":" in address else AF_INET, address), "big")


class Space:
    """The addresses of a subnet. ``taken`` maps an address to its holder (a port's key, or a description).

    ``kept`` are addresses of removed instances that may return: they are given out only when no other is free.
    """

    def __init__(self, network: str, name: str, model: SubnetModel) -> None:
        self.network = network
        self.name = name
        self.model = model
        net = ip_network(model.cidr)
        self.version = net.version
        self.base = int(net.network_address)
        self.end = int(net.broadcast_address)
        # In a /31, /127, /32 or /128, hosts may have every address.
        small = net.num_addresses <= 2
        self.first = self.base if small else self.base + 1
        self.last = self.end if small or net.version == 6 else self.end - 1
        self.gateway = number(model.gateway) if model.gateway else None
        self.pools = [(number(pool.start), number(pool.end)) for pool in model.allocation_pools]
        self.slaac = model.ipv6_mode in ("slaac", "dhcpv6-stateless")
        self.taken: dict[int, str] = {}
        self.kept: set[int] = set()
        self._free = self._candidates()

    def __contains__(self, address: int) -> bool:
        return self.base <= address <= self.end

    def usable(self, address: int) -> bool:
        """Whether a host may have the address: it is neither the network address nor the broadcast address."""
        return self.first <= address <= self.last

    def in_pools(self, address: int) -> bool:
        """Whether the address is in an allocation pool."""
        return any(start <= address <= end for start, end in self.all_pools())

    def all_pools(self) -> list[tuple[int, int]]:
        """The declared pools; without declared pools, one pool of all usable addresses."""
        return self.pools or [(self.first, self.last)]

    def lowest_free(self, blocked: Callable[[int], bool]) -> int | None:
        """The lowest free address of the pools that is not ``blocked``; None when there is none.

        A plan never frees an address, so each call continues where the last call ended.
        """
        return next(
            (
                address
                for address in self._free
                if address not in self.taken and address != self.gateway and not blocked(address)
            ),
            None,
        )

    def text(self, address: int) -> str:
        """The address in its usual notation."""
        if self.version == 6:
            return str(IPv6Address(address))
        return inet_ntop(AF_INET, address.to_bytes(4, "big"))

    def eui64(self, mac: str) -> int:
        """The address that a guest with ``mac`` configures by SLAAC."""
        first, *rest = (int(part, 16) for part in mac.split(":"))
        parts = bytes([first ^ 2, rest[0], rest[1], 0xFF, 0xFE, *rest[2:]])
        return self.base | int.from_bytes(parts, "big")

    def _candidates(self) -> Iterator[int]:
        for start, end in sorted(self.all_pools()):
            yield from (address for address in range(start, end + 1) if address not in self.kept)
        yield from sorted(address for address in self.kept if self.in_pools(address))


def spaces_of(networks: Mapping[str, NetworkModel]) -> dict[str, list[Space]]:
    """The spaces of every network, in the order of the inventory."""
    return {
        name: [Space(name, subnet, model) for subnet, model in network.subnets.items()]
        for name, network in networks.items()
    }


def find(spaces: Iterable[Space], address: int, version: int) -> Space | None:
    """The space that the address lies in; None if it lies in none of ``spaces``."""
    return next((space for space in spaces if space.version == version and address in space), None)


def space_for(spaces: Iterable[Space], address: str) -> tuple[Space | None, int]:
    """The space that an address (text) lies in, or None, and the address as an int."""
    value = number(address)
    return find(spaces, value, 6 if ":" in address else 4), value

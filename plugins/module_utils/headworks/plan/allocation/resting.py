"""Freed values rest: an address, MAC, segment or VLAN gets another owner only when no node uses it for the old owner.

A value is a text: ``address/<network>/<address>``, ``mac/<MAC>``, ``segment/<segment>``, or ``vlan/<node>/<VLAN>``. Its
owner is a port's key, a network, or a floating IP. A value that this run frees rests until every node that knew the old
owner has applied this run's plan or a later one; a node that left the inventory does not count. What does not belong
here: choosing values (``allocator.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType

from ...model.errors import Problems
from ...model.inventory import Inventory
from .allocations import Allocations, PortAllocation, Rest
from .lines import fields_of
from .ports import Spaces, declared_addresses, numbered
from .subnets import number


class Resting:
    """The values that a plan must not give to another owner.

    :param before: the allocations of the last run.
    :param serials: node → serial of the plan that it applied last, for every node of the inventory; None for a node
        that did not answer.
    """

    def __init__(self, before: Allocations, serials: Mapping[str, int | None]) -> None:
        self.before = before
        self.serials = serials
        self.active = {value: rest for value, rest in before.resting.items() if self._in_use(rest)}

    def _in_use(self, rest: Rest) -> bool:
        return bool(self._late(rest))

    def _late(self, rest: Rest) -> list[str]:
        """The nodes that may still use the value for its old owner."""
        return [
            node
            for node in rest.nodes
            if node in self.serials and ((serial := self.serials[node]) is None or serial < rest.serial)
        ]

    @cached_property
    def _values(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """``values_of`` the last run. A node that still has to leave a network knows the network's values, too."""
        also: dict[str, tuple[str, ...]] = {}
        for value, rest in self.active.items():
            if value.startswith("vlan/"):
                also[rest.owner] = (*also.get(rest.owner, ()), *self._late(rest))
        return list(values_of(self.before, also))

    @cached_property
    def owners(self) -> Mapping[str, str]:
        """The values of the last run, with their owners."""
        return {value: owner for value, owner, _ in self._values}

    @cached_property
    def _nodes(self) -> Mapping[str, tuple[str, ...]]:
        return {value: nodes for value, _, nodes in self._values}

    def blocked(self, value: str, owner: str) -> bool:
        """Whether ``owner`` must not be given ``value`` by the allocator: another owner had it until this run, or it
        rests."""
        rest = self.active.get(value)
        return (rest is not None and rest.owner != owner) or self.owners.get(value, owner) != owner

    def reason(self, value: str, owner: str) -> str:
        """Why ``owner`` may not have ``value`` although the inventory declares it; "" if it may.

        A declared value may move between owners in one run if all nodes that know the old owner take part. What the
        owner has since the last run it keeps, otherwise a node that was late then could never converge.
        """
        if not self._someone_is_silent:
            return ""
        before = self.owners.get(value)
        if before == owner:
            return ""
        rest = self.active.get(value)
        if rest is not None and rest.owner != owner and (silent := self._silent(self._late(rest))):
            return _still_used(rest.owner, silent)
        silent = self._silent(self._nodes.get(value, ()))
        return _still_used(before, silent) if before is not None and silent else ""

    @cached_property
    def _someone_is_silent(self) -> bool:
        return None in self.serials.values()

    def _silent(self, nodes: Iterable[str]) -> list[str]:
        return [node for node in nodes if node in self.serials and self.serials[node] is None]

    def prepare(self, spaces: Spaces) -> None:
        """Tell the spaces which addresses must be given out only when no other is left."""
        for removed in self.before.removed.values():
            for label, port in removed.instance.ports.items():
                for address in port.addresses:
                    _keep(spaces, label.partition("#")[0], address)

    def after(self, allocations: Allocations, serial: int) -> dict[str, Rest]:
        """The rests of the next run: those that are not over, and the values that ``allocations`` no longer have.

        :param serial: of the plan that frees the values.
        """
        if self._same_values(allocations):
            return dict(self.active)
        kept = {(value, owner) for value, owner, _ in values_of(allocations)}
        freed = {
            value: self._joined(value, Rest(owner, nodes, serial))
            for value, owner, nodes in self._values
            if (value, owner) not in kept and nodes
        }
        return {**self.active, **freed}

    def _joined(self, value: str, rest: Rest) -> Rest:
        """The rest of a value that may rest already: the nodes of both must converge."""
        earlier = self.active.get(value)
        if earlier is None:
            return rest
        owner = rest.owner if rest.owner == earlier.owner else f"{earlier.owner} and {rest.owner}"
        return Rest(owner, tuple(dict.fromkeys((*self._late(earlier), *rest.nodes))), rest.serial)

    def _same_values(self, after: Allocations) -> bool:
        before = self.before
        return (before.networks, before.routers, before.vlans, before.declared.get("floating_ip")) == (
            after.networks, after.routers, after.vlans, after.declared.get("floating_ip"),
        ) and {name: entry.ports for name, entry in before.instances.items()} == {
            name: entry.ports for name, entry in after.instances.items()
        }  # fmt: skip


def refuse_resting(inventory: Inventory, spaces: Spaces, resting: Resting, problems: Problems) -> None:
    """Refuse declared addresses, MACs and segmentation ids that nodes still use for another owner."""
    for declared in declared_addresses(inventory, spaces):
        reason = resting.reason(f"address/{declared.network}/{declared.text}", declared.holder)
        if reason:
            problems.add(declared.key, declared.text, reason)
    for name, instance in inventory.instances.items():
        for label, index in numbered(instance.networks):
            mac = instance.networks[index].mac
            reason = resting.reason(f"mac/{mac}", f"instance/{name}/{label}") if mac else ""
            if reason:
                problems.add(f"instances.{name}.instance_networks.{index}.mac", mac, reason)


def values_of(
    allocations: Allocations, also: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(value, owner, the nodes that know it) of everything that is allocated.

    :param also: network → further nodes that know it.
    """
    members = dict(also)
    for node, networks in allocations.vlans.items():
        for network, vlan in networks.items():
            members[network] = (*members.get(network, ()), node)
            yield f"vlan/{node}/{vlan}", network, (node,)
    for key, network, port in _ports(allocations):
        nodes = members.get(network, ())
        yield f"mac/{port.mac}", key, nodes
        for address in port.addresses:
            yield f"address/{network}/{address}", key, nodes
    for name, entry in allocations.networks.items():
        if entry.segment:
            yield f"segment/{entry.segment}", name, members.get(name, ())
    routing = tuple(sorted({router.node for router in allocations.routers.values()}))
    for address, line in allocations.declared.get("floating_ip", {}).items():
        network = fields_of(line).get("network", "")
        yield f"address/{network}/{address}", f"floating IP {address}", routing


def _ports(allocations: Allocations) -> Iterator[tuple[str, str, PortAllocation]]:
    """(key, network, port) of every port."""
    for name, network in allocations.networks.items():
        for node, port in network.dhcp.items():
            yield f"dhcp/{name}/{node}", name, port
    for name, router in allocations.routers.items():
        if router.gateway:
            line = allocations.declared.get("router", {}).get(name, "")
            external = fields_of(line).get("external_network", "")
            yield f"router/{name}/gateway", external, router.gateway
        for label, port in router.ports.items():
            yield f"router/{name}/{label}", label.partition("#")[0], port
    for name, instance in allocations.instances.items():
        for label, port in instance.ports.items():
            yield f"instance/{name}/{label}", label.partition("#")[0], port


def _keep(spaces: Spaces, network: str, address: str) -> None:
    value, version = number(address), 6 if ":" in address else 4
    for space in spaces.get(network, ()):
        if space.version == version and value in space:
            space.kept.add(value)


def _still_used(owner: str, nodes: list[str]) -> str:
    return (
        f"was freed by {owner}, but {', '.join(nodes)} may still use it; it can have another owner when these nodes "
        "have converged"
    )

"""The definition of a lab: its networks, nodes and interfaces, their validation, names and digests. Pure: no I/O.

What does not belong here: creating and removing a lab (``lifecycle.py``), and the files of a node (``seed.py``).
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

LAB_NAME = re.compile(r"[a-z][a-z0-9]{0,6}")
NETWORK_NAME = re.compile(r"[a-z][a-z0-9]{0,3}")
NODE_NAME = re.compile(r"[a-z]([a-z0-9-]{0,40}[a-z0-9])?")
DEVICE_NAME = re.compile(r"[a-z][a-z0-9]{0,14}")


class DefinitionError(ValueError):
    """The lab's definition breaks a rule; the message names the key, the value and the rule."""


@dataclass(frozen=True)
class Network:
    """A network of the lab, which is a bridge on the machine. Without ``subnet`` the machine has no address on it."""

    name: str
    subnet: str | None = None
    nat: bool = False
    mtu: int | None = None


@dataclass(frozen=True)
class Interface:
    """A NIC of a node.

    :ivar address: "10.91.0.10" on a network with a subnet; "172.16.0.1/16" or None on a network without a subnet.
    :ivar tx_checksum: whether the NIC may offload transmit checksums, which userspace datapaths do not fill in.
    """

    device: str
    network: str
    address: str | None = None
    tx_checksum: bool = True


@dataclass(frozen=True)
class Node:
    """A node.

    :ivar image: name of the image in the lab's store.
    :ivar addresses: further addresses with prefix length, on ``lo``.
    """

    name: str
    image: str
    interfaces: tuple[Interface, ...]
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lab:
    """A lab. Only :func:`parse` makes it, so its parts are consistent."""

    name: str
    networks: tuple[Network, ...]
    nodes: tuple[Node, ...]

    def container(self, node: str) -> str:
        """The name of a node's container."""
        return f"headworks-{self.name}-{node}"

    def podman_network(self, network: str) -> str:
        """The name of a network in podman."""
        return f"headworks-{self.name}-{network}"

    def bridge(self, network: str) -> str:
        """The name of a network's bridge on the machine (at most 15 characters)."""
        return f"hw-{self.name}-{network}"

    def mac(self, node: str, device: str) -> str:
        """The MAC of a NIC: locally administered, and the same each time the node is created."""
        digest = hashlib.sha256(f"{self.name}/{node}/{device}".encode()).digest()
        return "02:68:77:" + ":".join(f"{byte:02x}" for byte in digest[:3])

    def machine_id(self, node: str) -> str:
        """The node's /etc/machine-id, 32 hex digits."""
        return hashlib.sha256(f"headworks lab {self.name}/{node}".encode()).hexdigest()[:32]

    def management(self, node: Node) -> str:
        """The node's management address: the address of its first interface."""
        return str(node.interfaces[0].address)

    def digest(self, node: Node, extra: Iterable[str] = ()) -> str:
        """A short hash of everything that a node is created from. A container with another digest is outdated."""
        document = {
            "node": asdict(node),
            "networks": [asdict(network) for network in self.networks],
            "hosts": sorted((other.name, self.management(other)) for other in self.nodes),
            "extra": list(extra),
        }
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def parse(name: str, networks: Iterable[Mapping[str, Any]], nodes: Iterable[Mapping[str, Any]]) -> Lab:
    """A :class:`Lab` from plain data (the keys are the fields above).

    :raises DefinitionError: the data breaks a rule.
    """
    _match(LAB_NAME, "lab", name, "a letter, then up to 6 letters or digits (it is part of bridge names)")
    lab = Lab(
        name,
        tuple(_network(network) for network in networks),
        tuple(_node(node) for node in nodes),
    )
    _unique("networks", (network.name for network in lab.networks))
    _unique("nodes", (node.name for node in lab.nodes))
    by_name = {network.name: network for network in lab.networks}
    for node in lab.nodes:
        for interface in node.interfaces:
            _check_interface(node, interface, by_name)
    _unique(
        "nodes.interfaces.address",
        (f"{i.network} {i.address}" for node in lab.nodes for i in node.interfaces if i.address),
    )
    return lab


def _network(data: Mapping[str, Any]) -> Network:
    network = Network(
        str(data["name"]),
        data.get("subnet") or None,
        bool(data.get("nat")),
        int(data["mtu"]) if data.get("mtu") else None,
    )
    _match(NETWORK_NAME, "networks.name", network.name, "a letter, then up to 3 letters or digits")
    if network.subnet:
        try:
            ipaddress.IPv4Network(network.subnet)
        except ValueError as error:
            raise DefinitionError(f"networks.subnet {network.subnet!r} of {network.name}: {error}") from None
    elif network.nat:
        raise DefinitionError(f"networks.nat of {network.name}: a network with NAT needs a subnet")
    return network


def _node(data: Mapping[str, Any]) -> Node:
    interfaces = tuple(
        Interface(
            str(nic["device"]), str(nic["network"]), nic.get("address") or None, bool(nic.get("tx_checksum", True))
        )
        for nic in data["interfaces"]
    )
    addresses = tuple(str(address) for address in data.get("addresses") or ())
    node = Node(str(data["name"]), str(data["image"]), interfaces, addresses)
    _match(NODE_NAME, "nodes.name", node.name, "a host name label")
    if not node.interfaces or not node.interfaces[0].address:
        raise DefinitionError(
            f"nodes.interfaces of {node.name}: the first interface must have an address; it is the management address"
        )
    _unique(f"nodes.interfaces.device of {node.name}", (interface.device for interface in node.interfaces))
    for address in node.addresses:
        _address_with_prefix(f"nodes.addresses of {node.name}", address)
    return node


def _check_interface(node: Node, interface: Interface, networks: Mapping[str, Network]) -> None:
    where = f"interface {interface.device} of {node.name}"
    _match(DEVICE_NAME, "nodes.interfaces.device", interface.device, "a device name")
    if interface.network not in networks:
        raise DefinitionError(f"network {interface.network!r} of {where}: the lab has no such network")
    subnet = networks[interface.network].subnet
    if subnet is None:
        if interface.address:
            _address_with_prefix(f"address of {where}", interface.address)
        return
    if not interface.address:
        raise DefinitionError(f"{where}: network {interface.network} has a subnet, so the interface needs an address")
    try:
        inside = ipaddress.IPv4Address(interface.address) in ipaddress.IPv4Network(subnet)
    except ValueError as error:
        raise DefinitionError(f"address {interface.address!r} of {where}: {error}") from None
    if not inside:
        raise DefinitionError(f"address {interface.address} of {where}: not inside {subnet}")


def _address_with_prefix(key: str, value: str) -> None:
    try:
        ipaddress.IPv4Interface(value)
    except ValueError as error:
        raise DefinitionError(f"{key}: {value!r}: {error}") from None
    if "/" not in value:
        raise DefinitionError(f"{key}: {value!r}: needs a prefix length")


def _match(pattern: re.Pattern[str], key: str, value: str, rule: str) -> None:
    if not pattern.fullmatch(value):
        raise DefinitionError(f"{key}: {value!r} is not {rule}")


def _unique(key: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise DefinitionError(f"{key}: {value!r} is used twice")
        seen.add(value)

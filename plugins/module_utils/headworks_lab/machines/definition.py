"""The definition of a machine lab: networks, machines and their NICs, with validation, names and digests. Pure: no I/O.

What does not belong here: the files of a machine (``seed.py``), the networks on this host (``networks.py``) and the
processes (``qemu.py``).
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..definition import LAB_NAME, NETWORK_NAME, NODE_NAME, DefinitionError

# The device's name says its PCI slot, as in Debian. The slots below 3 are the machine's own.
NIC_NAME = re.compile(r"enp0s([3-9]|[12][0-9])")
MANAGERS = ("networkd", "ifupdown", "netplan")
METHODS = ("static", "dhcp", "slaac")


@dataclass(frozen=True)
class Network:
    """A network of the lab: a bridge in the lab's network namespace.

    :ivar host: addresses with prefix length of this host on the network, so that Ansible reaches the machines.
    :ivar outside: addresses with prefix length of a namespace on the network, which plays the rest of the world.
    :ivar dhcp: first and last address that a DHCP server in this namespace gives out; None: no DHCP.
    :ivar router: the router that DHCP gives out.
    :ivar prefix: an IPv6 prefix that this namespace announces for SLAAC.
    """

    name: str
    host: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    dhcp: tuple[str, str] | None = None
    router: str | None = None
    prefix: str | None = None
    mtu: int = 1500


@dataclass(frozen=True)
class Nic:
    """A NIC of a machine.

    :ivar manager: which part of the system configures the NIC; None: nothing does.
    :ivar methods: how the NIC gets its addresses: any of ``static``, ``dhcp`` and ``slaac``.
    :ivar addresses: the static addresses with prefix length. With ``dhcp``, the server gives the first of them.
    :ivar mac: None: derived from the names.
    """

    device: str
    network: str
    manager: str | None = None
    methods: tuple[str, ...] = ("static",)
    addresses: tuple[str, ...] = ()
    gateway: str | None = None
    mac: str | None = None

    @property
    def slot(self) -> int:
        """The PCI slot that gives the device its name."""
        return int(self.device.removeprefix("enp0s"))


@dataclass(frozen=True)
class Machine:
    """A machine.

    :ivar address: where Ansible reaches it; also its entry in the machines' /etc/hosts.
    :ivar files: further files, path → text, written before the first boot.
    :ivar units: further systemd units to enable before the first boot.
    """

    name: str
    address: str
    nics: tuple[Nic, ...]
    vcpus: int = 1
    memory_mb: int = 2048
    files: Mapping[str, str] = field(default_factory=dict)
    units: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lab:
    """A lab. Only :func:`parse` makes it, so its parts are consistent."""

    name: str
    networks: tuple[Network, ...]
    machines: tuple[Machine, ...]

    @property
    def namespace(self) -> str:
        """The network namespace of the lab, as ``ip netns`` names it."""
        return f"headworks-{self.name}"

    def outside(self, network: str) -> str:
        """The network namespace that plays the rest of the world on a network."""
        return f"{self.namespace}-{network}"

    def host_device(self, network: str) -> str:
        """The device of this host on a network (at most 15 characters)."""
        return f"hw-{self.name}-{network}"

    def tap(self, machine: str, device: str) -> str:
        """The tap of a NIC, in the lab's namespace."""
        return "t" + hashlib.sha256(f"{machine}/{device}".encode()).hexdigest()[:10]

    def process_name(self, machine: str) -> str:
        """The name by which a QEMU process is recognised as that of a machine."""
        return f"headworks-machine-{self.name}-{machine}"

    def mac(self, machine: str, nic: Nic) -> str:
        """The MAC of a NIC: locally administered, and the same each time the machine is made."""
        digest = hashlib.sha256(f"{self.name}/{machine}/{nic.device}".encode()).digest()
        return nic.mac or "02:68:77:" + ":".join(f"{byte:02x}" for byte in digest[:3])

    def machine(self, name: str) -> Machine:
        """The machine of this name.

        :raises DefinitionError: the lab has no such machine.
        """
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise DefinitionError(f"{name}: lab {self.name} has no such machine")

    def network_digest(self) -> str:
        """A short hash of what the networks on this host are made from."""
        return _digest([self.name, [asdict(network) for network in self.networks], self.reservations()])

    def digest(self, machine: Machine, extra: Iterable[str] = ()) -> str:
        """A short hash of everything that a machine is made from. A machine with another digest is outdated."""
        hosts = sorted((other.name, other.address) for other in self.machines)
        return _digest([self.name, asdict(machine), hosts, list(extra)])

    def reservations(self) -> list[tuple[str, str, str]]:
        """(network, MAC, address) of the NICs whose address comes from DHCP and is the same each time."""
        return [
            (nic.network, self.mac(machine.name, nic), nic.addresses[0].split("/")[0])
            for machine in self.machines
            for nic in machine.nics
            if "dhcp" in nic.methods and nic.addresses
        ]

    def document(self) -> str:
        """The lab as JSON, for :func:`load`."""
        return json.dumps(asdict(self), indent=1)


def load(text: str) -> Lab:
    """A lab from its :meth:`Lab.document`."""
    data = json.loads(text)
    return parse(data["name"], data["networks"], data["machines"])


def parse(name: str, networks: Iterable[Mapping[str, Any]], machines: Iterable[Mapping[str, Any]]) -> Lab:
    """A :class:`Lab` from plain data (the keys are the fields above; None means the default).

    :raises DefinitionError: the data breaks a rule.
    """
    _match(LAB_NAME, "lab", name, "a letter, then up to 6 letters or digits (it is part of names of devices)")
    lab = Lab(name, tuple(map(_network, networks)), tuple(map(_machine, machines)))
    _unique("networks", (network.name for network in lab.networks))
    _unique("machines", (machine.name for machine in lab.machines))
    names = {network.name for network in lab.networks}
    for machine in lab.machines:
        _unique(f"machines.{machine.name}.nics", (nic.device for nic in machine.nics))
        for nic in machine.nics:
            _check_nic(f"machines.{machine.name}.nics.{nic.device}", nic, names)
    return lab


def _network(data: Mapping[str, Any]) -> Network:
    values = _given(data, host=tuple, outside=tuple, dhcp=tuple)
    network = Network(**values)
    key = f"networks.{network.name}"
    _match(NETWORK_NAME, "networks.name", network.name, "a letter, then up to 3 letters or digits")
    for address in (*network.host, *network.outside):
        _interface(key, address)
    if (network.dhcp or network.prefix) and not network.outside:
        raise DefinitionError(f"{key}.outside: missing; DHCP and router advertisements come from this namespace")
    if network.dhcp and len(network.dhcp) != 2:
        raise DefinitionError(f"{key}.dhcp: {network.dhcp}: give the first and the last address")
    return network


def _machine(data: Mapping[str, Any]) -> Machine:
    values = _given(data, nics=lambda nics: tuple(_nic(nic) for nic in nics), files=dict, units=tuple)
    machine = Machine(**values)
    _match(NODE_NAME, "machines.name", machine.name, "a host name")
    if not machine.nics:
        raise DefinitionError(f"machines.{machine.name}.nics: empty; a machine needs a NIC")
    for path in machine.files:
        if not path.startswith("/"):
            raise DefinitionError(f"machines.{machine.name}.files: {path}: paths begin with /")
    return machine


def _nic(data: Mapping[str, Any]) -> Nic:
    return Nic(**_given(data, methods=tuple, addresses=tuple))


def _given(data: Mapping[str, Any], **convert: Any) -> dict[str, Any]:
    """The values that are given, converted; those that are None are left to the defaults."""
    return {key: convert.get(key, lambda value: value)(value) for key, value in data.items() if value is not None}


def _check_nic(key: str, nic: Nic, networks: set[str]) -> None:
    _match(NIC_NAME, f"{key}.device", nic.device, "enp0s3 to enp0s29, the name of the NIC in this PCI slot")
    if nic.network not in networks:
        raise DefinitionError(f"{key}.network: {nic.network}: the lab has no such network")
    if nic.manager not in (None, *MANAGERS):
        raise DefinitionError(f"{key}.manager: {nic.manager}: one of {', '.join(MANAGERS)}")
    for method in nic.methods:
        if method not in METHODS:
            raise DefinitionError(f"{key}.methods: {method}: one of {', '.join(METHODS)}")
    for address in nic.addresses:
        _interface(f"{key}.addresses", address)


def _interface(key: str, address: str) -> None:
    try:
        ipaddress.ip_interface(address)
    except ValueError as error:
        raise DefinitionError(f"{key}: {address}: {error}") from None
    if "/" not in address:
        raise DefinitionError(f"{key}: {address}: give the prefix length, as in 10.93.0.11/24")


def _match(rule: re.Pattern[str], key: str, value: str, text: str) -> None:
    if not rule.fullmatch(value):
        raise DefinitionError(f"{key}: {value}: must be {text}")


def _unique(key: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise DefinitionError(f"{key}: {value}: given twice")
        seen.add(value)


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]

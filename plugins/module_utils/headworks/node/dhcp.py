"""DHCP and DNS of a network: one dnsmasq per network in its ``qdhcp-`` namespace, as a systemd template instance.

Everything of a network is in ``/var/lib/headworks/dhcp/<network id>/``. What its files say is ``dhcp_files.py``'s, the
leases are ``dhcp_leases.py``'s; the namespace, the interface and its addresses are made by others before.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from . import dhcp_leases, units
from .dhcp_files import CONFIG, LEASES, NETNS_LINK, UNIT, UNIT_FILE, render, unit_files
from .files import read_link, read_text, write_file, write_link
from .process import NETNS_DIR, in_netns
from .subsystem import Change, Reading, Subsystem, decode, encode

ROOT = Path("/var/lib/headworks/dhcp")
RECORD = "network.json"  # the record the files were made from, and whose it is
PENDING = "pending"  # there while files and daemon may disagree: a run that was cut off is seen by the next
RELEASE_SECONDS = 1.0
RELEASE_LOOKS = 3


@dataclass(frozen=True)
class DhcpHost:
    """A static lease: ``address`` for ``mac``, in whichever subnet has it. ``hostname`` "" = called by its address."""

    mac: str
    address: str
    hostname: str


@dataclass(frozen=True)
class HostRoute:
    """A classless static route (options 121 and 249)."""

    destination: str
    nexthop: str


@dataclass(frozen=True)
class DhcpSubnet:
    """A subnet that dnsmasq serves. ``tag`` is unique within the network; ``gateway`` "" = no default route;
    ``dns`` are the servers handed out (empty: dnsmasq's own address ``server``). ``routes`` excludes the default
    (the renderer adds it to option 121, as RFC 3442 wants) and the network's other subnets (added too)."""

    tag: str
    cidr: str
    server: str
    gateway: str = ""
    dns: tuple[str, ...] = ()
    routes: tuple[HostRoute, ...] = ()
    nested: ClassVar[Mapping[str, type]] = {"routes": HostRoute}


@dataclass(frozen=True)
class DhcpNetwork:
    """The DHCP service of one network. ``name`` is the network's id; it runs in ``netns`` ("" = the root namespace) on
    ``interface``.

    ``lease_seconds`` is the lease time (negative: for ever), ``mtu`` goes out as option 26, ``domain`` is the DNS domain.
    ``problems`` is set only by reading: why what is on the node is not what its own record says.
    """

    name: str
    netns: str
    interface: str
    mtu: int = 1500
    domain: str = "novalocal"
    lease_seconds: int = 86400
    subnets: tuple[DhcpSubnet, ...] = ()
    hosts: tuple[DhcpHost, ...] = ()
    problems: tuple[str, ...] = ()
    nested: ClassVar[Mapping[str, type]] = {"subnets": DhcpSubnet, "hosts": DhcpHost}


class DhcpSubsystem(Subsystem[DhcpNetwork]):
    """dnsmasq per network. A change of hosts or options is written and reloaded; only another configuration (range,
    interface, MTU, domain) or another namespace is a restart, which takes milliseconds and forgets no lease."""

    kind = "dhcp"
    record = DhcpNetwork

    def __init__(self, owner: str | None = None, root: Path = ROOT) -> None:
        super().__init__(owner)
        self.root = root

    def read(self, desired: Mapping[str, DhcpNetwork], scope: frozenset[str] | None = None) -> Reading[DhcpNetwork]:
        """The records in the networks' directories, with whatever is wrong in ``problems``."""
        present = {one.name for one in self.root.iterdir() if one.is_dir()} if self.root.is_dir() else set()
        states = self._states() if present or (units.UNIT_DIR / UNIT_FILE).exists() else {}
        names = present | {name for name, state in states.items() if state.active != "inactive"}
        if scope is not None:
            names &= scope
        objects, owned = {}, set()
        unit_current = units.installed(unit_files(self.root))
        for name in names:
            cloud, network = self._load(name)
            # A directory without a record, or a unit without a directory, is what a killed run left.
            ours = self.owner is not None and cloud in (None, self.owner)
            if ours or name in desired:
                problems = self._problems(network, cloud, states.get(name, units.ABSENT))
                if not unit_current:
                    problems = [*problems, "its unit file is missing or of another version"]
                objects[name] = replace(network, problems=tuple(problems))
            if ours:
                owned.add(name)
        return Reading(objects, frozenset(owned))

    def describe(self, one: DhcpNetwork | None) -> Any:
        """As plain data; a host is one line, so that a diff of many reads well."""
        if one is None:
            return None
        plain = encode(one)
        if one.hosts:
            plain["hosts"] = [f"{host.mac} {host.address} {host.hostname}".rstrip() for host in one.hosts]
        return plain

    def apply(self, changes: Sequence[Change[DhcpNetwork]]) -> None:
        """Write what differs, then one call to systemd for all that start, one for all that reload."""
        self._remove([change.name for change in changes if change.after is None])
        wanted = [change.after for change in changes if change.after is not None]
        if not wanted:
            return
        for network in wanted:  # bad values are refused before anything is written
            units.unit_name(UNIT, network.name)
            render(network, self._directory(network.name))
        units.install(unit_files(self.root))
        states = self._states()
        to_start, to_reload = [], []
        for network in wanted:
            state = states.get(network.name, units.ABSENT)
            changed = self._write(network)
            if "config" in changed or not state.running or not units.in_namespace(state, network.netns):
                to_start.append(network)
            elif "hosts" in changed:
                to_reload.append(network)
        self._start(to_start, states)
        units.reload([_unit(network) for network in to_reload])
        self._release([one.after for one in changes if one.after and one.after not in to_start and _lost_hosts(one)])
        for network in wanted:
            (self._directory(network.name) / PENDING).unlink(missing_ok=True)

    def _directory(self, name: str) -> Path:
        return self.root / name

    def _states(self) -> dict[str, units.UnitState]:
        return {units.instance_name(unit): state for unit, state in units.read_states(f"{UNIT}@*").items()}

    def _load(self, name: str) -> tuple[str | None, DhcpNetwork]:
        """Whose it is (None: nobody's, "" = made by a module used alone), and the record."""
        try:
            data = json.loads(read_text(self._directory(name) / RECORD) or "")
            network = decode(DhcpNetwork, {**data["network"], "name": name})
            render(network, self._directory(name))  # a record that cannot be rendered is none
            return str(data["cloud"]), network
        except (ValueError, KeyError, TypeError):
            return None, DhcpNetwork(name, netns="", interface="")

    def _problems(self, network: DhcpNetwork, cloud: str | None, state: units.UnitState) -> list[str]:
        directory = self._directory(network.name)
        if cloud is None:
            return ["it has no record that can be read"]
        problems = []
        if self.owner and cloud != self.owner:
            problems.append(f"it is marked as {cloud or 'nobody'}'s")
        if (directory / PENDING).exists():
            problems.append("an earlier run was cut off")
        expected = render(network, directory)
        altered = [name for name, text in expected.items() if read_text(directory / name) != text]
        if altered:
            problems.append(f"not as written: {', '.join(altered)}")
        if not state.running:
            problems.append(f"dnsmasq is {state.text}")
        elif not units.in_namespace(state, network.netns) or read_link(directory / NETNS_LINK) != _netns_path(network):
            problems.append("dnsmasq runs in another namespace")
        stale = self._stale(network)
        if stale:
            problems.append("stale leases: " + ", ".join(sorted(lease.address for lease in stale)[:10]))
        return problems

    def _stale(self, network: DhcpNetwork) -> list[dhcp_leases.Lease]:
        leases = dhcp_leases.parse_leases(read_text(self._directory(network.name) / LEASES) or "")
        return dhcp_leases.stale(leases, network.hosts)

    def _write(self, network: DhcpNetwork) -> set[str]:
        """Write the files that differ; returns which kinds did: ``config`` (restart), ``hosts`` (reload)."""
        directory = self._directory(network.name)
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        cut_off = (directory / PENDING).exists()
        # The record first: from here on it is known whose this is.
        mark = {"cloud": self.owner or "", "network": encode(replace(network, problems=()))}
        write_file(directory / PENDING, "")
        write_file(directory / RECORD, json.dumps(mark, indent=1) + "\n")
        # Nobody can know what dnsmasq has read of a run that was cut off.
        changed = {"config"} if cut_off else set()
        if write_link(directory / NETNS_LINK, _netns_path(network)):
            changed.add("config")
        for name, text in render(network, directory).items():
            if write_file(directory / name, text):
                changed.add("config" if name == CONFIG else "hosts")
        return changed

    def _start(self, networks: Sequence[DhcpNetwork], states: Mapping[str, units.UnitState]) -> None:
        """(Re)start: the lease file is mended while nobody holds it."""
        units.stop([_unit(one) for one in networks if states.get(one.name, units.ABSENT).active != "inactive"])
        for network in networks:
            path = self._directory(network.name) / LEASES
            write_file(path, dhcp_leases.mended(read_text(path) or "", network, time.time()))
        units.start([_unit(one) for one in networks])

    def _release(self, networks: Iterable[DhcpNetwork]) -> None:
        """End leases of hosts that left, so that their addresses are free. What cannot be ended so is by a restart."""
        # dnsmasq writes the file in place, and on a reload too: one look may meet it empty, so look again.
        waiting = {network.name: (network, RELEASE_LOOKS) for network in networks}
        sent: set[str] = set()
        end = time.monotonic() + RELEASE_SECONDS
        while waiting and time.monotonic() < end:
            for name, (network, looks) in list(waiting.items()):
                stale = self._stale(network)
                waiting[name] = (network, RELEASE_LOOKS if stale else looks - 1)
                if stale and name not in sent:
                    sent.add(name)
                    with in_netns(network.netns):
                        dhcp_leases.release(network, stale)
            waiting = {name: one for name, one in waiting.items() if one[1] > 0}
            time.sleep(0.01 if waiting else 0)
        self._start([network for network, _ in waiting.values()], dict.fromkeys(waiting, units.UnitState("active")))

    def _remove(self, names: Sequence[str]) -> None:
        """Stop, then remove what there is of them; with the last one goes the template unit."""
        if not names:
            return
        states = self._states()
        units.stop([units.unit_name(UNIT, name) for name in names if name in states])
        for name in names:
            if self._directory(name).is_dir():
                shutil.rmtree(self._directory(name))
        if not self.root.is_dir() or not any(self.root.iterdir()):
            shutil.rmtree(self.root, ignore_errors=True)
            units.uninstall([UNIT_FILE])


def _lost_hosts(change: Change[DhcpNetwork]) -> bool:
    """Whether leases may have to end: an additive change must not wait for that."""
    if change.before is None or change.after is None or change.before.problems:
        return True
    kept = {(host.mac, host.address) for host in change.after.hosts}
    return any((host.mac, host.address) not in kept for host in change.before.hosts)


def _unit(network: DhcpNetwork) -> str:
    return units.unit_name(UNIT, network.name)


def _netns_path(network: DhcpNetwork) -> str:
    return str(NETNS_DIR / network.netns) if network.netns else "/proc/1/ns/net"

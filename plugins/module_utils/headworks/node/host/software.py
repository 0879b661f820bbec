"""The ground a node stands on: Debian packages, running services, and no stock network of libvirt.

The roles say which (``roles/common/vars/<distribution>.yml``). What is not here: anything made from the inventory's
cloud data, which is the node state's (``order.py``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...engine.converge import Result, converge
from ...system.process import ToolError, has_tool, run
from ..subsystem import Applied, Change, Reading, Scope, Subsystem

APT_LISTS = Path("/var/lib/apt/lists")
APT_LISTS_FRESH_S = 3600
APT_TIMEOUT_S = 1800
LIBVIRT_NETWORKS = (Path("/etc/libvirt/qemu/networks"), Path("/run/libvirt/network"))
STARTS_AT_BOOT = frozenset({"enabled", "static", "indirect", "alias", "generated"})


@dataclass(frozen=True)
class Package:
    """A Debian package that is installed. ``mask`` are units of its that must not start by themselves: they are masked
    before the package arrives, and left alone where it is already there (then somebody else uses them)."""

    name: str
    mask: tuple[str, ...] = ()


@dataclass(frozen=True)
class Service:
    """A systemd unit that is active, and starts at boot."""

    name: str
    active: bool = True
    enabled: bool = True


@dataclass(frozen=True)
class StockNetwork:
    """A network of libvirt's (``default``) that the distribution defines and a compute node must not have."""

    name: str


class PackageSubsystem(Subsystem[Package]):
    """dpkg reads, apt installs: everything that is missing in one transaction."""

    kind = "package"
    record = Package

    def read(self, desired: Mapping[str, Package], scope: Scope | None = None) -> Reading[Package]:
        """Those of ``desired`` that are installed."""
        gone = set(packages_missing(list(desired)))
        return Reading({name: one for name, one in desired.items() if name not in gone})

    def apply(self, changes: Sequence[Change[Package]]) -> Applied:
        """Mask, then install; what a killed run left half configured is completed first."""
        wanted = [change.after for change in changes if change.after is not None]
        mask = sorted(unit for one in wanted for unit in one.mask)
        if mask:
            strangers = {unit for unit, state in _units(mask).items() if state["LoadState"] != "not-found"}
            new = [unit for unit in mask if unit not in strangers]
            if new:
                run(["systemctl", "mask", *new])
        run(["dpkg", "--configure", "-a"], timeout=APT_TIMEOUT_S)
        names = sorted(one.name for one in wanted)
        if _apt_lists_are_fresh():
            try:
                _apt_install(names)
                return Applied()
            except ToolError:
                pass  # The lists may be older than the mirror after all: fetch them and say what happens then.
        _apt("update")
        _apt_install(names)
        return Applied()


class ServiceSubsystem(Subsystem[Service]):
    """systemd units, read and started in one call each."""

    kind = "service"
    record = Service

    def read(self, desired: Mapping[str, Service], scope: Scope | None = None) -> Reading[Service]:
        """The state of each unit; a unit that does not exist is missing."""
        objects = {}
        for name, state in _units(list(desired)).items():
            if state["LoadState"] != "not-found":
                active = state["ActiveState"] in {"active", "reloading"}
                objects[name] = Service(name, active=active, enabled=state["UnitFileState"] in STARTS_AT_BOOT)
        return Reading(objects)

    def apply(self, changes: Sequence[Change[Service]]) -> Applied:
        """Enable and start in one call."""
        run(["systemctl", "enable", "--now", *(change.name for change in changes)])
        return Applied()


class StockNetworkSubsystem(Subsystem[StockNetwork]):
    """libvirt's own networks, as far as they are unwanted: nothing is desired, so all of ``unwanted`` goes."""

    kind = "libvirt_network"
    record = StockNetwork

    def __init__(self, unwanted: Sequence[str]) -> None:
        super().__init__()
        self.unwanted = tuple(unwanted)

    def read(self, desired: Mapping[str, StockNetwork], scope: Scope | None = None) -> Reading[StockNetwork]:
        """Which of the unwanted are defined or active: read from libvirt's files, which needs no daemon."""
        found = {name: StockNetwork(name) for name in libvirt_networks_present(self.unwanted)}
        return Reading(found, frozenset(found))

    def apply(self, changes: Sequence[Change[StockNetwork]]) -> Applied:
        """Destroy and undefine."""
        for change in changes:
            listed = run(["virsh", "--quiet", "net-list", "--name"]).split()
            if change.name in listed:
                run(["virsh", "--quiet", "net-destroy", change.name])
            if change.name in run(["virsh", "--quiet", "net-list", "--all", "--name"]).split():
                run(["virsh", "--quiet", "net-undefine", change.name])
        return Applied()


def ensure(
    packages: Sequence[Package], services: Sequence[str], unwanted_networks: Sequence[str] = (), *, check: bool = False
) -> Result:
    """Install, start, remove; returns what there was to do, which in check mode is exactly the same.

    A package brings units that run and the stock network with it, and libvirt must run to remove that, so each step is
    looked at again after the one before; told is what was lacking at the start.

    :raises ConvergeError: something failed, or is not as wanted afterwards.
    """
    steps: list[tuple[Subsystem[Any], Mapping[str, Any]]] = [
        (PackageSubsystem(), {one.name: one for one in packages}),
        (ServiceSubsystem(), {name: Service(name) for name in services}),
        (StockNetworkSubsystem(unwanted_networks), {}),
    ]
    lacking = converge(steps, check=True)
    if lacking.changed and not check:
        for step in steps:
            converge([step])
    return lacking


def survey(
    packages: Sequence[str] = (),
    services: Sequence[str] = (),
    libvirt_networks: Sequence[str] = (),
    files: Sequence[str] = (),
) -> dict[str, Any]:
    """What a node lacks, read in a few milliseconds, so that a play calls only the roles that have something to do.

    Returns ``packages_missing``, ``services_down`` and ``libvirt_networks_present`` (sorted lists of names), and
    ``files``: path → SHA-256 in hex, "" where there is none.
    """
    wanted = {name: Service(name) for name in services}
    running = ServiceSubsystem().read(wanted).objects
    return {
        "packages_missing": packages_missing(packages),
        "services_down": sorted(name for name, one in wanted.items() if running.get(name) != one),
        "libvirt_networks_present": libvirt_networks_present(libvirt_networks),
        "files": {path: _digest(Path(path)) for path in files},
    }


def packages_missing(names: Sequence[str]) -> list[str]:
    """Those of ``names`` that dpkg does not have installed, sorted; all of them on a node without dpkg."""
    if not names:
        return []
    if not has_tool("dpkg-query"):
        return sorted(names)
    text = run(["dpkg-query", "-W", "-f", "${binary:Package} ${db:Status-Status}\n", *names], ok=(0, 1))
    installed = {line.split()[0].split(":")[0] for line in text.splitlines() if line.endswith(" installed")}
    return sorted(set(names) - installed)


def libvirt_networks_present(names: Sequence[str]) -> list[str]:
    """Those of ``names`` that libvirt has defined or active, sorted."""
    return sorted(name for name in names if any((home / f"{name}.xml").exists() for home in LIBVIRT_NETWORKS))


def _units(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Properties of units by the names asked for."""
    unknown = {"LoadState": "not-found", "ActiveState": "inactive", "UnitFileState": ""}
    if not names or not has_tool("systemctl"):
        return dict.fromkeys(names, unknown)
    text = run(["systemctl", "show", "--property=LoadState,ActiveState,UnitFileState", "--", *names])
    blocks = text.strip("\n").split("\n\n")
    return {
        name: dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for name, block in zip(names, blocks, strict=True)
    }


def _apt_lists_are_fresh() -> bool:
    try:
        newest = max(path.stat().st_mtime for path in APT_LISTS.iterdir() if path.name.endswith("_Packages"))
    except (ValueError, FileNotFoundError):
        return False
    return time.time() - newest < APT_LISTS_FRESH_S


def _apt_install(names: Sequence[str]) -> None:
    _apt("install", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", "--", *names)


def _apt(*args: str) -> None:
    # "env": apt and the packages' scripts must never ask; another apt that runs just now is waited for.
    noninteractive = ["env", "DEBIAN_FRONTEND=noninteractive"]
    run([*noninteractive, "apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=300", *args], timeout=APT_TIMEOUT_S)


def _digest(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""

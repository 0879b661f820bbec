"""What a node lacks: packages, running services and units; and the digests of files. Reading takes a few milliseconds.

A play reads this once, and calls only the roles that must change the node. What does not belong here: installing
packages and starting services (``roles/common``), the names of packages, services and tools (``roles/common/vars``),
and the facts of the machine (``facts.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ...system.process import has_tool, run
from .libvirt_networks import networks_present

STARTS_AT_BOOT = frozenset({"enabled", "static", "indirect", "alias", "generated"})


@dataclass(frozen=True)
class Unit:
    """Whether systemd knows a unit, whether the unit runs, and whether it starts at boot."""

    known: bool
    active: bool = False
    enabled: bool = False


def survey(
    packages: Sequence[str] = (),
    package_query: Sequence[str] = (),
    services: Sequence[str] = (),
    units: Sequence[str] = (),
    libvirt_networks: Sequence[str] = (),
    files: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what the node lacks of the arguments.

    :param package_query: see ``packages_missing``.
    :returns: sorted lists of names: ``packages_missing``, ``services_down`` (not active, or not started at boot),
        ``units_unknown`` (systemd has no such unit) and ``libvirt_networks_present``; and ``files``, path → SHA-256 in
        hex ("" for a file that does not exist).
    """
    states = read_units([*services, *units])
    return {
        "packages_missing": packages_missing(packages, package_query),
        "services_down": sorted({name for name in services if not (states[name].active and states[name].enabled)}),
        "units_unknown": sorted({name for name in units if not states[name].known}),
        "libvirt_networks_present": networks_present(libvirt_networks),
        "files": {path: _digest(Path(path)) for path in files},
    }


def packages_missing(names: Iterable[str], query: Sequence[str]) -> list[str]:
    """Return the packages of ``names`` that are not installed, sorted; all of them on a node without the query's tool.

    A package whose installation was interrupted counts as missing.

    :param query: a command to which the names are added. It prints ``<name> installed`` for each package that is
        installed. Other lines and its exit code are ignored: package tools fail for an unknown name.
    """
    needed = sorted(set(names))
    if not needed or not query or not has_tool(query[0]):
        return needed
    lines = set(run([*query, *needed], ok=range(256)).splitlines())
    return [name for name in needed if f"{name} installed" not in lines]


def read_units(names: Sequence[str]) -> dict[str, Unit]:
    """Return name → state of the units, with a single call to systemd."""
    if not names or not has_tool("systemctl"):
        return dict.fromkeys(names, Unit(known=False))
    text = run(["systemctl", "show", "--property=LoadState,ActiveState,UnitFileState", "--", *names])
    blocks = text.strip("\n").split("\n\n")
    return {name: _unit(block) for name, block in zip(names, blocks, strict=True)}


def _unit(block: str) -> Unit:
    state: Mapping[str, str] = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    if state["LoadState"] == "not-found":
        return Unit(known=False)
    return Unit(True, state["ActiveState"] in {"active", "reloading"}, state["UnitFileState"] in STARTS_AT_BOOT)


def _digest(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""

"""What a node lacks: packages, running services, unit files, and the digests of files. Read-only, a few milliseconds.

A play asks once and calls only the roles that have something to do. What does not belong here: installing and starting
(``roles/common``), the names of packages, services and tools (``roles/common/vars``), and what the machine itself is
like (``facts.py``).
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
    """What systemd says of a unit: whether it knows it, whether it runs, and whether it starts at boot."""

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
    """What the node lacks of what is asked for.

    :param package_query: see ``packages_missing``.
    :returns: sorted lists of names: ``packages_missing``, ``services_down`` (not both active and started at boot),
        ``units_unknown`` (systemd has no such unit) and ``libvirt_networks_present``; and ``files``, path → SHA-256 in
        hex ("" for a file that does not exist).
    """
    found = read_units([*services, *units])
    return {
        "packages_missing": packages_missing(packages, package_query),
        "services_down": sorted({name for name in services if not (found[name].active and found[name].enabled)}),
        "units_unknown": sorted({name for name in units if not found[name].known}),
        "libvirt_networks_present": networks_present(libvirt_networks),
        "files": {path: _digest(Path(path)) for path in files},
    }


def packages_missing(names: Iterable[str], query: Sequence[str]) -> list[str]:
    """Those of ``names`` that are not installed, sorted; all of them on a node without the tool that is asked.

    A package that an interrupted installation left half done counts as missing.

    :param query: a command to which the names are added. It prints ``<name> installed`` for each package that is
        installed; other lines say nothing, and it may fail (package tools do for a name that they do not know).
    """
    wanted = sorted(set(names))
    if not wanted or not query or not has_tool(query[0]):
        return wanted
    lines = set(run([*query, *wanted], ok=range(256)).splitlines())
    return [name for name in wanted if f"{name} installed" not in lines]


def read_units(names: Sequence[str]) -> dict[str, Unit]:
    """The state of each unit by the name asked for, in one call."""
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

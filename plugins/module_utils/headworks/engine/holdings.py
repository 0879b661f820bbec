"""What this node holds: its guests, also removed ones that it keeps, its routers and networks, and from which plan.

A plan asks all nodes before it decides. So this must be cheap: every directory is read once, and libvirt is loaded only
on a node that has guests. What does not belong here: facts about the machine (``node/host/facts.py``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..node.compute.directories import MARK_FILE
from ..node.compute.libvirt_socket import SOCKET, URI
from ..node.compute.qcow2 import read_header
from ..node.compute.removed import REMOVED_DIR, list_removed, occupied
from ..node.compute.rule import RULE, days_of_rule
from ..node.marks import MARKER_DIR
from ..state.places import INSTANCES_DIR, NODE_STATE
from ..system.kept_json import read_kept
from ..system.netns import is_namespace
from .applied import applied_serial

LIBVIRT_DEFINITIONS = Path("/etc/libvirt/qemu")
MARK_URI = "https://headworks.invalid/xmlns/instance/1"  # METADATA_URI in node/compute/domain_xml.py
NAMESPACES = {"routers": "qrouter-", "networks": "qdhcp-"}

Instances = dict[str, dict[str, Any]]


def holdings(
    instances_dir: Path = Path(INSTANCES_DIR), removed_dir: Path = REMOVED_DIR, document: Path = Path(NODE_STATE)
) -> dict[str, Any]:
    """Return what this node holds, as plain data.

    ``cloud``, ``node``, ``lineage``, ``serial``, ``digest`` and ``allocations`` are those of the document that the node
    keeps; ``applied`` is the serial of the last plan that it applied in whole.
    ``instances`` is uuid → guest; its ``state`` is that of libvirt, ``undefined`` without a domain, and
    ``removed`` for a removed guest that can come back. ``routers`` and ``networks`` are ids of namespaces of the cloud.
    ``damaged`` has texts about files that are torn.
    """
    kept = read_kept(document)
    origin = kept.data or {}
    cloud = str(origin.get("cloud", ""))
    damaged = [kept.damage] if kept.damage else []
    instances = _instances(instances_dir, origin, damaged)
    if instances or _defines_ours(LIBVIRT_DEFINITIONS):
        _add_domains(instances, damaged)
    removed_bytes = _add_removed(instances, removed_dir)
    return {
        "cloud": cloud,
        "node": str(origin.get("node", "")),
        "lineage": str(origin.get("lineage", "")),
        "serial": int(origin.get("serial", 0)),
        "applied": applied_serial(str(origin.get("lineage", "")), document.parent),
        "digest": str(origin.get("digest", "")),
        "allocations": origin.get("allocations", {}),
        "damaged": damaged,
        "instances": instances,
        **{kind: _namespaces(prefix, cloud) for kind, prefix in NAMESPACES.items()},
        "removed_bytes": removed_bytes,
    }


def _instances(instances_dir: Path, origin: Mapping[str, Any], damaged: list[str]) -> Instances:
    """Return the guests with a directory, without their domains. A directory whose mark is lost counts if the document
    ``origin`` has its disk."""
    instances: Instances = {}
    declared = {disk.get("name"): disk for disk in origin.get("sections", {}).get("disks", ())}
    for name, path in _subdirectories(instances_dir):
        kept = read_kept(path / MARK_FILE)
        if kept.damage:
            damaged.append(kept.damage)
        mark = kept.data
        if mark is None and name in declared:
            mark = {**declared[name], "cloud": origin.get("cloud")}
        if mark is not None:
            instances[name] = _guest(mark, path)
    return instances


def _guest(mark: Mapping[str, Any], path: Path) -> dict[str, Any]:
    return {
        "name": str(mark.get("title", "")),
        "cloud": str(mark.get("cloud") or ""),
        "domain": "",
        "state": "undefined",
        "disk_bytes": occupied(path),
        "virtual_bytes": read_header(path / "disk").size,
        "created": mark["created"] if isinstance(mark.get("created"), int) else int(path.stat().st_mtime),
        "protected": mark.get("protected") is True,
    }


def _add_removed(instances: Instances, removed_dir: Path) -> int:
    """Add the removed guests that can come back, the newest of each. Return what all removed guests occupy."""
    total, days = 0, days_of_rule(RULE)
    newest: Instances = {}
    for removed in list_removed(removed_dir):
        size = occupied(removed.directory)
        total += size
        if removed.complete:
            newest[removed.name] = {
                "name": removed.title,
                "cloud": removed.cloud,
                "domain": "",
                "state": "removed",
                "disk_bytes": size,
                "virtual_bytes": read_header(removed.directory / "disk").size,
                "created": 0,
                "protected": False,
                "removed": removed.time,
                "until": removed.until(days),
                "allocation": dict(removed.allocation),
            }
    instances |= {name: guest for name, guest in newest.items() if name not in instances}
    return total


def _add_domains(instances: Instances, damaged: list[str]) -> None:
    """Add libvirt's name and the state of each guest, and the guests of which only a domain is left."""
    if not SOCKET.exists():
        return
    import libvirt  # imported here: it takes as long as all the rest

    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    try:
        connection = libvirt.openReadOnly(URI)
        try:
            for handle, statistics in connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE):
                name = handle.UUIDString()
                if name not in instances:
                    mark = _mark_of(handle)
                    if mark is None:
                        continue
                    instances[name] = {**mark, "disk_bytes": 0, "virtual_bytes": 0, "created": 0}
                instances[name]["domain"] = handle.name()
                instances[name]["state"] = _state(handle, statistics.get("state.state", 0))
        finally:
            connection.close()
    except libvirt.libvirtError as error:
        damaged.append(f"libvirt does not tell the states of the guests: {error}")


def _state(handle: Any, state: int) -> str:
    import libvirt

    if state == libvirt.VIR_DOMAIN_PAUSED:
        return "paused"
    if handle.isActive():
        return "running"
    return "suspended" if handle.hasManagedSaveImage() else "stopped"


def _mark_of(handle: Any) -> dict[str, Any] | None:
    """Return what the mark of a domain says, or None if it is not ours."""
    import xml.etree.ElementTree as ET

    import libvirt

    try:
        mark = ET.fromstring(handle.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, MARK_URI, 0))
        title = handle.metadata(libvirt.VIR_DOMAIN_METADATA_TITLE, None, 0)
    except libvirt.libvirtError:
        return None
    return {"name": title, "cloud": mark.get("cloud", ""), "protected": mark.get("protected") == "true"}


def _defines_ours(definitions: Path) -> bool:
    """Return whether libvirt has a definition with our mark. libvirt itself is not asked: loading it takes longer."""
    return any(MARK_URI in path.read_text(errors="replace") for path in definitions.glob("*.xml"))


def _namespaces(prefix: str, cloud: str) -> dict[str, str]:
    """Return the ids of the cloud's namespaces whose names begin with ``prefix``, each with no name: the node does not
    know it."""
    if not MARKER_DIR.is_dir():
        return {}
    ours = (marker for marker in MARKER_DIR.iterdir() if marker.name.startswith(prefix))
    return {
        marker.name.removeprefix(prefix): ""
        for marker in sorted(ours)
        if is_namespace(marker.name) and cloud in ("", marker.read_text().strip())
    }


def _subdirectories(path: Path) -> Iterable[tuple[str, Path]]:
    if not path.is_dir():
        return []
    with os.scandir(path) as entries:
        return sorted((entry.name, path / entry.name) for entry in entries if entry.is_dir() and entry.name[0] != ".")

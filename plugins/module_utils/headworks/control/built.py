"""Notes in the allocations file which instances their nodes have built. If one is missing later, its disk is lost.

The plan itself learns this only in a later run, which writes the file only if something else changed. What does not
belong here: what a plan makes of it (``plan/found/heal.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..plan.allocation.allocations import VARIABLE, as_text
from . import allocations_file


def has_disks(answer: Mapping[str, Any]) -> bool:
    """Whether a node has the disks of all its guests, by the answer of node_state. Another part of it may have
    failed."""
    if not answer.get("failed"):
        return True
    failures = answer.get("failures") or ()
    if answer.get("refused") or answer.get("paused") or not failures:
        return False
    return not any(
        failure["kind"] in ("disk", "image") or (failure["kind"] == "domain" and not failure["name"])
        for failure in failures
    )


def note_built(path: Path, node: str, names: Collection[str]) -> None:
    """Note that ``node`` has built the instances ``names``. The serial of the file stays, and so does its previous
    version: ``built`` is no part of the digest. An instance that another run has removed meanwhile is left out.

    :raises PlanError: the file cannot be written.
    """
    if not names:
        return
    with allocations_file.locked(path):
        data = (allocations_file.read(path).content or {}).get(VARIABLE) or {}
        entries = [entry for name, entry in (data.get("instances") or {}).items() if name in names]
        fresh = [entry for entry in entries if entry["node"] == node and not entry.get("built")]
        for entry in fresh:
            entry["built"] = True
        if fresh:
            allocations_file.complete(path, as_text(data))

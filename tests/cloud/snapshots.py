"""Comparison of snapshots of nodes (``on_node/snapshot.py``), with readable lines for the differences."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from cloud_lab import CloudLab

Snapshots = dict[str, dict[str, Any]]
SETTLE_S = 20.0
SHOWN = 40


def take(lab: CloudLab, nodes: Iterable[str]) -> Snapshots:
    """Take snapshots, by node."""
    return {node: lab.snapshot(node) for node in nodes}


def differences(before: Any, after: Any, where: str = "") -> Iterator[str]:
    """``path: before -> after`` of every leaf that differs; lists of lines are compared as sets."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key), f"{where}/{key}")
    elif isinstance(before, list) and isinstance(after, list):
        lines_before, lines_after = ([str(item) for item in items] for items in (before, after))
        yield from (f"- {where}: {line}" for line in lines_before if line not in lines_after)
        yield from (f"+ {where}: {line}" for line in lines_after if line not in lines_before)
    elif before != after:
        yield f"~ {where}: {before} -> {after}"


def must_be_unchanged(lab: CloudLab, before: Snapshots, allowed: Callable[[str], bool] = lambda line: False) -> None:
    """Fail if a node differs from its snapshot after ``SETTLE_S``, the time for daemons to stop.

    :param allowed: accepts a difference, given as ``<sign> /<node>/<path>: …``.
    """
    end = time.monotonic() + SETTLE_S
    while True:
        lines = [line for line in differences(before, take(lab, before)) if not allowed(line)]
        if not lines or time.monotonic() > end:
            break
        time.sleep(1.0)
    listing = "\n".join(line[:500] for line in lines[:SHOWN])
    assert not lines, f"{len(lines)} differences:\n{listing}"


def is_of_a_removed_guest(difference: str) -> bool:
    """Whether a difference is about what a node keeps of a removed guest."""
    return "/var/lib/headworks/removed" in difference

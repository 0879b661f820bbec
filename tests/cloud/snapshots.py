"""Snapshots of nodes (``on_node/snapshot.py``) compared: the differences as lines that a person can read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from cloud_lab import CloudLab

Snapshots = dict[str, dict[str, Any]]
SETTLE_S = 20.0
SHOWN = 40


def take(lab: CloudLab, nodes: Iterable[str]) -> Snapshots:
    """Snapshots by node."""
    return {node: lab.snapshot(node) for node in nodes}


def differences(before: Any, after: Any, where: str = "") -> Iterator[str]:
    """``path: before -> after`` of every leaf that differs; lists of lines are compared as sets."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key), f"{where}/{key}")
    elif isinstance(before, list) and isinstance(after, list):
        old, new = ([str(one) for one in items] for items in (before, after))
        yield from (f"- {where}: {one}" for one in old if one not in new)
        yield from (f"+ {where}: {one}" for one in new if one not in old)
    elif before != after:
        yield f"~ {where}: {before} -> {after}"


def must_be_the_same(lab: CloudLab, before: Snapshots, allowed: Callable[[str], bool] = lambda line: False) -> None:
    """Every node is as it was. Daemons that are being stopped and the like have a moment for it.

    :param allowed: differences that are right, each ``<sign> /<node>/<path>: …``.
    """
    end = time.monotonic() + SETTLE_S
    while True:
        found = [line for line in differences(before, take(lab, before)) if not allowed(line)]
        if not found or time.monotonic() > end:
            break
        time.sleep(1.0)
    listing = "\n".join(line[:500] for line in found[:SHOWN])
    assert not found, f"{len(found)} differences:\n{listing}"

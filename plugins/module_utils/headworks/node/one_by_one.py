"""Apply a batch of changes; if that fails, apply what is left of it one by one, so that only the objects at fault fail.

For subsystems whose tool makes all changes or stops at the first error (``ip -batch``, a transaction of OVSDB). What
does not belong here: how the changes are made (the subsystems).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from .subsystem import Applied, Change, Subsystem

SECONDS = 30.0  # for a batch, and for all single changes together: if a daemon hangs, each of them takes long
TRIES = 2  # an object that needs another one of the batch may come before it

Batch = Callable[[Sequence[Change[Any]]], object]


def apply_isolated(subsystem: Subsystem[Any], changes: Sequence[Change[Any]], batch: Batch) -> Applied:
    """Apply ``changes`` with ``batch``. If that fails, read the node again and apply each remaining change by itself.

    :raises Exception: that of ``batch``, if the node has no difference left or cannot be read, or if ``batch`` took so
        long that a daemon probably hangs.
    """
    began = time.monotonic()
    try:
        batch(changes)
    except Exception as error:
        left: list[Change[Any]] = []
        if time.monotonic() - began < SECONDS:
            with suppress(Exception):  # the reason of the first error is told
                left = _left(subsystem, changes)
        if not left:
            raise
        return Applied(failures=_each(left, batch, error))
    return Applied()


def _left(subsystem: Subsystem[Any], changes: Sequence[Change[Any]]) -> list[Change[Any]]:
    """Return the changes that the node still lacks, in the same order."""
    scope = {change.name: change for change in changes}
    desired = {change.name: change.after for change in changes if change.after is not None}
    again = {change.name: change for change in subsystem.diff(desired, subsystem.read(desired, scope))}
    return [replace(again[change.name], cause=change.cause) for change in changes if change.name in again]


def _each(changes: Sequence[Change[Any]], batch: Batch, error: Exception) -> dict[str, str]:
    """Apply each change by itself. Return name → why, for those that fail."""
    end = time.monotonic() + SECONDS
    failures: dict[str, str] = {}
    for _ in range(TRIES):
        tried = [change for change in changes if not failures or change.name in failures]
        failures = {}
        for change in tried:
            if time.monotonic() > end:
                failures[change.name] = str(error)
                continue
            try:
                batch([change])
            except Exception as reason:
                failures[change.name] = f"{change.name}: {reason}"
        if not failures:
            break
    return failures

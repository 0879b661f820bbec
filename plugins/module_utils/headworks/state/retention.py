"""Section ``retention``: how long a node keeps what is left of removed guests."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_DAYS = 7


@dataclass(frozen=True)
class Retention:
    """Files below the directory ``removed`` are deleted ``days`` days after the removal of their guest. ``name`` is the
    name of the directory. 0 days: when systemd-tmpfiles runs the next time."""

    name: str
    days: int = DEFAULT_DAYS

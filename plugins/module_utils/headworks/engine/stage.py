"""One subsystem on its way through the walk: what is desired, what was read, and the changes that were found.

What does not belong here: the walk itself (``converge.py``), and which removals it may make (``removals.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..node.subsystem import Change, Reading, Subsystem


@dataclass
class Stage:
    """A subsystem with its desired objects, its reading and its changes. ``compared`` is True when the changes are
    known. ``failures`` maps name → why the object could not be changed. ``lenient``: a conflict concerns only its
    guest, and the walk goes on."""

    subsystem: Subsystem[Any]
    desired: Mapping[str, Any]
    reading: Reading[Any] = field(default_factory=Reading)
    changes: list[Change[Any]] = field(default_factory=list)
    read_again: bool = False
    compared: bool = False
    failures: dict[str, str] = field(default_factory=dict)
    lenient: bool = False

"""The version of the allocations file, and the steps that migrate an older file to it.

A change of the file's form raises ``VERSION`` and adds a step from the previous version. What does not belong here:
reading the current form (``allocations.py``), and reading or writing files (``control/allocations_file.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...model.errors import PlanError, shown

VERSION = 2

Step = Callable[[Mapping[str, Any]], dict[str, Any]]


def _without_digests(data: Mapping[str, Any]) -> dict[str, Any]:
    """Version 2 adds lineage, serial, removed and resting; without them, the file is the first of its lineage. Its
    lines have other digests: those of version 1 are dropped, so that they are not taken for changes."""
    declared = {
        kind: {name: " ".join(_kept_fields(line)) for name, line in lines.items()}
        for kind, lines in (data.get("declared") or {}).items()
    }
    return {**data, "declared": declared}


def _kept_fields(line: str) -> list[str]:
    return [field for field in line.split(" ") if not field.startswith("other=")]


# Version → the function that migrates a file of that version to the next version. A step returns new data and does not
# change its argument. It need not set ``version``.
MIGRATIONS: dict[int, Step] = {
    1: _without_digests,
}


def migrate(data: Mapping[str, Any], variable: str) -> Mapping[str, Any]:
    """The allocations ``data`` in the form of ``VERSION``.

    :param variable: the inventory variable that ``data`` is the value of, for messages.
    :raises PlanError: the data has no version, or a version that this code cannot read.
    """
    version = data.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise PlanError([f"{variable}.version: {shown(version)}: must be {VERSION}"])
    if version > VERSION:
        rule = f"must be {VERSION} or lower: a newer headworks has written this file; use that version of headworks"
        raise PlanError([f"{variable}.version: {version}: {rule}"])
    for step in range(version, VERSION):
        data = {**MIGRATIONS[step](data), "version": step + 1}
    return data

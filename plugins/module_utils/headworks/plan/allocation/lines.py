"""The lines by which the allocations remember what a run declared: ``field=value field=value``.

What does not belong here: which fields an object has (``plan/announce.py``).
"""

from __future__ import annotations

from collections.abc import Mapping


def line_of(fields: Mapping[str, str]) -> str:
    """The fields as a line, without empty ones. Names and addresses contain no blanks and no ``=``, so ``fields_of``
    can split the line."""
    return " ".join(f"{name}={value}" for name, value in fields.items() if value)


def fields_of(line: str) -> dict[str, str]:
    """The fields of a line."""
    return dict(part.split("=", 1) for part in line.split(" ") if "=" in part)

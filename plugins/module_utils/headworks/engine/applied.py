"""Which plan the node has applied in whole: its lineage and serial, in a file beside the document.

The document says which plan the node is applying, since it is kept before the first change. A run that is killed or
fails leaves this file behind the document, and the values that its plan frees rest (``plan/allocation/resting.py``).
What does not belong here: the document itself (``doors.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..system.files import read_text, write_file

APPLIED = "applied-plan"  # the file's name, in the directory of the document


def note_applied(document: Mapping[str, Any], directory: Path) -> None:
    """Note that the node has applied the plan of ``document``."""
    if "serial" in document:
        write_file(directory / APPLIED, _text(document))


def is_applied(document: Mapping[str, Any], directory: Path) -> bool:
    """Return whether the node has applied the plan of ``document`` in whole. A document without a plan has nothing to
    note."""
    return "serial" not in document or read_text(directory / APPLIED) == _text(document)


def applied_serial(lineage: str, directory: Path) -> int:
    """Return the serial of the plan of ``lineage`` that the node applied last in whole; 0 without one."""
    of, _, serial = (read_text(directory / APPLIED) or "").strip().rpartition(" ")
    return int(serial) if of == lineage and serial.isdecimal() else 0


def _text(document: Mapping[str, Any]) -> str:
    return f"{document.get('lineage', '')} {document['serial']}\n"

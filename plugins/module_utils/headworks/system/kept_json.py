"""JSON documents that a node keeps with their previous version: ``<name>`` and ``<name>.prev``.

A power cut or a full filesystem can leave a file torn or empty. Such a file is detected, told, and its previous version
is used. It never replaces a good previous version. What does not belong here: what a document means.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .files import sync_directory, write_file

PREVIOUS = ".prev"


@dataclass(frozen=True)
class Kept:
    """What was read: ``data`` is None if there is no intact version. ``damage`` says what is wrong and which version
    was used, "" if nothing is wrong. ``previous`` is True if ``data`` is of the previous version."""

    data: dict[str, Any] | None = None
    damage: str = ""
    previous: bool = False


def read_kept(path: Path) -> Kept:
    """Return the document at ``path``, or its previous version if the file is missing or damaged."""
    data, problem = _read(path)
    if data is not None:
        return Kept(data)
    previous, previous_problem = _read(_previous(path))
    if previous is not None:
        return Kept(previous, f"{path} {problem}; {_previous(path).name} is used instead of it", previous=True)
    if problem == _MISSING:
        return Kept() if previous_problem == _MISSING else Kept(None, f"{_previous(path)} {previous_problem}")
    return Kept(None, f"{path} {problem}, and {_previous(path).name} {previous_problem}")


def write_kept(path: Path, data: dict[str, Any], mode: int = 0o644) -> bool:
    """Write the document. The file that it replaces becomes the previous version if it is intact. Return whether the
    file had to change."""
    return write_kept_text(path, kept_text(data), mode)


def write_kept_text(path: Path, text: str, mode: int = 0o644) -> bool:
    """As ``write_kept``, for a document that ``kept_text`` has encoded."""
    present = _bytes(path)
    if present != text.encode() and present and _parsed(present) is not None:
        fresh = path.with_name(f".{path.name}{PREVIOUS}.new")
        fresh.unlink(missing_ok=True)
        os.link(path, fresh)
        fresh.replace(_previous(path))
        # rename() does nothing if both names are links to one file: then a run was killed between the two steps.
        fresh.unlink(missing_ok=True)
        sync_directory(path.parent)
    return write_file(path, text, mode)


def kept_text(data: dict[str, Any]) -> str:
    """Return the document as the text of its file."""
    return json.dumps(data, sort_keys=True, separators=(",", ":")) + "\n"


_MISSING = "is missing"


def _previous(path: Path) -> Path:
    return path.with_name(path.name + PREVIOUS)


def _read(path: Path) -> tuple[dict[str, Any] | None, str]:
    """Return (document, ""), or (None, what is wrong with the file)."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None, _MISSING
    except OSError as error:
        return None, f"cannot be read ({error.strerror})"
    data = _parsed(content)
    if data is None:
        return None, "is not complete JSON" if content.strip(b"\0 \n") else "is empty"
    return data, ""


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _parsed(content: bytes) -> dict[str, Any] | None:
    """Return the document, or None if the content is torn: a JSON object that lacks its end is no JSON."""
    try:
        data = json.loads(content)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None

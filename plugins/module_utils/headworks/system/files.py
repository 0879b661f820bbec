"""Small files written whole: nobody ever sees half of one, and one that is right already is not touched.

What does not belong here: what is in the files, and big ones (images, disks).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def write_file(path: Path, content: str | bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> bool:
    """Make ``path`` hold ``content`` with ``mode`` (and ``owner``, uid and gid); returns whether it did not already.

    The content goes to ``.<name>.new`` beside it, which is then renamed: a reader sees the old file or the new one.
    The name is fixed, so that what a killed run left is overwritten by the next. The directory must exist.
    """
    data = content.encode() if isinstance(content, str) else content
    if _is(path, data, mode, owner):
        return False
    fresh = path.with_name(f".{path.name}.new")
    # Opened with no rights for others first: secrets must not be readable for the moment before chmod.
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        os.fchmod(descriptor, mode)
        if owner is not None:
            os.fchown(descriptor, *owner)
    fresh.replace(path)
    return True


def write_link(path: Path, target: str) -> bool:
    """Make ``path`` a symbolic link to ``target``, swapped in one step; returns whether it was not already."""
    if read_link(path) == target:
        return False
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(path)
    return True


def read_text(path: Path) -> str | None:
    """The content of ``path``, or None when there is no such file. Bytes that are no UTF-8 come back as U+FFFD."""
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_link(path: Path) -> str | None:
    """Where the symbolic link ``path`` points, or None when it is none."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def matches(files: Mapping[Path, str]) -> bool:
    """Whether every one of ``files`` exists with just that content."""
    return all(read_text(path) == content for path, content in files.items())


def _is(path: Path, data: bytes, mode: int, owner: tuple[int, int] | None) -> bool:
    try:
        status = os.lstat(path)
        if (status.st_mode & 0o170777) != 0o100000 | mode or status.st_size != len(data):
            return False
        if owner is not None and (status.st_uid, status.st_gid) != owner:
            return False
        return path.read_bytes() == data
    except OSError:
        return False

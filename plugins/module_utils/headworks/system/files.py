"""Write small files atomically: a reader sees the old or the new content, and an unchanged file is not written. A power
cut leaves the old or the new content, too: file and directory are synchronized with the disk.

What does not belong here: the content of files, documents with a previous version (``kept_json.py``), and large files
(``node/compute``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def write_file(path: Path, content: str | bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> bool:
    """Write ``content`` to ``path`` with ``mode`` (and ``owner``: uid and gid). Return whether anything had to change.

    The function writes ``.<name>.new`` in the same directory and then renames it: a reader sees the old file or the
    new file. This name is fixed, so that the next run overwrites what a killed run left. The directory must exist. When
    the function returns, the new file is on the disk.
    """
    data = content.encode() if isinstance(content, str) else content
    if _is_up_to_date(path, data, mode, owner):
        return False
    fresh = path.with_name(f".{path.name}.new")
    # The new file first has no rights for other users: a secret must not be readable before chmod.
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(descriptor, mode)
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fsync(descriptor)
        fresh.replace(path)
    except OSError as error:  # the filesystem is full, for example
        fresh.unlink(missing_ok=True)
        error.filename = error.filename or str(path)
        raise
    sync_directory(path.parent)
    return True


def write_link(path: Path, target: str) -> bool:
    """Replace ``path`` by a symbolic link to ``target`` in one step. Return whether the link had to change."""
    if read_link(path) == target:
        return False
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(path)
    sync_directory(path.parent)
    return True


def sync_directory(path: Path) -> None:
    """Write the entries of a directory to the disk. After a power cut it has the names that it has now."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_text(path: Path) -> str | None:
    """Return the content of ``path``, or None if the file does not exist. U+FFFD replaces bytes that are not UTF-8."""
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_link(path: Path) -> str | None:
    """Return the target of the symbolic link ``path``, or None if ``path`` is not a symbolic link."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def matches(files: Mapping[Path, str]) -> bool:
    """Whether each file of ``files`` (path → content) exists with exactly this content."""
    return all(read_text(path) == content for path, content in files.items())


def _is_up_to_date(path: Path, data: bytes, mode: int, owner: tuple[int, int] | None) -> bool:
    try:
        status = os.lstat(path)
        if (status.st_mode & 0o170777) != 0o100000 | mode or status.st_size != len(data):
            return False
        if owner is not None and (status.st_uid, status.st_gid) != owner:
            return False
        return path.read_bytes() == data
    except OSError:
        return False

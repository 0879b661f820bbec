"""Directories of instances: the mark of the owner, the modes of the files, and whether the disk exists.

What does not belong here: creating disks (``disks.py``), and directories of removed guests (``removed.py``).
"""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from ...state.disks import Disk
from ...system.files import sync_directory
from ...system.kept_json import PREVIOUS, Kept, read_kept, write_kept
from .qcow2 import read_header

MARK_FILE = "headworks.json"
PARTIAL = "disk.part"  # a disk that is created
REMOVED_FILE = "removed.json"  # in the directory of a removed guest
DIRECTORY_MODE = 0o711  # QEMU, which is not root, has to reach the disk
DISK_MODE = 0o600


@dataclass(frozen=True)
class Found(Disk):
    """A disk as it is on the node. ``cloud`` is from its mark. ``exists``: there is a file, whatever its format and
    content. ``marked``: the mark is intact. ``tidy``: the modes are right, and no run was killed while it created
    the disk, set the directory aside or brought it back."""

    cloud: str = ""
    size: int = 0  # bytes
    exists: bool = True
    readable: bool = True
    marked: bool = True
    tidy: bool = True


def read_directory(directory: Path, kept: Kept) -> Found:
    """Return the disk of an instance's directory, whose mark was read as ``kept``. Only a missing file is missing."""
    mark = kept.data or {}
    disk = directory / "disk"
    exists = os.path.lexists(disk)
    header = read_header(disk)
    return Found(
        directory.name,
        str(mark.get("title", "")),
        Path(header.backing).name,
        "",
        protected=mark.get("protected") is True,
        cloud=str(mark.get("cloud") or ""),
        size=header.size,
        exists=exists,
        readable=header.readable or not exists,
        marked=kept.data is not None and not kept.damage,
        tidy=has_mode(directory.parent, DIRECTORY_MODE)
        and has_mode(directory, DIRECTORY_MODE)
        and (not exists or has_mode(disk, DISK_MODE))
        and not any(os.path.lexists(directory / name) for name in (REMOVED_FILE, PARTIAL)),
    )


def tidy(directory: Path) -> None:
    """Give a directory and its disk their modes, and remove what a killed run left beside the disk."""
    directory.chmod(DIRECTORY_MODE)
    disk = directory / "disk"
    if not has_mode(disk, DISK_MODE):
        disk.chmod(DISK_MODE)
    for name in (REMOVED_FILE, PARTIAL):
        (directory / name).unlink(missing_ok=True)
    sync_directory(directory)


def has_mode(path: Path, mode: int) -> bool:
    """Return whether a file or directory has the mode. Anything else (a link to a block device, for example) has."""
    status = path.lstat()
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return True
    return stat.S_IMODE(status.st_mode) == mode


def make_directory(path: Path, mode: int = DIRECTORY_MODE) -> None:
    """Make a directory with ``mode``, and its parents. An existing directory gets the mode."""
    if not path.is_dir():
        path.mkdir(parents=True)
        sync_directory(path.parent)
    path.chmod(mode)


def write_mark(directory: Path, disk: Disk, cloud: str | None) -> None:
    """Write the mark of a directory. It keeps the time of its creation."""
    created = (read_kept(directory / MARK_FILE).data or {}).get("created", int(time.time()))
    mark = {"cloud": cloud, "title": disk.title, "protected": disk.protected, "created": created}
    write_kept(directory / MARK_FILE, mark)


def forget_directory(directory: Path) -> None:
    """Remove a directory that a failed run made, unless it has a disk."""
    if os.path.lexists(directory / "disk"):
        return
    for name in (MARK_FILE, MARK_FILE + PREVIOUS, "disk.info"):
        (directory / name).unlink(missing_ok=True)
    directory.rmdir()

"""What is left of removed guests: ``removed/<uuid>.<unix time>/`` with the disk, the console log, the definition and
the mark, and ``removed.json``, which says whose it is.

systemd-tmpfiles deletes the files when they are old enough (``retention.py``). It deletes one file after the other, so
a directory can be half deleted: such a directory is never used. What does not belong here: when a guest is removed or
comes back (``disks.py``).
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...state.places import REMOVED_DIR as REMOVED_PATH
from ...state.retention import DEFAULT_DAYS
from ...system.files import sync_directory, write_file
from ...system.kept_json import read_kept
from .directories import REMOVED_FILE, make_directory

REMOVED_DIR = Path(REMOVED_PATH)
REMOVED_MODE = 0o700
RULE_NAME = "removed"  # the name of the rule for this directory (``retention.py``)
DAY_S = 86400
BLOCK = 512  # what st_blocks counts
_NAME = re.compile(r"(?P<name>[^.].*)\.(?P<time>[0-9]+)")
_RECLAIMING = ".reclaim."
# Files without which a guest can come back.
_SPARE = frozenset({"console.log", "disk.info", "disk.part", "headworks.json.prev", REMOVED_FILE})


class RemovedError(RuntimeError):
    """A removed guest cannot be brought back. The message has its directory and the reason."""


@dataclass(frozen=True)
class Removed:
    """A removed guest. ``name`` is its uuid, ``title`` its inventory name, ``time`` when it was removed. ``allocation``
    is what the plan had assigned to it. ``missing`` has the files that are not there any more."""

    directory: Path
    name: str
    time: int
    title: str = ""
    cloud: str = ""
    days: int = DEFAULT_DAYS
    allocation: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the guest can come back with its disk."""
        return not self.missing

    def until(self, days: int | None) -> int:
        """Return when systemd-tmpfiles deletes it at the earliest.

        :param days: what the rule on the node says (``rule.py``); None without a rule.
        """
        return self.time + (self.days if days is None else days) * DAY_S


def list_removed(removed_dir: Path = REMOVED_DIR) -> list[Removed]:
    """Return the removed guests, the oldest first."""
    paths = removed_dir.iterdir() if removed_dir.is_dir() else ()
    found = [removed for path in paths if (removed := read_removed(path)) is not None]
    return sorted(found, key=lambda removed: (removed.time, removed.name))


def newest_by_name(removed_dir: Path) -> dict[str, Removed]:
    """Return the newest directory of each removed guest, by uuid."""
    return {removed.name: removed for removed in list_removed(removed_dir)}


def select(guests: Iterable[Removed], wanted: Iterable[str]) -> list[Removed]:
    """Return the guests with one of the names ``wanted``: inventory names, uuids or names of directories.

    :raises RemovedError: a name is unknown, or is the name of guests of several clouds.
    """
    known, chosen = list(guests), []
    for word in wanted:
        found = [guest for guest in known if word in (guest.title, guest.name, guest.directory.name)]
        if not found:
            titles = ", ".join(sorted({guest.title or guest.name for guest in known})) or "none"
            raise RemovedError(f"{word}: this node keeps no removed guest of this name (it keeps: {titles})")
        if len({guest.name for guest in found}) > 1:
            uuids = ", ".join(sorted(f"{guest.name} of cloud {guest.cloud}" for guest in found))
            raise RemovedError(f"{word}: several guests have this name; name one by its uuid: {uuids}")
        chosen += [guest for guest in found if guest not in chosen]
    return chosen


def select_newest(guests: Iterable[Removed], wanted: Iterable[str]) -> list[Removed]:
    """As ``select``, but of a guest that was removed several times only the newest directory."""
    newest = {guest.name: guest for guest in sorted(select(guests, wanted), key=lambda guest: guest.time)}
    return list(newest.values())


def read_removed(directory: Path) -> Removed | None:
    """Return the removed guest of a directory, or None if its name is not that of a removed guest's directory."""
    match = _NAME.fullmatch(directory.name)
    if match is None:
        return None
    name, moment = match["name"], int(match["time"])
    try:
        entry = read_entry(directory)
        files = {str(file) for file in entry["files"]} - _SPARE
        return Removed(
            directory,
            name,
            moment,
            str(entry.get("name", "")),
            str(entry.get("cloud") or ""),
            int(entry.get("days", DEFAULT_DAYS)),
            dict(entry.get("allocation") or {}),
            tuple(file for file in sorted(files | {"disk"}) if not os.path.lexists(directory / file)),
        )
    except (ValueError, TypeError, KeyError):
        return Removed(directory, name, moment, missing=(REMOVED_FILE,))


def read_entry(directory: Path) -> dict[str, Any]:
    """Return what ``removed.json`` of a directory says; empty if it is missing or damaged."""
    return read_kept(directory / REMOVED_FILE).data or {}


def set_aside(directory: Path, removed_dir: Path, entry: Mapping[str, Any]) -> Path:
    """Move an instance's directory to the removed guests, and return its new path. Nothing is deleted. A run that is
    killed leaves the directory at one of the two places, with all its files.

    :param entry: what ``removed.json`` says: name, cloud, days, allocation.
    """
    make_directory(removed_dir, REMOVED_MODE)
    now = int(time.time())
    files = sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))
    text = json.dumps({**entry, "time": now, "files": files}, sort_keys=True) + "\n"
    write_file(directory / REMOVED_FILE, text, 0o600)
    _refresh(directory)
    while os.path.lexists(target := removed_dir / f"{directory.name}.{now}"):
        now += 1
    directory.rename(target)
    sync_directory(removed_dir)
    sync_directory(directory.parent)
    return target


def bring_back(removed: Removed, instances_dir: Path) -> None:
    """Move the directory of a removed guest back to the instances. ``removed.json`` stays in it, so that an interrupted
    return is noticed; ``directories.tidy`` deletes it.

    :raises RemovedError: the directory is half deleted, or the guest has a directory again.
    """
    with _locked(removed.directory):
        refuse_return(read_removed(removed.directory) or removed, instances_dir)
        _refresh(removed.directory)
        removed.directory.rename(instances_dir / removed.name)
        sync_directory(instances_dir)
        sync_directory(removed.directory.parent)


def refuse_return(removed: Removed, instances_dir: Path) -> None:
    """Refuse to bring a guest back.

    :raises RemovedError: the directory is half deleted, or the guest has a directory again.
    """
    who = f"{removed.title or removed.name}: {removed.directory}"
    if removed.missing:
        missing = ", ".join(removed.missing)
        raise RemovedError(f"{who}: {missing} is missing: it is half deleted and cannot come back")
    if os.path.lexists(target := instances_dir / removed.name):
        raise RemovedError(f"{who}: the guest has a directory again: {target}")


def occupied(directory: Path) -> int:
    """Return how many bytes the files of a directory occupy."""
    try:
        with os.scandir(directory) as entries:
            return sum(entry.stat(follow_symlinks=False).st_blocks for entry in entries) * BLOCK
    except FileNotFoundError:  # systemd-tmpfiles deletes what is left of removed guests at any time
        return 0


def reclaim(removed: Removed) -> None:
    """Delete what is left of a removed guest. It gets a hidden name first: a half deleted directory is never listed."""
    import shutil

    hidden = removed.directory.with_name(f"{_RECLAIMING}{removed.directory.name}")
    removed.directory.rename(hidden)
    sync_directory(hidden.parent)
    shutil.rmtree(hidden)


def reclaim_leftovers(removed_dir: Path) -> None:
    """Delete what killed runs of ``reclaim`` left."""
    import shutil

    for path in removed_dir.glob(f"{_RECLAIMING}*") if removed_dir.is_dir() else ():
        shutil.rmtree(path)


def same_filesystem(instances_dir: Path, removed_dir: Path, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Return whether a directory can be renamed from one to the other: both are on the same mount."""
    try:
        points = [line.split()[4] for line in mounts.read_text().splitlines()]
    except OSError:
        return True
    return _mount_of(instances_dir, points) == _mount_of(removed_dir, points)


def _mount_of(path: Path, points: list[str]) -> str:
    """Return the mount point of a path, which need not exist."""
    real = os.path.realpath(path)
    below = [point for point in points if real == point or real.startswith(point.rstrip("/") + "/")]
    return max(below, key=len, default="/")


def _refresh(directory: Path) -> None:
    """Set the change time of all files to now. systemd-tmpfiles goes by it, and renaming a directory does not change
    it: a disk that was not written for a month would be deleted at once. The kernel sets it in each chown()."""
    for home, directories, files in os.walk(directory):
        for name in [*directories, *files]:
            os.chown(os.path.join(home, name), -1, -1, follow_symlinks=False)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Lock a directory against systemd-tmpfiles, which skips locked directories and locks those that it cleans."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise RemovedError(f"{directory}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

"""Root disks of guests: qcow2 overlays on a cached base image, in directories under ``/var/lib/headworks/instances``.

A disk holds the data of its guest. Nothing here overwrites, re-creates or deletes an existing file, whatever its
format, backing file or mark: a disk is created under another name and linked to its own, and a removed one is set
aside. What does not belong here: marks and modes of the directories (``directories.py``), removed guests
(``removed.py``), base images (``base_images.py``), and the domain that uses a disk and writes the console log
(``domains.py``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...state import places
from ...state.disks import Disk
from ...state.distribution import Distribution
from ...state.retention import DEFAULT_DAYS
from ...system.files import sync_directory, write_file
from ...system.kept_json import Kept, read_kept
from ...system.process import ToolError, run
from ..subsystem import Applied, Change, Conflict, Note, Reading, Scope, Subsystem
from . import directories, removed
from .base_images import BASE_DIR
from .directories import MARK_FILE, PARTIAL, Found
from .libvirt_socket import connect, has_libvirt
from .qcow2 import bases_of
from .removed import REMOVED_DIR, RULE_NAME, Removed

INSTANCES_DIR = Path(places.INSTANCES_DIR)
GIB = 1 << 30


class DiskSubsystem(Subsystem[Disk]):
    """Root disks. An existing disk is never recreated, because it holds the guest's data.

    ``days`` and ``allocations`` (title → what the plan assigned) are kept with the disk of a removed guest. ``earlier``
    (uuid → mark) are the disks of the node state before: a removed guest whose mark is lost is known from it.
    """

    kind = "disk"
    guarded = True
    record = Disk

    def __init__(
        self,
        owner: str | None = None,
        instances_dir: Path = INSTANCES_DIR,
        base_dir: Path = BASE_DIR,
        removed_dir: Path = REMOVED_DIR,
    ) -> None:
        super().__init__(owner)
        self.instances_dir = instances_dir
        self.base_dir = base_dir
        self.removed_dir = removed_dir
        self.days = DEFAULT_DAYS
        self.allocations: Mapping[str, Any] = {}
        self.earlier: Mapping[str, dict[str, Any]] = {}

    @classmethod
    def of_document(cls, document: Mapping[str, Any], distribution: Distribution) -> DiskSubsystem:
        """Return the subsystem with the days, the allocations and the earlier disks of a document."""
        disks = cls(str(document["cloud"]))
        for item in document.get("sections", {}).get("retention", ()):
            disks.days = int(item.get("days", DEFAULT_DAYS))
        disks.allocations = document.get("allocations", {}).get("instances") or {}
        disks.earlier = {str(disk.get("name")): dict(disk) for disk in document.get("earlier_disks", ())}
        return disks

    def read(self, desired: Mapping[str, Disk], scope: Scope | None = None) -> Reading[Disk]:
        """Return the disks of instance directories with a mark, and of all directories with a desired uuid. It reads
        the disks' headers itself, so it starts no process."""
        objects: dict[str, Disk] = {}
        owned, notes = set(), []
        for directory in self._directories():
            name = directory.name
            if scope is not None and name not in scope:
                continue
            kept = read_kept(directory / MARK_FILE)
            if kept.damage:
                notes.append(self._damaged(name, kept.damage, desired))
            if kept.data is None and name not in desired:
                if name not in self.earlier:
                    continue
                kept = Kept(self.earlier[name], kept.damage or f"{directory / MARK_FILE} is missing")
            found = directories.read_directory(directory, kept)
            objects[name] = found
            if self.owner is not None and found.cloud == self.owner:
                owned.add(name)
        missing = [name for name in sorted(desired) if (scope is None or name in scope) and not _exists(objects, name)]
        explained, withheld = self._explain_missing(missing, desired) if missing else ([], frozenset())
        leaving = sorted(owned - set(desired))
        return Reading(
            objects,
            frozenset(owned),
            needs=self._needs(leaving) if scope is None else {},
            notes=(*notes, *explained, *self._notes(desired, objects)),
            conflicts=self._conflicts(leaving, objects) if scope is None else (),
            protected=frozenset(name for name, disk in objects.items() if disk.protected),
            withheld=withheld,
        )

    def _directories(self) -> list[Path]:
        if not self.instances_dir.is_dir():
            return []
        return sorted(path for path in self.instances_dir.iterdir() if path.is_dir() and path.name[0] != ".")

    def _needs(self, leaving: Collection[str]) -> dict[str, frozenset[str]]:
        """Return the base images of all disks, and the rule for removed guests if disks are about to be removed."""
        return {"image": self.bases_in_use(), "retention": frozenset({RULE_NAME} if leaving else ())}

    def bases_in_use(self) -> frozenset[str]:
        """Return the names of the base images that disks use, also disks that are not ours and disks of removed guests.
        A guest whose base image is deleted cannot start again. If a disk cannot be read, all base images are in use."""
        removed_ones = self.removed_dir.iterdir() if self.removed_dir.is_dir() else ()
        bases = bases_of([*self._directories(), *removed_ones])
        if bases is not None:
            return bases
        return frozenset(path.name for path in self.base_dir.iterdir()) if self.base_dir.is_dir() else frozenset()

    def same(self, desired: Disk, actual: Disk) -> bool:
        """Return whether the disk exists, has the same mark and the right modes. A disk with another image or size is
        not changed: that would be a rebuild or a resize of the guest. ``_notes`` reports it."""
        mark = (desired.title, desired.protected, self.owner)
        return (
            isinstance(actual, Found)
            and actual.exists
            and actual.tidy
            and (self.owner is None or (actual.marked and mark == (actual.title, actual.protected, actual.cloud)))
        )

    def unsafe_to_restore(self, changes: Sequence[Change[Disk]]) -> Sequence[Note]:
        """Return a note for each disk that is missing and cannot come back. A restore at boot creates no disk: the
        filesystem of a disk that existed is probably not mounted, and a blank disk would take its place."""
        missing = [change.after for change in changes if change.after is not None and not _had_disk(change)]
        back = self._returning([disk.name for disk in missing])
        return [self._missing(disk) for disk in missing if disk.name not in back]

    def _returning(self, names: Collection[str]) -> dict[str, Removed]:
        """Return the removed guests of ``names`` that come back with their disks."""
        if not names:
            return {}
        candidates = removed.newest_by_name(self.removed_dir)
        return {
            name: candidates[name]
            for name in names
            if name in candidates and candidates[name].complete and not (self.instances_dir / name).exists()
        }

    def _explain_missing(self, names: list[str], desired: Mapping[str, Disk]) -> tuple[list[Note], frozenset[str]]:
        """Return notes on missing disks that are not simply new, and the names of those that must not be created. The
        note on a guest that libvirt has is made by ``domains.py``, which knows whether it runs."""
        candidates = removed.newest_by_name(self.removed_dir)
        withheld, notes = set(defined_domains(names)), []
        for name in names:
            disk, path = desired[name], self.instances_dir / name
            candidate = candidates.get(name)
            if candidate is None:
                continue
            if candidate.complete and not path.exists():
                withheld.discard(name)
                text = f"instance {disk.title}: it comes back with its disk, from {candidate.directory}"
                notes.append(self.note(name, text))
            elif candidate.complete:
                withheld.add(name)
                notes.append(self._missing(disk, f"; {candidate.directory} has a disk of it: move {path} away"))
            elif name not in withheld:
                text = (
                    f"instance {disk.title}: what is left of it in {candidate.directory} is not complete "
                    f"({', '.join(candidate.missing)} is missing), so it is not used"
                )
                notes.append(self.note(name, text))
        return notes, frozenset(withheld)

    def _missing(self, disk: Disk, remedy: str = "") -> Note:
        path = self.instances_dir / disk.name / "disk"
        remedy = remedy or "; probably a filesystem is not mounted: mount it and run site.yml"
        text = f"instance {disk.title}: its disk {path} is missing. No blank disk takes its place"
        return self.note(disk.name, f"{text}, and the guest is left as it is{remedy}")

    def _damaged(self, name: str, damage: str, desired: Mapping[str, Disk]) -> Note:
        if name in desired:
            return self.note(name, f"instance {desired[name].title}: {damage}; it is written again, the disk is kept")
        if name in self.earlier:
            title = self.earlier[name].get("title", "")
            return self.note(name, f"instance {title}: {damage}; whose disk it is is known from the node state before")
        return self.note(name, f"instance directory {name}: {damage}; no instance has this uuid; it is left alone")

    def _conflicts(self, leaving: Sequence[str], objects: Mapping[str, Disk]) -> tuple[Conflict, ...]:
        """Return a conflict for each disk that cannot be set aside with a rename."""
        if not leaving or removed.same_filesystem(self.instances_dir, self.removed_dir):
            return ()
        text = (
            f"{self.instances_dir} and {self.removed_dir} are on different filesystems, so the disks of removed guests "
            "cannot be kept; mount one filesystem at their parent directory instead"
        )
        return tuple(Conflict(name, f"instance {objects[name].title}: {text}") for name in leaving)

    def _notes(self, desired: Mapping[str, Disk], existing: Mapping[str, Disk]) -> Iterator[Note]:
        """Return a note for each disk that differs from the inventory but is kept."""
        for name, disk in desired.items():
            actual = existing.get(name)
            if not isinstance(actual, Found) or not actual.exists:
                continue
            subject = f"instance {disk.title}: its disk"
            if not actual.readable:
                yield self.note(name, f"{subject} has a header that cannot be read; the disk is kept")
            elif actual.base != disk.base:
                is_based = f"is based on image {actual.base[:12]}" if actual.base else "is not based on an image"
                yield self.note(
                    name,
                    f"{subject} {is_based}, the inventory says {disk.base[:12]}; the disk is kept "
                    "(remove the instance and add it again to create a new disk)",
                )
            elif disk.size_gb and actual.size != disk.size_gb * GIB:
                size = f"{actual.size / GIB:.2f} GiB"
                yield self.note(name, f"{subject} has {size}, its flavor says {disk.size_gb} GiB; the disk is kept")

    def requires(self, item: Disk) -> Mapping[str, Collection[str]]:
        """Return the base image of the disk."""
        return {"image": {item.base}}

    def apply(self, changes: Sequence[Change[Disk]]) -> Applied:
        """Set removed disks aside, correct marks and modes, and create missing disks with four processes at a time. A
        disk that fails stops no other."""
        failures: dict[str, str] = {}

        def attempt(action: Callable[[Disk], None], disk: Disk) -> None:
            try:
                action(disk)
            except (OSError, ToolError, removed.RemovedError) as error:
                failures[disk.name] = f"instance {disk.title}: {error}"

        for change in changes:
            if change.after is None and change.before is not None:
                attempt(self._set_aside, change.before)
        wanted = [change for change in changes if change.after is not None]
        if wanted:
            directories.make_directory(self.instances_dir)
        for change in wanted:
            if change.after is not None and _had_disk(change):
                attempt(self._tidy, change.after)
        missing = [change.after for change in wanted if change.after is not None and not _had_disk(change)]
        back = self._returning([disk.name for disk in missing])

        def make(disk: Disk) -> None:
            if disk.name in back:
                removed.bring_back(back[disk.name], self.instances_dir)
                self._tidy(disk)
            else:
                self._create(disk)

        if missing:
            from concurrent.futures import ThreadPoolExecutor  # imported late: only runs that create disks need it

            with ThreadPoolExecutor(max_workers=4) as pool:
                list(pool.map(lambda disk: attempt(make, disk), missing))
        return Applied(failures=dict(sorted(failures.items())))

    def _set_aside(self, disk: Disk) -> None:
        """Move the disk of a removed guest to the removed guests, with its directory."""
        directory = self.instances_dir / disk.name
        before = removed.read_entry(directory)  # a killed run may have known what this run does not know
        entry = {
            "name": disk.title,
            "cloud": self.owner,
            "days": self.days,
            "allocation": self.allocations.get(disk.title) or before.get("allocation") or {},
        }
        removed.set_aside(directory, self.removed_dir, entry)

    def _tidy(self, disk: Disk) -> None:
        directory = self.instances_dir / disk.name
        if self.owner is not None:
            directories.write_mark(directory, disk, self.owner)
        directories.tidy(directory)

    def _create(self, disk: Disk) -> None:
        """Create a disk. If that fails, nothing is left of it."""
        directory = self.instances_dir / disk.name
        is_new = not directory.exists()
        directories.make_directory(directory)
        partial = directory / PARTIAL
        try:
            directories.write_mark(directory, disk, self.owner)
            write_file(directory / "disk.info", json.dumps({str(directory / "disk"): "qcow2"}) + "\n")
            self._make_overlay(disk, partial)
            # link() never replaces a file, unlike rename(): whatever has the name of the disk by now stays.
            os.link(partial, directory / "disk")
            partial.unlink()
            sync_directory(directory)
        except (OSError, ToolError):
            partial.unlink(missing_ok=True)
            if is_new:
                directories.forget_directory(directory)
            raise

    def _make_overlay(self, disk: Disk, path: Path) -> None:
        path.unlink(missing_ok=True)
        # qemu-img keeps the mode of a file that exists.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, directories.DISK_MODE)
        try:
            backing = str(self.base_dir / disk.base)
            size = [str(disk.size_gb * GIB)] if disk.size_gb else []
            run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", disk.base_format, "-b", backing, str(path), *size])
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exists(objects: Mapping[str, Disk], name: str) -> bool:
    found = objects.get(name)
    return isinstance(found, Found) and found.exists


def _had_disk(change: Change[Disk]) -> bool:
    return isinstance(change.before, Found) and change.before.exists


def defined_domains(names: Collection[str]) -> frozenset[str]:
    """Return which of the uuids ``names`` libvirt has a domain for; none without libvirt."""
    if not has_libvirt(needed=True):
        return frozenset()
    connection = connect(read_only=True)
    try:
        return frozenset(names) & {handle.UUIDString() for handle in connection.listAllDomains()}
    finally:
        connection.close()

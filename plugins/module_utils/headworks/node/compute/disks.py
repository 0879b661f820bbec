"""Instance directories and their disks: qcow2 overlays on a cached base image, under ``/var/lib/headworks/instances``.

What does not belong here: base images (``base_images.py``), and the domain that uses a disk and writes the console log
(``domains.py``).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...state import places
from ...state.disks import Disk
from ...system.files import write_file
from ...system.kept_json import write_kept
from ...system.process import run
from ..subsystem import Applied, Change, Note, Reading, Scope, Subsystem
from .base_images import BASE_DIR

INSTANCES_DIR = Path(places.INSTANCES_DIR)
OWNER_FILE = "headworks.json"
GIB = 1 << 30
QCOW2_MAGIC = b"QFI\xfb"


class DiskSubsystem(Subsystem[Disk]):
    """Root disks. An existing disk is never recreated, because it holds the guest's data."""

    kind = "disk"
    guarded = True
    record = Disk

    def __init__(
        self, owner: str | None = None, instances_dir: Path = INSTANCES_DIR, base_dir: Path = BASE_DIR
    ) -> None:
        super().__init__(owner)
        self.instances_dir = instances_dir
        self.base_dir = base_dir

    def read(self, desired: Mapping[str, Disk], scope: Scope | None = None) -> Reading[Disk]:
        """Return the disks of instance directories that have an owner file. It reads the disks' headers itself, so it
        starts no process."""
        if not self.instances_dir.is_dir():
            return Reading()
        objects = {}
        owned = set()
        for directory in sorted(self.instances_dir.iterdir()):
            mark = _mark(directory)
            if mark is None or (scope is not None and directory.name not in scope):
                continue
            if self.owner is not None and mark.get("cloud") == self.owner:
                owned.add(directory.name)
            base, size = qcow2_header(directory / "disk")
            protected = mark.get("protected") is True
            title = str(mark.get("title", ""))
            objects[directory.name] = Disk(directory.name, title, Path(base).name, "", size, protected)
        return Reading(
            objects,
            frozenset(owned),
            needs={"image": self.bases_in_use(owned - set(desired))} if scope is None else {},
            notes=tuple(self._notes(desired, objects)),
            protected=frozenset(name for name, disk in objects.items() if disk.protected),
        )

    def bases_in_use(self, removed: Collection[str]) -> frozenset[str]:
        """Return the names of the base images that disks use, also disks that are not ours. The disks of the instances
        in ``removed`` do not count. A guest whose base image is deleted cannot start again."""
        paths = self.instances_dir.iterdir() if self.instances_dir.is_dir() else ()
        remaining = (directory for directory in paths if directory.name not in removed)
        return frozenset(Path(qcow2_header(directory / "disk")[0]).name for directory in remaining) - {""}

    def same(self, desired: Disk, actual: Disk) -> bool:
        """Return whether the disk exists and has the same mark. A disk with another image or size is not changed: that
        would be a rebuild or a resize of the guest. ``_notes`` reports it."""
        return bool(actual.base) and (self.owner is None or desired.protected == actual.protected)

    def unsafe_to_restore(self, changes: Sequence[Change[Disk]]) -> Sequence[Note]:
        """Return a note for each disk that is missing. A restore at boot creates no disk: the filesystem of a disk that
        existed is probably not mounted, and a blank disk would take its place."""
        return [self._missing(change.after) for change in changes if change.after is not None and not _exists(change)]

    def _missing(self, disk: Disk) -> Note:
        path = self.instances_dir / disk.name / "disk"
        return self.note(
            disk.name,
            f"instance {disk.title}: its disk {path} is missing, so the guest is left as it is; probably a filesystem "
            "is not mounted. Mount it and restart headworks-restore.service, or run site.yml",
        )

    def _notes(self, desired: Mapping[str, Disk], existing: Mapping[str, Disk]) -> Iterator[Note]:
        """Return a note for each disk that differs from the inventory but is kept."""
        for name, disk in desired.items():
            actual = existing.get(name)
            if actual is None or not actual.base:
                continue
            subject = f"instance {disk.title}: its disk"
            if actual.base != disk.base:
                yield self.note(
                    name,
                    f"{subject} is based on image {actual.base[:12]}, the inventory says {disk.base[:12]}; the disk is "
                    "kept (remove the instance and add it again to create a new disk)",
                )
            elif disk.size_gb and actual.size_gb != disk.size_gb * GIB:
                size = f"{actual.size_gb / GIB:.2f} GiB"
                text = f"{subject} has {size}, its flavor says {disk.size_gb} GiB; the disk is kept"
                yield self.note(name, text)

    def apply(self, changes: Sequence[Change[Disk]]) -> Applied:
        """Remove instance directories, and create overlays with four processes at a time."""
        import shutil

        for change in changes:
            if change.after is None:
                shutil.rmtree(self.instances_dir / change.name)
            elif _exists(change):
                self._mark(change.after)
        desired = [change.after for change in changes if change.after is not None and not _exists(change)]
        if not desired:
            return Applied()
        from concurrent.futures import ThreadPoolExecutor  # imported late: only runs that create disks need it

        with ThreadPoolExecutor(max_workers=4) as pool:
            for _ in pool.map(self._create, desired):
                pass
        return Applied()

    def _create(self, disk: Disk) -> None:
        directory = self.instances_dir / disk.name
        directory.mkdir(parents=True, exist_ok=True)
        self._mark(disk)
        target, partial = directory / "disk", directory / "disk.part"
        backing = str(self.base_dir / disk.base)
        size = [str(disk.size_gb * GIB)] if disk.size_gb else []
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", disk.base_format, "-b", backing, str(partial), *size])
        partial.rename(target)
        write_file(directory / "disk.info", json.dumps({str(target): "qcow2"}) + "\n")


    def _mark(self, disk: Disk) -> None:
        mark = {"cloud": self.owner, "title": disk.title, "protected": disk.protected}
        write_kept(self.instances_dir / disk.name / OWNER_FILE, mark)


def _exists(change: Change[Disk]) -> bool:
    return change.before is not None and bool(change.before.base)


def _mark(directory: Path) -> dict[str, Any] | None:
    try:
        mark: dict[str, Any] = json.loads((directory / OWNER_FILE).read_text())
    except (OSError, ValueError):
        return None
    return mark


def qcow2_header(path: Path) -> tuple[str, int]:
    """Return (backing file, virtual size in bytes) of a qcow2 header; ("", 0) if the file is missing or is not qcow2.

    Source: QEMU's docs/interop/qcow2.txt: magic, version, u64 backing offset, u32 backing length, u32 cluster bits,
    u64 size, all big-endian.
    """
    try:
        with path.open("rb") as disk:
            head = disk.read(32)
            if len(head) < 32 or not head.startswith(QCOW2_MAGIC):
                return "", 0
            offset, length, _, size = struct.unpack(">QIIQ", head[8:32])
            disk.seek(offset)
            return disk.read(length).decode(), size
    except FileNotFoundError:
        return "", 0

"""Instance directories and their disks: qcow2 overlays on a cached base image, under ``/var/lib/headworks/instances``.

The base images are ``images.py``; the domain that uses a disk, and its console log, are ``domains.py``.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from ...state import places
from ...state.disks import Disk
from ...system.files import write_file
from ...system.process import run
from ..subsystem import Applied, Change, Note, Reading, Scope, Subsystem
from .base_images import BASE_DIR

INSTANCES_DIR = Path(places.INSTANCES_DIR)
OWNER_FILE = "headworks.json"
GIB = 1 << 30
QCOW2_MAGIC = b"QFI\xfb"


class DiskSubsystem(Subsystem[Disk]):
    """Root disks. An existing disk is never made anew: it holds the guest's data."""

    kind = "disk"
    record = Disk

    def __init__(
        self, owner: str | None = None, instances_dir: Path = INSTANCES_DIR, base_dir: Path = BASE_DIR
    ) -> None:
        super().__init__(owner)
        self.instances_dir = instances_dir
        self.base_dir = base_dir

    def read(self, desired: Mapping[str, Disk], scope: Scope | None = None) -> Reading[Disk]:
        """Instance directories that bear our owner file, and what their disks' headers say (no process)."""
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
            objects[directory.name] = Disk(directory.name, str(mark.get("title", "")), Path(base).name, "", size)
        return Reading(
            objects,
            frozenset(owned),
            needs={"image": self.bases_in_use(owned - set(desired))} if scope is None else {},
            notes=tuple(self._notes(desired, objects)),
        )

    def bases_in_use(self, removed: Collection[str]) -> frozenset[str]:
        """Names of the base images that disks refer to, ours and others', except the disks of the instances in
        ``removed``. Without its base image no guest starts again."""
        paths = self.instances_dir.iterdir() if self.instances_dir.is_dir() else ()
        kept = (directory for directory in paths if directory.name not in removed)
        return frozenset(Path(qcow2_header(directory / "disk")[0]).name for directory in kept) - {""}

    def same(self, desired: Disk, actual: Disk) -> bool:
        """Whether there is a disk. Another image or a larger flavor is a rebuild or a resize, which is not done here;
        ``_notes`` tells of it."""
        return bool(actual.base)

    def _notes(self, desired: Mapping[str, Disk], there: Mapping[str, Disk]) -> Iterator[Note]:
        """What differs from the inventory, but is kept as it is."""
        for name, disk in desired.items():
            actual = there.get(name)
            if actual is None or not actual.base:
                continue
            where = f"instance {disk.title}: its disk"
            if actual.base != disk.base:
                yield self.note(
                    name,
                    f"{where} is based on image {actual.base[:12]}, the inventory says {disk.base[:12]}; the disk is "
                    "kept (remove the instance and add it again to create a new one)",
                )
            elif disk.size_gb and actual.size_gb != disk.size_gb * GIB:
                size = f"{actual.size_gb / GIB:.2f} GiB"
                text = f"{where} has {size}, its flavor says {disk.size_gb} GiB; the disk is kept as it is"
                yield self.note(name, text)

    def apply(self, changes: Sequence[Change[Disk]]) -> Applied:
        """Make overlays (a few at a time: each is a short process), remove whole instance directories."""
        import shutil

        for change in changes:
            if change.after is None:
                shutil.rmtree(self.instances_dir / change.name)
        wanted = [change.after for change in changes if change.after is not None]
        if not wanted:
            return Applied()
        from concurrent.futures import ThreadPoolExecutor  # only who makes disks pays for it

        with ThreadPoolExecutor(max_workers=4) as pool:
            for _ in pool.map(self._create, wanted):
                pass
        return Applied()

    def _create(self, disk: Disk) -> None:
        directory = self.instances_dir / disk.name
        directory.mkdir(parents=True, exist_ok=True)
        mark = {"cloud": self.owner, "title": disk.title}
        write_file(directory / OWNER_FILE, json.dumps(mark, sort_keys=True) + "\n")
        target, partial = directory / "disk", directory / "disk.part"
        backing = str(self.base_dir / disk.base)
        size = [str(disk.size_gb * GIB)] if disk.size_gb else []
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", disk.base_format, "-b", backing, str(partial), *size])
        partial.rename(target)
        write_file(directory / "disk.info", json.dumps({str(target): "qcow2"}) + "\n")


def _mark(directory: Path) -> dict[str, str] | None:
    try:
        mark: dict[str, str] = json.loads((directory / OWNER_FILE).read_text())
    except (OSError, ValueError):
        return None
    return mark


def qcow2_header(path: Path) -> tuple[str, int]:
    """(backing file, virtual size in bytes) from a qcow2 header; ("", 0) when there is no such disk.

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

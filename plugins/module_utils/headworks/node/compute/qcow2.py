"""Headers of disk files: which file a disk is based on, and how large it is. No process is started to read them.

What does not belong here: which disks there are (``disks.py``).
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...state.image_header import QCOW2_MAGIC

LONGEST_BACKING = 1023  # the longest path that a header can have
# Files of an instance's directory that are no disks.
OTHER_SUFFIXES = frozenset({".json", ".prev", ".log", ".xml", ".info", ".new"})


@dataclass(frozen=True)
class Header:
    """The path of the file that a disk is based on ("": none), and its virtual size in bytes. ``readable`` is False if
    the file cannot be read or its header is damaged."""

    backing: str = ""
    size: int = 0
    readable: bool = True


def read_header(path: Path) -> Header:
    """Return the header of a disk file. A file without the magic of qcow2 is raw: it is based on nothing.

    Source: QEMU's docs/interop/qcow2.txt: magic, version, u64 backing offset, u32 backing length, u32 cluster bits,
    u64 size, all big-endian.
    """
    try:
        with path.open("rb") as disk:
            head = disk.read(32)
            if not head.startswith(QCOW2_MAGIC):
                return Header(size=disk.seek(0, 2))
            offset, length, _, size = struct.unpack(">QIIQ", head[8:32])
            if length > LONGEST_BACKING:
                return Header(readable=False)
            disk.seek(offset)
            backing = disk.read(length)
            return Header(backing.decode(), size, len(backing) == length)
    except (OSError, ValueError, struct.error):
        return Header(readable=False)


def bases_of(directories: Iterable[Path]) -> frozenset[str] | None:
    """Return the file names that the disks in ``directories`` are based on. None if a disk cannot be read: then every
    file may be in use."""
    bases = set()
    for directory in directories:
        for path in directory.iterdir() if directory.is_dir() else ():
            if path.suffix in OTHER_SUFFIXES:
                continue
            try:
                mode = path.stat().st_mode  # of the file that a symbolic link names: an operator may move a disk
            except FileNotFoundError:  # systemd-tmpfiles deletes what is left of removed guests at any time
                if path.is_symlink():
                    return None
                continue
            if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
                continue
            header = read_header(path)
            if not header.readable and path.exists():
                return None
            bases.add(Path(header.backing).name)
    return frozenset(bases) - {""}

"""Image files on the control node: their format, virtual size and checksum. Checksums are cached.

The header is parsed here because the control node may not have qemu-img.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..model.errors import PlanError

QCOW2_MAGIC = b"QFI\xfb"
# Bit 2 of the incompatible features: the data is in another file.
EXTERNAL_DATA = 1 << 2
CHUNK = 1 << 20


class ImageFiles:
    """Reads facts of image files. ``cache`` keeps checksums by path, size, modification time and algorithm."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self._checksums: dict[str, str] = _load(cache)
        self._before = dict(self._checksums)

    def facts(self, images: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Facts of the images that have a ``path``, by name.

        Each is ``{"path": absolute, "virtual_size_bytes": int, "format": "qcow2"|"raw", "checksum": "sha256:<hex>"}``.
        The algorithm of the checksum is that of the declared checksum, or sha256.

        :raises PlanError: files are missing, or take their data from other files.
        """
        facts, messages = {}, []
        for name, image in images.items():
            path = image.get("path") if isinstance(image, Mapping) else None
            if not path:
                continue
            key = f"cloud_images.{name}.path: {str(path)!r}"
            try:
                facts[name] = self._facts(Path(str(path)).expanduser(), str(image.get("checksum") or ""))
            except OSError as error:
                messages.append(f"{key}: {error.strerror or error}")
            except ValueError as error:
                messages.append(f"{key}: {error}")
        if messages:
            raise PlanError(messages)
        return facts

    def keep(self) -> None:
        """Write new checksums to the cache, so that the next run need not compute them again."""
        if self._checksums == self._before:
            return
        self.cache.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.cache.with_name(f".{self.cache.name}.{os.getpid()}")
        fresh.write_text(json.dumps(self._checksums, indent=1, sort_keys=True))
        fresh.replace(self.cache)

    def _facts(self, path: Path, declared: str) -> dict[str, Any]:
        kind, size = header(path)
        algorithm = declared.partition(":")[0].lower() if ":" in declared else "sha256"
        return {
            "path": os.path.abspath(path),
            "virtual_size_bytes": size,
            "format": kind,
            "checksum": f"{algorithm}:{self._digest(path, algorithm)}",
        }

    def _digest(self, path: Path, algorithm: str) -> str:
        status = path.stat()
        key = f"{os.path.realpath(path)} {status.st_size} {status.st_mtime_ns} {algorithm}"
        if key not in self._checksums:
            digest = hashlib.new(algorithm)
            with path.open("rb") as stream:
                while block := stream.read(CHUNK):
                    digest.update(block)
            self._checksums[key] = digest.hexdigest()
        return self._checksums[key]


def header(path: Path) -> tuple[str, int]:
    """The format and the virtual size in bytes of an image; every format except qcow2 counts as raw.

    :raises OSError: the file cannot be read.
    :raises ValueError: the image takes its data from another file. A guest's owner could use that to read files of the
        node.
    """
    with path.open("rb") as stream:
        start = stream.read(104)
    if start[:4] != QCOW2_MAGIC or len(start) < 72:
        return "raw", path.stat().st_size
    version, backing = struct.unpack(">IQ", start[4:16])
    (size,) = struct.unpack(">Q", start[24:32])
    if backing:
        raise ValueError("has a backing file; an image must have none (qemu-img convert writes a copy without)")
    if version >= 3 and len(start) >= 80 and struct.unpack(">Q", start[72:80])[0] & EXTERNAL_DATA:
        raise ValueError("has an external data file; an image must have none")
    return "qcow2", size


def _load(cache: Path) -> dict[str, str]:
    try:
        checksums = json.loads(cache.read_text())
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in checksums.items()} if isinstance(checksums, dict) else {}

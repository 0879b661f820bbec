"""Image files on the control node: their format, virtual size and checksum. Checksums are cached.

The header of a file is parsed in ``state/image_header.py``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..model.errors import PlanError
from ..state.image_header import HEADER_BYTES, parse_header

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
        The algorithm of the checksum is that of the declared checksum, or sha256. A file that is declared as raw is not
        inspected: its content is a guest's disk, whatever it looks like.

        :raises PlanError: files are missing, or take their data from other files.
        """
        facts, messages = {}, []
        for name, image in images.items():
            path = image.get("path") if isinstance(image, Mapping) else None
            if not path:
                continue
            key = f"cloud_images.{name}.path: {str(path)!r}"
            try:
                raw = image.get("format") == "raw"
                facts[name] = self._facts(Path(str(path)).expanduser(), str(image.get("checksum") or ""), raw)
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

    def _facts(self, path: Path, declared: str, raw: bool) -> dict[str, Any]:
        kind, size = ("raw", path.stat().st_size) if raw else header(path)
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
    :raises ValueError: the image takes its data from another file.
    """
    with path.open("rb") as stream:
        return parse_header(stream.read(HEADER_BYTES), os.fstat(stream.fileno()).st_size)


def _load(cache: Path) -> dict[str, str]:
    try:
        checksums = json.loads(cache.read_text())
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in checksums.items()} if isinstance(checksums, dict) else {}

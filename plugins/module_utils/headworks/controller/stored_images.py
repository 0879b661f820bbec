"""The images in a controller's store: which of them the store has, and whether their content is as their names say.

A node that fetches an image verifies it too, so a damaged file of the store never becomes a guest's disk; without this
check, the node could only refuse it. What does not belong here: the server (``image_store.py``), and the cache of base
images on the nodes (``node/compute/base_images.py``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ..node.compute.base_images import CHUNK, ImageSubsystem
from ..node.subsystem import Change, Reading, Scope
from ..state.images import BaseImage
from ..system.files import read_text, write_file

STORE = Path("/var/lib/headworks/store")
# It is in /run, so that all images are read again after a power cut.
VERIFIED = Path("/run/headworks/image-store-verified.json")
_ALGORITHMS = {64: "sha256", 128: "sha512"}  # by the length of the digest


class StoredImageSubsystem(ImageSubsystem):
    """The images in the store. The controller fetches an image with a URL; the play copies an image with a path."""

    kind: ClassVar[str] = "stored_image"

    def __init__(self, owner: str | None = None, home: Path = STORE) -> None:
        super().__init__(owner, home / "images")
        self.home = home

    def read(self, desired: Mapping[str, BaseImage], scope: Scope | None = None) -> Reading[BaseImage]:
        """Return the images in the store, without desired images whose content is damaged: these are fetched or copied
        again."""
        reading = super().read(desired, scope)
        good = verified(self.home, set(desired) & set(reading.objects))
        objects = {name: image for name, image in reading.objects.items() if name in good or name not in desired}
        return Reading(objects, reading.owned)

    def diff(self, desired: Mapping[str, BaseImage], actual: Reading[BaseImage]) -> list[Change[BaseImage]]:
        """Return the changes, without the images that the play copies."""
        return [change for change in super().diff(desired, actual) if change.after is None or change.after.url]


def stored(home: Path = STORE) -> set[str]:
    """Return the digests of the undamaged images in the store."""
    try:
        present = {path.name for path in (home / "images").iterdir() if path.suffix != ".part"}
    except FileNotFoundError:
        return set()
    return verified(home, present)


def verified(home: Path, digests: set[str]) -> set[str]:
    """Return those of ``digests`` whose file in the store has the digest that is its name.

    A file is read once; its size and its time of modification are remembered in ``VERIFIED``, also in check mode.
    Before that, the file is synchronized with the disk. To read all files again, delete ``VERIFIED``.
    """
    known = _known()
    good = {}
    for path in (home / "images" / digest for digest in sorted(digests)):
        try:
            stamp = _stamp(path)
            if known.get(str(path)) == stamp or _digest(path) == path.name.lower():
                good[str(path)] = stamp
        except FileNotFoundError:
            continue  # another run has removed it
    if any(known.get(path) != stamp for path, stamp in good.items()):
        VERIFIED.parent.mkdir(parents=True, exist_ok=True)
        kept = {path: stamp for path, stamp in known.items() if os.path.exists(path)}
        write_file(VERIFIED, json.dumps({**kept, **good}, sort_keys=True), mode=0o600)
    return {Path(path).name for path in good}


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _known() -> dict[str, list[int]]:
    try:
        known = json.loads(read_text(VERIFIED) or "{}")
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}


def _digest(path: Path) -> str:
    """Return the digest of a file's content, after the content is on the disk; "" if its name is no digest."""
    import hashlib

    algorithm = _ALGORITHMS.get(len(path.name))
    if algorithm is None:
        return ""
    digest = hashlib.new(algorithm)
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        while block := stream.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()

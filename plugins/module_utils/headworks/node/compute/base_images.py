"""Base images in the node's cache, fetched from the controller's image store over HTTPS and held against a checksum.

Overlays on these images are ``disks.py``; the store itself is the controller role's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from ...state.images import BaseImage
from ..subsystem import Applied, Change, Reading, Scope, Subsystem

BASE_DIR = Path("/var/lib/headworks/images/_base")
CHUNK = 1 << 20
TIMEOUT_S = 30


class ImageError(RuntimeError):
    """An image could not be had, or is not what its checksum says."""


class ImageSubsystem(Subsystem[BaseImage]):
    """The base image cache: files named by their digest, so a file that is there whole is right."""

    kind = "image"
    record = BaseImage

    def __init__(self, owner: str | None = None, base_dir: Path = BASE_DIR) -> None:
        super().__init__(owner)
        self.base_dir = base_dir

    def read(self, desired: Mapping[str, BaseImage], scope: Scope | None = None) -> Reading[BaseImage]:
        """Files of the cache. A partial download (``.part``) is not an image and is not ours to report."""
        if not self.base_dir.is_dir():
            return Reading()
        present = {path.name for path in self.base_dir.iterdir() if path.is_file() and path.suffix != ".part"}
        objects = {
            name: desired.get(name) or BaseImage(name=name, image="", url="", checksum="") for name in sorted(present)
        }
        owned = frozenset(present) if self.owner is not None else frozenset()
        return Reading(objects, owned)

    def apply(self, changes: Sequence[Change[BaseImage]]) -> Applied:
        """Fetch what is missing, remove what no instance is based on any more."""
        for change in changes:
            if change.after is None:
                (self.base_dir / change.name).unlink(missing_ok=True)
            else:
                fetch(change.after, self.base_dir / change.name)
        return Applied()


def fetch(image: BaseImage, target: Path) -> None:
    """Download ``image`` to ``target``: beside it first, renamed once the checksum is right.

    :raises ImageError: the store does not answer, does not have it, or sends something else.
    """
    import hashlib

    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    algorithm, _, wanted = image.checksum.partition(":")
    digest = hashlib.new(algorithm)
    try:
        with _open(image) as source, partial.open("wb") as sink:
            while block := source.read(CHUNK):
                digest.update(block)
                sink.write(block)
            sink.flush()
            os.fsync(sink.fileno())
    except OSError as error:  # urllib's errors are such, too
        partial.unlink(missing_ok=True)
        raise ImageError(f"cloud_images.{image.image}: {image.url}: {error}") from error
    if digest.hexdigest() != wanted.lower():
        partial.unlink(missing_ok=True)
        raise ImageError(
            f"cloud_images.{image.image}.checksum: {image.checksum}: what {image.url} sent has "
            f"{algorithm}:{digest.hexdigest()}; an image is only used when its checksum matches"
        )
    partial.chmod(0o644)
    partial.rename(target)


def _open(image: BaseImage) -> IO[bytes]:
    # Imported here: most runs fetch nothing, and TLS alone costs a run 20 ms to import.
    import ssl
    import urllib.request

    if image.url.startswith("https://"):
        context = ssl.create_default_context(cafile=image.ca or None)
        answer: IO[bytes] = urllib.request.urlopen(image.url, timeout=TIMEOUT_S, context=context)
    else:
        answer = urllib.request.urlopen(image.url, timeout=TIMEOUT_S)
    return answer

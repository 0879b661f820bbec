"""Base images in the node's cache. The node fetches them from the controller's image store over HTTPS and verifies
their checksums.

What does not belong here: disks, which are overlays on these images (``disks.py``), and the image store itself
(``controller/image_store.py``).
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
    """An image could not be fetched, or its content does not match its checksum."""


class ImageSubsystem(Subsystem[BaseImage]):
    """The cache of base images. A file's name is the digest of its content and a file gets its name only when it is
    complete, so an existing file is not verified again."""

    kind = "image"
    record = BaseImage

    def __init__(self, owner: str | None = None, base_dir: Path = BASE_DIR) -> None:
        super().__init__(owner)
        self.base_dir = base_dir

    def read(self, desired: Mapping[str, BaseImage], scope: Scope | None = None) -> Reading[BaseImage]:
        """Return the files of the cache. Partial downloads (``.part``) do not count."""
        if not self.base_dir.is_dir():
            return Reading()
        present = {path.name for path in self.base_dir.iterdir() if path.is_file() and path.suffix != ".part"}
        objects = {
            name: desired.get(name) or BaseImage(name=name, image="", url="", checksum="") for name in sorted(present)
        }
        owned = frozenset(present) if self.owner is not None else frozenset()
        return Reading(objects, owned)

    def apply(self, changes: Sequence[Change[BaseImage]]) -> Applied:
        """Fetch missing images, and delete images that no disk is based on."""
        for change in changes:
            if change.after is None:
                (self.base_dir / change.name).unlink(missing_ok=True)
            else:
                fetch(change.after, self.base_dir / change.name)
        return Applied()


def fetch(image: BaseImage, target: Path) -> None:
    """Download ``image`` to ``target``. The download goes to a file beside ``target``, and is renamed to ``target``
    when its checksum matches.

    :raises ImageError: the store does not answer, does not have the image, or sends content with another checksum.
    """
    import hashlib

    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    algorithm, _, expected = image.checksum.partition(":")
    digest = hashlib.new(algorithm)
    try:
        with _open(image) as source, partial.open("wb") as sink:
            while block := source.read(CHUNK):
                digest.update(block)
                sink.write(block)
            sink.flush()
            os.fsync(sink.fileno())
    except OSError as error:  # urllib's errors are subclasses of OSError
        partial.unlink(missing_ok=True)
        raise ImageError(f"cloud_images.{image.image}: {image.url}: {error}") from error
    if digest.hexdigest() != expected.lower():
        partial.unlink(missing_ok=True)
        raise ImageError(
            f"cloud_images.{image.image}.checksum: {image.checksum}: the content of {image.url} has "
            f"{algorithm}:{digest.hexdigest()}; an image is only used when its checksum matches"
        )
    partial.chmod(0o644)
    partial.rename(target)


def _open(image: BaseImage) -> IO[bytes]:
    # Imported here because most runs fetch no image, and importing TLS takes 20 ms.
    import ssl
    import urllib.request

    if image.url.startswith("https://"):
        context = ssl.create_default_context(cafile=image.ca or None)
        answer: IO[bytes] = urllib.request.urlopen(image.url, timeout=TIMEOUT_S, context=context)
    else:
        answer = urllib.request.urlopen(image.url, timeout=TIMEOUT_S)
    return answer

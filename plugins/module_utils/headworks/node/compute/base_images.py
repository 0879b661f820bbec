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

from ...state.image_header import HEADER_BYTES, parse_header
from ...state.images import BaseImage
from ...system.files import sync_directory
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
        """Fetch missing images, and delete images that no disk is based on. An image that fails stops no other."""
        failures = {}
        for change in changes:
            try:
                if change.after is None:
                    (self.base_dir / change.name).unlink(missing_ok=True)
                else:
                    fetch(change.after, self.base_dir / change.name)
            except (OSError, ValueError, ImageError) as error:
                failures[change.name] = str(error)
        return Applied(failures=failures)


def fetch(image: BaseImage, target: Path) -> None:
    """Download ``image`` to ``target``. The download goes to a file beside ``target``, and is renamed to ``target``
    when its checksum matches and its content is on the disk.

    :raises ImageError: the store does not answer, does not have the image, or sends content with another checksum; or
        a qcow2 image is no qcow2 image, or takes its data from another file.
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
    _inspect(image, partial)
    partial.chmod(0o644)
    partial.rename(target)
    sync_directory(target.parent)


def _inspect(image: BaseImage, partial: Path) -> None:
    """Refuse a qcow2 image that QEMU would read other files for. A raw image is never inspected, by QEMU neither: each
    disk names the format of its base image."""
    if image.format != "qcow2":
        return
    with partial.open("rb") as stream:
        start = stream.read(HEADER_BYTES)
    fault = ""
    try:
        if parse_header(start, partial.stat().st_size)[0] != "qcow2":
            fault = "is not in format qcow2, which its declaration says; the format may be raw"
    except ValueError as error:
        fault = str(error)
    if fault:
        partial.unlink(missing_ok=True)
        raise ImageError(f"cloud_images.{image.image}.format: {image.format}: the content of {image.url} {fault}")


def _open(image: BaseImage) -> IO[bytes]:
    # Imported here because most runs fetch no image, and importing TLS takes 20 ms.
    import ssl
    import urllib.request

    handlers: list[urllib.request.BaseHandler] = []
    if image.url.startswith("https://"):
        context = ssl.create_default_context(cafile=image.ca or None)
        handlers.append(urllib.request.HTTPSHandler(context=context))
    if image.ca:
        # The URL is that of a controller's store, which a proxy for the world outside need not reach. An image from
        # elsewhere comes through the proxy that the environment names.
        handlers.append(urllib.request.ProxyHandler({}))
    answer: IO[bytes] = urllib.request.build_opener(*handlers).open(image.url, timeout=TIMEOUT_S)
    return answer

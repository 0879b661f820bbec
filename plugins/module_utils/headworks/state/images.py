"""Section ``images``: base images in the node's cache."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BaseImage:
    """A file in ``/var/lib/headworks/images/_base/``. ``name`` is the file name (the hex digest of ``checksum``).

    ``url`` is the image's address in the controller's image store, ``checksum`` is ``sha256:<hex>`` (or sha512),
    ``format`` is qcow2 or raw. ``ca`` is the path of the PEM file with the authority that signs the store's
    certificate ("": the system's authorities). ``image`` is the image's inventory name, for messages.
    """

    name: str
    image: str
    url: str
    checksum: str
    format: str = "qcow2"
    ca: str = ""

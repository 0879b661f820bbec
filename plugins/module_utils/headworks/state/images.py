"""Section ``images``: base images in the node's cache."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BaseImage:
    """A file of ``/var/lib/headworks/images/_base/``. ``name`` is the file name (the hex digest of ``checksum``).

    ``url`` is the store's, ``checksum`` is ``sha256:<hex>`` (or sha512), ``format`` qcow2 or raw, ``ca`` the path of
    the PEM file that vouches for the store ("" = the system's), ``image`` the inventory's name for messages.
    """

    name: str
    image: str
    url: str
    checksum: str
    format: str = "qcow2"
    ca: str = ""

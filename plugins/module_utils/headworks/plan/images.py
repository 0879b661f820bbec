"""Facts of an image file on the control node. Reading the file does not belong here; that is ``control/images.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GIB = 1 << 30


@dataclass(frozen=True)
class ImageFacts:
    """Size of the guest's disk, checksum (``sha256:<hex>``) and format (qcow2 or raw); 0 and "" mean unknown."""

    virtual_size_bytes: int = 0
    checksum: str = ""
    format: str = ""

    @property
    def virtual_size_gb(self) -> int:
        """The virtual size in GB, rounded up."""
        return -(-self.virtual_size_bytes // GIB)


def read_image(data: Mapping[str, Any]) -> ImageFacts:
    """Facts from ``{"virtual_size" (bytes), "checksum", "format"}``; other keys are ignored."""
    size = data.get("virtual_size") or data.get("virtual_size_bytes") or 0
    return ImageFacts(int(size), str(data.get("checksum") or "").lower(), str(data.get("format") or ""))

"""What is known of an image file that is at hand on the control node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GIB = 1 << 30


@dataclass(frozen=True)
class ImageFacts:
    """Of the file as it is: its guest's disk in bytes, ``sha256:<hex>``, qcow2 or raw; 0 and "" = not known."""

    virtual_size_bytes: int = 0
    checksum: str = ""
    format: str = ""

    @property
    def virtual_size_gb(self) -> int:
        """Rounded up."""
        return -(-self.virtual_size_bytes // GIB)


def read_image(data: Mapping[str, Any]) -> ImageFacts:
    """From ``{"virtual_size" (bytes), "checksum", "format"}``; other keys are left alone."""
    size = data.get("virtual_size") or data.get("virtual_size_bytes") or 0
    return ImageFacts(int(size), str(data.get("checksum") or "").lower(), str(data.get("format") or ""))

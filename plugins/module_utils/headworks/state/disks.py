"""Section ``disks``: root disks of guests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Disk:
    """The root disk of the instance with uuid ``name``. Its file ``<uuid>/disk`` is an overlay on base image ``base``
    (a file name in ``_base``, of format ``base_format``). ``size_gb`` 0: as large as the base image. ``title`` is the
    instance's inventory name. ``protected``: the node refuses to remove the disk."""

    name: str
    title: str
    base: str
    base_format: str = "qcow2"
    size_gb: int = 0
    protected: bool = False

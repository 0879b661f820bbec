"""What the tests of disks share: an instance's directory, and the changes of a run."""

from __future__ import annotations

import json
from pathlib import Path

from headworks.engine.converge import converge
from headworks.node.compute.disks import GIB, DiskSubsystem
from headworks.state.disks import Disk
from test_qcow2 import header

BASE = "a" * 64
DISK = Disk("u1", "vm1", BASE, size_gb=1)


def instance(disks: DiskSubsystem, name: str = "u1", cloud: str = "lab", base: str = BASE) -> Path:
    """Make an instance's directory as it should be, and return it."""
    home = disks.instances_dir / name
    home.mkdir()
    home.chmod(0o711)
    (home / "headworks.json").write_text(json.dumps({"cloud": cloud, "title": "vm1", "protected": False}))
    (home / "disk").write_bytes(header(f"/base/{base}", GIB))
    (home / "disk").chmod(0o600)
    return home


def labels(disks: DiskSubsystem, *desired: Disk) -> list[str]:
    """The changes that a run would make."""
    changes = converge([(disks, {disk.name: disk for disk in desired})], check=True).changes
    return [f"{change['verb']} {change['name']}" for change in changes]


def texts(disks: DiskSubsystem, *desired: Disk) -> list[str]:
    return [note.text for note in disks.read({disk.name: disk for disk in desired}).notes]

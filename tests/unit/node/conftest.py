"""What the tests of disks share: a subsystem with directories of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from headworks.node.compute import disks as disks_module
from headworks.node.compute.disks import GIB, DiskSubsystem
from test_qcow2 import header


@pytest.fixture
def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskSubsystem:
    """The subsystem of cloud lab with directories of its own. ``qemu-img`` is replaced by a function that writes the
    header of an overlay, and libvirt has no domain."""

    def create(words: list[str]) -> str:
        Path(words[9]).write_bytes(header(words[8], GIB))
        return ""

    monkeypatch.setattr(disks_module, "run", create)
    monkeypatch.setattr(disks_module, "defined_domains", lambda names: frozenset())
    (tmp_path / "instances").mkdir()
    (tmp_path / "instances").chmod(0o711)
    return DiskSubsystem("lab", tmp_path / "instances", tmp_path / "bases", tmp_path / "removed")

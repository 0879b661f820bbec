"""Headers of disk files."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from headworks.node.compute.qcow2 import Header, bases_of, read_header

GIB = 1 << 30


def header(backing: str, size: int) -> bytes:
    head = b"QFI\xfb" + struct.pack(">IQIIQ", 3, 104, len(backing), 16, size)
    return head.ljust(104, b"\0") + backing.encode()


def test_a_header_has_the_backing_file_and_the_virtual_size(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(header("/base/aa", 3 * GIB))
    assert read_header(tmp_path / "disk") == Header("/base/aa", 3 * GIB)


def test_a_file_without_the_magic_is_raw_and_as_large_as_the_file(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(4096))
    assert read_header(tmp_path / "disk") == Header("", 4096)


@pytest.mark.parametrize(
    "content",
    [
        b"QFI\xfb",
        header("/base/aa", GIB)[:106],
        b"QFI\xfb" + b"\xff" * 100,
        header("/base/aa", GIB)[:104] + b"\xff" * 8,
    ],
)
def test_a_damaged_header_is_unreadable(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(content)
    assert not read_header(tmp_path / "disk").readable


def test_the_bases_are_those_of_every_disk_in_the_directories(tmp_path: Path) -> None:
    for name, base in (("disk", "snapshot"), ("disk.snapshot", "old")):
        (tmp_path / name).write_bytes(header(f"/base/{base}", GIB))
    (tmp_path / "console.log").write_bytes(header("/base/fake", GIB))
    assert bases_of([tmp_path, tmp_path / "none"]) == {"snapshot", "old"}


def test_with_an_unreadable_disk_every_file_may_be_in_use(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"QFI\xfb")
    assert bases_of([tmp_path]) is None


def test_a_disk_that_was_moved_behind_a_symbolic_link_still_uses_its_base(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(header("/base/aa", GIB))
    (tmp_path / "guest").mkdir()
    (tmp_path / "guest" / "disk").symlink_to(tmp_path / "elsewhere")
    assert bases_of([tmp_path / "guest"]) == {"aa"}


def test_behind_a_link_to_nowhere_every_file_may_be_in_use(tmp_path: Path) -> None:
    (tmp_path / "disk").symlink_to("/nowhere")
    assert bases_of([tmp_path]) is None

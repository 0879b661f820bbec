"""Image files on the control node."""

from __future__ import annotations

import os
import struct
from hashlib import sha256, sha512
from pathlib import Path

import pytest
from headworks.control.image_store import image_files, store_images, store_node
from headworks.control.images import ImageFiles, header
from headworks.model.errors import PlanError

MIB = 1 << 20


def qcow2(size: int, *, backing: int = 0, features: int = 0, version: int = 3) -> bytes:
    """The header of a qcow2 image of ``size`` bytes."""
    start = struct.pack(">4sIQIIQ", b"QFI\xfb", version, backing, 4 if backing else 0, 16, size)
    return start.ljust(72, b"\0") + struct.pack(">Q", features) + bytes(24)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "nano.qcow2"
    path.write_bytes(qcow2(64 * MIB))
    return path


def facts(tmp_path: Path, **images: dict[str, str]) -> dict[str, dict[str, object]]:
    return ImageFiles(tmp_path / "cache" / "sums.json").facts(images)


def test_the_virtual_size_of_qcow2_is_read_from_its_header(image: Path, tmp_path: Path) -> None:
    assert facts(tmp_path, nano={"path": str(image)}) == {
        "nano": {
            "path": str(image),
            "virtual_size_bytes": 64 * MIB,
            "format": "qcow2",
            "checksum": f"sha256:{sha256(image.read_bytes()).hexdigest()}",
        }
    }


def test_a_file_that_is_not_qcow2_is_raw_with_the_size_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"x" * 700)
    assert header(tmp_path / "disk") == ("raw", 700)
    (tmp_path / "short").write_bytes(b"QFI\xfb")
    assert header(tmp_path / "short") == ("raw", 4)


@pytest.mark.parametrize(("fields", "words"), [({"backing": 80}, "backing file"), ({"features": 4}, "external data")])
def test_an_image_that_reads_another_file_is_refused(tmp_path: Path, fields: dict[str, int], words: str) -> None:
    (tmp_path / "evil.qcow2").write_bytes(qcow2(MIB, **fields))
    with pytest.raises(PlanError, match=rf"cloud_images\.evil\.path: '.*evil\.qcow2': has an? {words}"):
        facts(tmp_path, evil={"path": str(tmp_path / "evil.qcow2")})


@pytest.mark.parametrize("content", [qcow2(64 * MIB), qcow2(MIB, backing=80), qcow2(MIB, features=4)])
def test_a_file_that_is_declared_as_raw_is_raw_whatever_its_content_looks_like(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "disk").write_bytes(content)
    found = facts(tmp_path, disk={"path": str(tmp_path / "disk"), "format": "raw"})["disk"]
    assert (found["format"], found["virtual_size_bytes"]) == ("raw", len(content))


def test_every_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        facts(tmp_path, a={"path": "/nowhere/a"}, b={"path": str(tmp_path)}, c={"url": "https://x/"})
    assert caught.value.messages == (
        "cloud_images.a.path: '/nowhere/a': No such file or directory",
        f"cloud_images.b.path: '{tmp_path}': Is a directory",
    )


def test_the_checksum_uses_the_algorithm_of_the_declared_checksum(image: Path, tmp_path: Path) -> None:
    images = facts(tmp_path, nano={"path": str(image), "checksum": "sha512:00"})
    assert images["nano"]["checksum"] == f"sha512:{sha512(image.read_bytes()).hexdigest()}"


def test_an_unchanged_file_is_read_only_once(image: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "sums.json"
    files = ImageFiles(cache)
    first = files.facts({"nano": {"path": str(image)}})["nano"]["checksum"]
    files.keep()
    status = image.stat()
    # The content changes but size and time stay: only the cache can give the first checksum.
    image.write_bytes(qcow2(64 * MIB, features=1))
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert ImageFiles(cache).facts({"nano": {"path": str(image)}})["nano"]["checksum"] == first
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert ImageFiles(cache).facts({"nano": {"path": str(image)}})["nano"]["checksum"] != first


def test_a_damaged_cache_is_ignored(image: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "sums.json").write_text("{")
    assert facts(tmp_path, nano={"path": str(image)})["nano"]["format"] == "qcow2"


def test_the_store_gets_every_image_with_its_declared_or_computed_checksum() -> None:
    images = {"web": {"url": "https://x/y", "checksum": "sha256:AB", "format": "raw"}, "nano": {"path": "~/nano"}}
    image_facts = {"nano": {"checksum": "sha256:cd", "path": "/root/nano"}}
    assert store_images(images, image_facts) == [
        {"name": "nano", "checksum": "sha256:cd", "url": "", "format": "qcow2"},
        {"name": "web", "checksum": "sha256:ab", "url": "https://x/y", "format": "raw"},
    ]
    assert image_files(image_facts) == {"cd": "/root/nano"}


def test_the_store_is_on_the_first_controller_in_natural_order() -> None:
    nodes = {"c10": {"groups": ["controller"]}, "c2": {"groups": ["controller"]}, "c1": {"groups": ["compute"]}}
    assert store_node(nodes) == "c2"
    assert store_node({"c1": {"groups": ["compute"]}}) == ""

"""The images of the store: a damaged file counts as missing, and an unchanged file is read once."""

from __future__ import annotations

import os
from hashlib import sha256, sha512
from pathlib import Path

import pytest
from headworks.controller import stored_images as store
from headworks.engine.converge import converge
from headworks.state.images import BaseImage

CONTENT = b"an image"
DIGEST = sha256(CONTENT).hexdigest()
LONG = sha512(CONTENT).hexdigest()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(store, "VERIFIED", tmp_path / "run" / "verified.json")
    (tmp_path / "images").mkdir()
    return tmp_path


def put(home: Path, digest: str = DIGEST, content: bytes = CONTENT) -> Path:
    path = home / "images" / digest
    path.write_bytes(content)
    return path


def image(home: Path, url: bool) -> dict[str, BaseImage]:
    """The desired image, from a URL or copied by the play."""
    source = home / "source"
    source.write_bytes(CONTENT)
    return {DIGEST: BaseImage(DIGEST, "nano", source.as_uri() if url else "", f"sha256:{DIGEST}", "raw")}


def verbs(home: Path, desired: dict[str, BaseImage]) -> list[str]:
    result = converge([(store.StoredImageSubsystem("store", home), desired)])
    return [change["verb"] for change in result.changes]


def test_an_image_whose_content_has_its_digest_is_stored(home: Path) -> None:
    put(home)
    put(home, LONG)
    put(home, f"{DIGEST}.part")
    put(home, "no digest")
    assert store.stored(home) == {DIGEST, LONG}
    assert store.stored(home / "nowhere") == set()


@pytest.mark.parametrize("damage", [b"", b"another!", CONTENT + b"x"])
def test_a_damaged_image_is_fetched_again(home: Path, damage: bytes) -> None:
    path = put(home, content=damage)
    assert store.stored(home) == set()
    assert verbs(home, image(home, url=True)) == ["add"]
    assert path.read_bytes() == CONTENT
    assert verbs(home, image(home, url=True)) == []


def test_a_damaged_image_that_the_play_copies_is_missing_and_stays_until_then(home: Path) -> None:
    path = put(home, content=b"torn")
    assert verbs(home, image(home, url=False)) == []
    assert path.exists()
    assert store.stored(home) == set()


def test_an_image_that_is_not_desired_is_removed_even_if_it_is_damaged(home: Path) -> None:
    put(home, content=b"torn")
    put(home, LONG)
    assert verbs(home, {}) == ["remove", "remove"]
    assert store.stored(home) == set()


def test_an_unchanged_file_is_read_once(home: Path) -> None:
    path = put(home)
    assert store.stored(home) == {DIGEST}
    status = path.stat()
    path.write_bytes(b"An image")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert store.stored(home) == {DIGEST}, "size and time are those of the verified file"
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert store.stored(home) == set()


def test_without_the_list_of_verified_files_all_are_read_again(home: Path) -> None:
    path = put(home)
    store.stored(home)
    status = path.stat()
    path.write_bytes(b"An image")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    store.VERIFIED.write_text("{")
    assert store.stored(home) == set()

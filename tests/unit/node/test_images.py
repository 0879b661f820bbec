"""The cache of base images: only a file with the right checksum gets its name."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from headworks.node.compute.base_images import ImageError, ImageSubsystem, fetch
from headworks.state.images import BaseImage

CONTENT = b"image content"
DIGEST = sha256(CONTENT).hexdigest()


def image(tmp_path: Path, digest: str = DIGEST) -> BaseImage:
    source = tmp_path / "store"
    source.write_bytes(CONTENT)
    return BaseImage(digest, "nano", source.as_uri(), f"sha256:{digest}")


def test_an_image_is_fetched_to_a_file_named_by_its_digest(tmp_path: Path) -> None:
    target = tmp_path / "_base" / DIGEST
    fetch(image(tmp_path), target)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == [DIGEST]


def test_an_image_with_a_wrong_checksum_is_refused_and_its_file_deleted(tmp_path: Path) -> None:
    wrong = "0" * 64
    with pytest.raises(ImageError, match=rf"cloud_images.nano.checksum: sha256:{wrong}.*{DIGEST}"):
        fetch(image(tmp_path, wrong), tmp_path / "_base" / wrong)
    assert list((tmp_path / "_base").iterdir()) == []


def test_an_error_has_the_url_of_an_image_that_the_store_does_not_have(tmp_path: Path) -> None:
    missing = BaseImage(DIGEST, "nano", (tmp_path / "missing").as_uri(), f"sha256:{DIGEST}")
    with pytest.raises(ImageError, match=r"cloud_images\.nano: file://"):
        fetch(missing, tmp_path / "_base" / DIGEST)


def test_undesired_images_are_removed_and_partial_downloads_are_ignored(tmp_path: Path) -> None:
    (tmp_path / DIGEST).write_bytes(CONTENT)
    (tmp_path / "x.part").write_bytes(b"")
    cache = ImageSubsystem("lab", tmp_path)
    changes = cache.diff({}, cache.read({}))
    assert [(change.verb, change.name) for change in changes] == [("remove", DIGEST)]
    cache.apply(changes)
    assert not (tmp_path / DIGEST).exists()

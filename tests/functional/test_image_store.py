"""The image store serves images over HTTPS, and renews its certificate without a restart."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from headworks.controller import image_store as store
from headworks.engine.converge import converge
from headworks.node.compute.base_images import ImageError, fetch
from headworks.state.images import BaseImage
from headworks.system import systemd

PORT = 19292
CONTENT = b"an image"
DIGEST = sha256(CONTENT).hexdigest()


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(store, "UNIT", "headworks-image-store-test.service")
    # Not below /tmp: the unit has a private /tmp.
    path = Path("/var/lib/headworks-store-test")
    yield path
    subprocess.run(["systemctl", "disable", "--now", store.UNIT], check=False)
    systemd.uninstall([store.UNIT])
    shutil.rmtree(path, ignore_errors=True)


def set_up(home: Path, names: tuple[str, ...] = ("127.0.0.1", "store.example"), check: bool = False) -> list[str]:
    server = store.ImageServer(store.UNIT, port=PORT, names=tuple(sorted(names)))
    result = converge([(store.ImageServerSubsystem(home=home), {store.UNIT: server})], check=check)
    return [change["verb"] for change in result.changes]


def get(home: Path, path: str) -> bytes:
    context = ssl.create_default_context(cafile=str(home / "ca.pem"))
    with urllib.request.urlopen(f"https://127.0.0.1:{PORT}{path}", timeout=5, context=context) as answer:
        return bytes(answer.read())


def main_process() -> str:
    words = ["systemctl", "show", "--value", "--property=MainPID", store.UNIT]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def test_a_node_that_trusts_the_authority_fetches_an_image(home: Path, tmp_path: Path) -> None:
    assert set_up(home) == ["add"]
    (home / "images" / DIGEST).write_bytes(CONTENT)
    image = BaseImage(DIGEST, "tiny", f"https://127.0.0.1:{PORT}/images/{DIGEST}", f"sha256:{DIGEST}",
                      ca=str(home / "ca.pem"))  # fmt: skip
    fetch(image, tmp_path / DIGEST)
    assert (tmp_path / DIGEST).read_bytes() == CONTENT


def test_a_node_that_does_not_trust_the_authority_fetches_no_image(home: Path, tmp_path: Path) -> None:
    set_up(home)
    image = BaseImage(DIGEST, "tiny", f"https://127.0.0.1:{PORT}/images/{DIGEST}", f"sha256:{DIGEST}")
    with pytest.raises(ImageError, match=r"cloud_images\.tiny.*certificate verify failed"):
        fetch(image, tmp_path / DIGEST)


def test_keys_and_other_files_are_not_served(home: Path) -> None:
    set_up(home)
    for path in ("/ca.key", "/server.key", "/images/../ca.key", "/images/%2e%2e/ca.key", "/nginx.conf"):
        with pytest.raises(urllib.error.HTTPError):
            get(home, path)
    assert (home / "ca.key").stat().st_mode & 0o777 == 0o600


def test_a_second_run_changes_nothing_and_check_mode_creates_nothing(home: Path) -> None:
    assert set_up(home, check=True) == ["add"]
    assert not home.exists()
    set_up(home)
    before = {path.name: path.stat().st_mtime_ns for path in home.iterdir()}
    assert set_up(home) == []
    assert {path.name: path.stat().st_mtime_ns for path in home.iterdir()} == before


def test_for_a_new_address_the_same_authority_signs_a_new_certificate(home: Path) -> None:
    set_up(home)
    authority = (home / "ca.pem").read_bytes()
    process = main_process()
    assert set_up(home, names=("127.0.0.1", "127.0.0.2")) == ["change"]
    assert (home / "ca.pem").read_bytes() == authority
    assert main_process() == process  # reloaded, not restarted
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(home, "/images/none")


def test_a_server_without_its_key_or_stopped_is_repaired(home: Path) -> None:
    set_up(home)
    (home / "server.key").unlink()
    assert set_up(home) == ["change"]
    subprocess.run(["systemctl", "stop", store.UNIT], check=True)
    assert set_up(home) == ["change"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(home, "/images/none")


def test_an_image_that_is_not_desired_is_removed_from_the_store(home: Path) -> None:
    set_up(home)
    (home / "images" / DIGEST).write_bytes(CONTENT)
    converge([(store.StoredImageSubsystem("store", home), {})])
    assert store.stored(home) == set()

"""The image store serves images over HTTPS, and renews its certificate without a restart."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from headworks.controller import image_store as store
from headworks.controller.stored_images import StoredImageSubsystem, stored
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


def test_a_node_that_trusts_the_authority_fetches_an_image_without_a_proxy(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set_up(home) == ["add"]
    (home / "images" / DIGEST).write_bytes(CONTENT)
    image = BaseImage(DIGEST, "tiny", f"https://127.0.0.1:{PORT}/images/{DIGEST}", f"sha256:{DIGEST}", "raw",
                      ca=str(home / "ca.pem"))  # fmt: skip
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    fetch(image, tmp_path / DIGEST)
    assert (tmp_path / DIGEST).read_bytes() == CONTENT


def test_a_node_that_does_not_trust_the_authority_fetches_no_image(home: Path, tmp_path: Path) -> None:
    set_up(home)
    image = BaseImage(DIGEST, "tiny", f"https://127.0.0.1:{PORT}/images/{DIGEST}", f"sha256:{DIGEST}")
    with pytest.raises(ImageError, match=r"cloud_images\.tiny.*certificate verify failed"):
        fetch(image, tmp_path / DIGEST)


def test_keys_and_other_files_are_not_served(home: Path) -> None:
    set_up(home)
    for path in ("/authority.pem", "/tls.pem", "/images/../tls.pem", "/images/%2e%2e/authority.pem", "/nginx.conf"):
        with pytest.raises(urllib.error.HTTPError):
            get(home, path)
    for name in ("authority.pem", "tls.pem"):
        assert (home / name).stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in store.authority(home)


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
    for damage in ("", "\n".join((home / "tls.pem").read_text().splitlines()[:-5])):
        (home / "tls.pem").write_text(damage)
        assert set_up(home) == ["change"]
    subprocess.run(["systemctl", "stop", store.UNIT], check=True)
    assert set_up(home) == ["change"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(home, "/images/none")


def legacy(home: Path) -> None:
    """Make the files of an earlier version, which had certificates and keys in files of their own."""
    for name, old in (("authority.pem", "ca"), ("tls.pem", "server")):
        certificate, mark, key = (home / name).read_text().partition("-----BEGIN PRIVATE KEY-----")
        (home / f"{old}.pem").write_text(certificate)
        (home / f"{old}.key").write_text(mark + key)
        (home / name).unlink()


def test_the_authority_of_an_earlier_version_stays(home: Path) -> None:
    set_up(home)
    authority, process = store.authority(home), main_process()
    legacy(home)
    assert set_up(home) == ["change"]
    assert store.authority(home) == authority, "nodes trust it"
    assert main_process() == process
    assert not [name for name in store.BEFORE if (home / name).exists()]
    assert set_up(home) == []


def test_a_key_of_another_authority_is_not_taken_over(home: Path) -> None:
    set_up(home)
    authority = store.authority(home)
    legacy(home)
    words = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run([*words, "-out", home / "ca.key"], check=True, capture_output=True)
    set_up(home)
    assert store.authority(home) != authority
    end = time.monotonic() + 5
    while (answer := status(home)) != 404 and time.monotonic() < end:
        time.sleep(0.1)  # the processes with the old certificate end soon after the reload
    assert answer == 404


def status(home: Path) -> int:
    """Return the status of the answer to a request for no image; 0 if there is none that ``ca.pem`` confirms."""
    try:
        get(home, "/images/none")
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError:
        return 0
    return 200


def test_a_killed_run_leaves_a_certificate_with_its_key(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nginx is restarted after the run was killed, by a power cut for example."""
    set_up(home)
    real = store.write_file

    def killed(path: Path, content: str | bytes, mode: int = 0o644) -> bool:
        if path.name == "tls.pem":
            real(path, content, mode)
            raise KeyboardInterrupt
        return real(path, content, mode)

    with monkeypatch.context() as patch:
        patch.setattr(store, "write_file", killed)
        with pytest.raises(KeyboardInterrupt):
            set_up(home, names=("127.0.0.1", "127.0.0.2"))
    subprocess.run(["systemctl", "restart", store.UNIT], check=True)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(home, "/images/none")


def test_an_image_that_is_not_desired_is_removed_from_the_store(home: Path) -> None:
    set_up(home)
    (home / "images" / DIGEST).write_bytes(CONTENT)
    converge([(StoredImageSubsystem("store", home), {})])
    assert stored(home) == set()

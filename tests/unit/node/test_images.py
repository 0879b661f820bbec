"""The cache of base images: only a file with the right checksum gets its name."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from headworks.engine.converge import ConvergeError, converge
from headworks.node.compute.base_images import ImageError, ImageSubsystem, fetch
from headworks.node.compute.disks import DiskSubsystem
from headworks.node.subsystem import Applied, Change
from headworks.state.disks import Disk
from headworks.state.images import BaseImage

CONTENT = b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(16) + (1 << 20).to_bytes(8, "big") + bytes(72)
DIGEST = sha256(CONTENT).hexdigest()


def image(tmp_path: Path, digest: str = "", content: bytes = CONTENT, form: str = "qcow2") -> BaseImage:
    source = tmp_path / "store"
    source.write_bytes(content)
    digest = digest or sha256(content).hexdigest()
    return BaseImage(digest, "nano", source.as_uri(), f"sha256:{digest}", form)


BACKED = CONTENT[:8] + (80).to_bytes(8, "big") + CONTENT[16:]
EXTERNAL = CONTENT[:72] + (4).to_bytes(8, "big") + CONTENT[80:]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (BACKED, "has a backing file"),
        (EXTERNAL, "has an external data file"),
        (b"raw content", "is not in format qcow2"),
    ],
)
def test_a_fetched_qcow2_image_that_reads_another_file_is_refused_and_its_file_deleted(
    tmp_path: Path, content: bytes, fault: str
) -> None:
    evil = image(tmp_path, content=content)
    with pytest.raises(ImageError, match=rf"cloud_images\.nano\.format: qcow2: the content of file://\S+ {fault}"):
        fetch(evil, tmp_path / "_base" / evil.name)
    assert list((tmp_path / "_base").iterdir()) == []


@pytest.mark.parametrize("content", [b"raw content", BACKED, EXTERNAL])
def test_a_raw_image_is_not_inspected(tmp_path: Path, content: bytes) -> None:
    raw = image(tmp_path, content=content, form="raw")
    fetch(raw, tmp_path / "_base" / raw.name)
    assert (tmp_path / "_base" / raw.name).read_bytes() == content


def test_an_image_that_cannot_be_fetched_stops_no_other_and_only_the_disks_on_it_wait(tmp_path: Path) -> None:
    good = image(tmp_path)
    bad = replace(good, name="b" * 64, url=(tmp_path / "missing").as_uri())
    disks = {name: Disk(name, f"title-{name}", one.name) for name, one in (("u1", bad), ("u2", good))}
    images = ImageSubsystem("lab", tmp_path / "_base")
    made: list[str] = []

    class Overlays(DiskSubsystem):
        def apply(self, changes: Sequence[Change[Disk]]) -> Applied:
            made.extend(change.name for change in changes)
            return Applied()

    overlays = Overlays("lab", tmp_path / "instances", tmp_path / "_base", tmp_path / "removed")
    with pytest.raises(ConvergeError) as caught:
        converge([(images, {one.name: one for one in (bad, good)}), (overlays, disks)], verify=False)
    assert made == ["u2"]
    assert [(failure.kind, failure.name) for failure in caught.value.result.failures] == [
        ("image", bad.name),
        ("disk", "u1"),
    ]
    assert "instance title-u1: left as it is, because image " in str(caught.value)


class Server:
    """A web server that answers every request with the image, also requests to a proxy."""

    def __init__(self) -> None:
        asked = self.asked = []  # type: list[str]

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(CONTENT)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


def test_an_image_of_the_own_store_does_not_come_through_a_proxy(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    own = BaseImage(DIGEST, "nano", f"{server.url}/images/{DIGEST}", f"sha256:{DIGEST}", ca="/etc/headworks/ca.pem")
    fetch(own, tmp_path / DIGEST)
    assert server.asked == [f"/images/{DIGEST}"]


def test_an_image_from_elsewhere_comes_through_the_proxy_of_the_environment(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    fetch(BaseImage(DIGEST, "nano", "http://images.example/nano", f"sha256:{DIGEST}"), tmp_path / DIGEST)
    assert server.asked == ["http://images.example/nano"]


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

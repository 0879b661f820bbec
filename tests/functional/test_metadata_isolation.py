"""A hostile guest cannot read the metadata of another guest, pretend to be another guest, or take all connections."""

from __future__ import annotations

import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from headworks.node.services.metadata import served as metadata
from headworks.node.services.metadata import server as metadata_server
from headworks.system.netns import in_netns
from metadata_lab import (
    NET1,
    get,
    guest,
    router_with_guests,
    run,
    run_for_all_guests,
    send_raw,
)

pytestmark = pytest.mark.usefixtures("serving")


@pytest.fixture(scope="module")
def serving() -> Iterator[None]:
    with router_with_guests():
        run_for_all_guests()
        yield
        run([], [])


def test_a_source_outside_the_networks_gets_no_metadata() -> None:
    assert get("d", "/latest/meta-data/hostname")[0] == 404
    assert get("d", "/latest/meta-data/hostname", f"X-Headworks-Instance: {NET1}/10.18.0.4")[0] == 404


B_TREE = f"{NET1}/10.18.0.4"
ESCAPES = [
    "/../10.18.0.4/latest/user-data",
    "/../../{b}/latest/user-data",
    "/%2e%2e/10.18.0.4/latest/user-data",
    "/%2e%2e%2f10.18.0.4%2flatest%2fuser-data",
    "/..%2f10.18.0.4/latest/user-data",
    "/latest/../../10.18.0.4/latest/user-data",
    "/latest/%2e%2e/%2e%2e/10.18.0.4/latest/user-data",
    "/%252e%252e/10.18.0.4/latest/user-data",
    "//10.18.0.4/latest/user-data",
    "//../10.18.0.4/latest/user-data",
    "/..;/10.18.0.4/latest/user-data",
    "/..\\10.18.0.4\\latest\\user-data",
    "/%c0%ae%c0%ae/10.18.0.4/latest/user-data",
    "/{b}/latest/user-data",
    "http://169.254.169.254/../10.18.0.4/latest/user-data",
    "http://{b}/latest/user-data",
    "/latest/user-data/../../../10.18.0.4/latest/user-data",
    "/latest/%00/../../10.18.0.4/latest/user-data",
    "/../.cloud",
    "/.cloud",
    "/../../../nginx.conf",
    "/../../../../../../../etc/passwd",
]


@pytest.mark.parametrize("path", ESCAPES)
def test_no_path_leads_to_the_tree_of_another_guest(path: str) -> None:
    status, body = get("a", path.replace("{b}", B_TREE))
    assert status in (400, 403, 404), body
    assert b"secret" not in body
    assert b"root:" not in body


@pytest.mark.parametrize(
    "headers",
    [
        [f"X-Headworks-Instance: {B_TREE}"],
        [f"x-headworks-instance: {B_TREE}", f"X-HEADWORKS-INSTANCE: {B_TREE}"],
        [f"X_Headworks_Instance: {B_TREE}"],
        [f"X-Headworks_Instance: {B_TREE}"],
        [f"X-Headworks-Instance : {B_TREE}"],
        [f"X-Headworks-Instance: {B_TREE}", "Connection: close, X-Headworks-Instance"],
        ["X-Forwarded-For: 10.18.0.4", "Forwarded: for=10.18.0.4", "X-Real-IP: 10.18.0.4"],
        ["Host: 10.18.0.4"],
        ["X-Instance-ID: uuid-b", "X-Instance-ID-Signature: 00", "X-Tenant-ID: t"],
    ],
)
def test_no_header_leads_to_the_tree_of_another_guest(headers: list[str]) -> None:
    status, body = get("a", "/latest/meta-data/hostname", *headers)
    assert (status, body) == (200, b"a") or (status == 400 and body.strip() != b"b")


def test_a_smuggled_second_request_does_not_get_the_tree_of_another_guest() -> None:
    inner = f"GET /latest/user-data HTTP/1.1\r\nHost: x\r\nX-Headworks-Instance: {B_TREE}\r\n\r\n"
    for framing in (
        f"Content-Length: {len(inner)}\r\nTransfer-Encoding: chunked",
        f"Content-Length: {len(inner)}\r\nContent-Length: 0",
        "Content-Length: 0",
        f"Content-Length: {len(inner)}",
        "Transfer-Encoding: xchunked",
        "Upgrade: h2c\r\nConnection: Upgrade",
    ):
        request = f"GET /latest/meta-data/hostname HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n{inner}"
        assert b"secret of b" not in send_raw("a", request.encode(), timeout=1)


def test_a_guest_cannot_take_all_connections() -> None:
    connections, refused = [], 0
    with in_netns(guest("a")):
        for _ in range(100):
            try:
                connections.append(socket.create_connection(("169.254.169.254", 80), timeout=5))
            except ConnectionResetError:
                refused += 1
    time.sleep(0.2)
    for connection in connections:
        connection.setblocking(False)
        try:
            refused += connection.recv(1) == b""
        except ConnectionResetError:
            refused += 1
        except BlockingIOError:
            pass
    assert refused == 36
    assert get("b", "/latest/meta-data/hostname") == (200, b"b")
    for connection in connections:
        connection.close()


def test_other_users_of_the_node_can_neither_read_the_trees_nor_use_the_socket() -> None:
    for top in (metadata.ROOT / "trees", metadata.ROOT / "instances", Path(metadata_server.SOCKET).parent):
        assert stat.S_IMODE(top.stat().st_mode) & 0o007 == 0
    for path in (metadata.ROOT / "trees").rglob("*"):
        assert path.is_symlink() or stat.S_IMODE(path.stat().st_mode) & 0o027 == 0
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    curl = ["curl", "-s", "--unix-socket", metadata_server.SOCKET, "-H", f"X-Headworks-Instance: {B_TREE}", "http://x/"]
    assert subprocess.run([*nobody, *curl], check=False, capture_output=True).returncode == 7
    # root may use the socket, but without a valid header it gets no tree
    for header in ("", "../instances", f"{NET1}/..", f"{NET1}/", "/", f"{NET1}/10.18.0.3/../10.18.0.4"):
        curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", metadata_server.SOCKET]
        words = [*curl, "-H", f"X-Headworks-Instance: {header}", "http://x/"]
        assert subprocess.run(words, check=True, capture_output=True).stdout == b"403"

"""Metadata with real haproxy, nginx, systemd and namespaces: two networks behind one router's namespace, guests A and B
on the first, C on the second; what each can read, and above all what it cannot."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from headworks.node import metadata, metadata_store, units
from headworks.node.converge import Result, converge
from headworks.node.metadata import InstanceMetadata, MetadataProxy, MetadataSubsystem, ServedNetwork
from headworks.node.metadata_proxy import MetadataProxySubsystem
from headworks.node.process import in_netns
from headworks.node.subsystem import encode
from modules import run_module

OWNER = f"test{os.getpid()}"
ROUTER = f"qrouter-{OWNER}"
NET1, NET2 = f"net1-{OWNER}", f"net2-{OWNER}"
GUESTS = {"a": ("10.18.0.3", 1), "b": ("10.18.0.4", 1), "c": ("10.22.22.3", 2)}
UNIT = f"headworks-metadata@{ROUTER}.service"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def guest(name: str) -> str:
    return f"guest-{name}-{OWNER}"


@pytest.fixture(scope="module")
def wires() -> Iterator[None]:
    """The router's namespace with two bridges, and a guest's namespace behind each veth."""
    ip("netns", "add", ROUTER)
    ip("-n", ROUTER, "link", "set", "lo", "up")
    ip("-n", ROUTER, "addr", "add", "169.254.169.254/32", "dev", "lo")
    for number, address in ((1, "10.18.0.1/24"), (2, "10.22.22.1/24"), (3, "10.33.33.1/24")):
        ip("-n", ROUTER, "link", "add", f"br{number}", "type", "bridge")
        ip("-n", ROUTER, "addr", "add", address, "dev", f"br{number}")
        ip("-n", ROUTER, "link", "set", f"br{number}", "up")
    for name, (address, number) in {**GUESTS, "d": ("10.33.33.3", 3)}.items():
        ip("netns", "add", guest(name))
        ip("-n", ROUTER, "link", "add", f"p{name}", "type", "veth", "peer", "eth0", "netns", guest(name))
        ip("-n", ROUTER, "link", "set", f"p{name}", "master", f"br{number}", "up")
        ip("-n", guest(name), "addr", "add", f"{address}/24", "dev", "eth0")
        ip("-n", guest(name), "link", "set", "eth0", "up")
        ip("-n", guest(name), "route", "add", "default", "via", address.rpartition(".")[0] + ".1")
    yield
    for name in (ROUTER, *map(guest, "abcd")):
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@pytest.fixture
def clean(wires: None) -> Iterator[None]:
    yield
    go([], [])


def tree(name: str, **more: str) -> InstanceMetadata:
    address, number = GUESTS[name]
    files = {
        "2009-04-04/meta-data/hostname": name,
        "2009-04-04/meta-data/placement/availability-zone": "nova",
        "2009-04-04/meta-data/public-keys/": "0=ops",
        "2009-04-04/meta-data/public-keys/0/openssh-key": "ssh-ed25519 AAAA ops",
        "2009-04-04/user-data": f"#!/bin/sh\necho secret of {name} ü\n\n",
        "openstack/latest/meta_data.json": '{"uuid": "1"}',
        **more,
    }
    network = NET1 if number == 1 else NET2
    return InstanceMetadata(network, address, f"uuid-{name}", files, {"latest": "2009-04-04"})


def proxy() -> MetadataProxy:
    return MetadataProxy(ROUTER, (ServedNetwork(NET1, "10.18.0.0/24"), ServedNetwork(NET2, "10.22.22.0/24")))


def go(
    proxies: list[MetadataProxy], trees: list[InstanceMetadata], check: bool = False, owner: str | None = OWNER
) -> Result:
    pipeline = [
        (MetadataSubsystem(owner), MetadataSubsystem.load([encode(one) for one in trees])),
        (MetadataProxySubsystem(owner), {one.name: one for one in proxies}),
    ]
    return converge(pipeline, check=check)


def all_of_it() -> Result:
    return go([proxy()], [tree("a"), tree("b"), tree("c")])


def raw(name: str, request: bytes, timeout: float = 5) -> bytes:
    """Send bytes from a guest; all that comes back until the other side closes or is silent."""
    with in_netns(guest(name)):
        asking = socket.create_connection(("169.254.169.254", 80), timeout=timeout)
    with asking:
        asking.sendall(request)
        answer = b""
        try:
            while piece := asking.recv(65536):
                answer += piece
        except TimeoutError:
            pass
        return answer


def get(name: str, path: str, *headers: str, method: str = "GET") -> tuple[int, bytes]:
    lines = [f"{method} {path} HTTP/1.1", "Host: 169.254.169.254", "Connection: close", *headers, "", ""]
    head, _, body = raw(name, "\r\n".join(lines).encode()).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def test_each_guest_reads_its_own_tree(clean: None) -> None:
    all_of_it()
    for name in GUESTS:
        assert get(name, "/latest/meta-data/hostname") == (200, name.encode())
    assert get("a", "/openstack/latest/meta_data.json") == (200, b'{"uuid": "1"}')


def test_user_data_comes_byte_for_byte(clean: None) -> None:
    all_of_it()
    assert get("a", "/latest/user-data") == (200, "#!/bin/sh\necho secret of a ü\n\n".encode())


def test_listings_are_ec2s_with_and_without_the_last_slash(clean: None) -> None:
    all_of_it()
    listing = (200, b"hostname\nplacement/\npublic-keys/")
    assert get("a", "/latest/meta-data/") == listing
    assert get("a", "/2009-04-04/meta-data") == listing
    assert get("a", "/latest/meta-data/public-keys/") == (200, b"0=ops")
    assert get("a", "/latest/meta-data/public-keys") == (200, b"0=ops")
    assert get("a", "/latest/meta-data/public-keys/0/") == (200, b"openssh-key")
    assert get("a", "/latest/meta-data/public-keys/0/openssh-key") == (200, b"ssh-ed25519 AAAA ops")
    assert get("a", "/") == (200, b"2009-04-04/\nlatest/\nopenstack/")


def test_what_is_not_there_is_404_and_only_reading_is_allowed(clean: None) -> None:
    all_of_it()
    assert get("a", "/latest/meta-data/ramdisk-id")[0] == 404
    assert get("a", "/latest/meta-data/hostname/")[0] == 404
    assert get("a", "/latest/meta-data/.listing")[0] == 404
    assert get("a", "/latest/meta-data/hostname", method="HEAD") == (200, b"")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        assert get("a", "/latest/meta-data/hostname", method=method)[0] == 405


def test_a_source_outside_the_networks_gets_nothing(clean: None) -> None:
    all_of_it()
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
def test_no_path_leads_to_another_guests_tree(clean: None, path: str) -> None:
    all_of_it()
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
def test_no_header_makes_a_guest_another(clean: None, headers: list[str]) -> None:
    all_of_it()
    status, body = get("a", "/latest/meta-data/hostname", *headers)
    assert (status, body) == (200, b"a") or (status == 400 and body.strip() != b"b")


def test_a_smuggled_second_request_is_not_answered_as_somebody_else(clean: None) -> None:
    all_of_it()
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
        assert b"secret of b" not in raw("a", request.encode(), timeout=1)


def test_one_guest_cannot_take_all_connections(clean: None) -> None:
    all_of_it()
    held, refused = [], 0
    with in_netns(guest("a")):
        for _ in range(100):
            try:
                held.append(socket.create_connection(("169.254.169.254", 80), timeout=5))
            except ConnectionResetError:
                refused += 1
    time.sleep(0.2)
    for one in held:
        one.setblocking(False)
        try:
            refused += one.recv(1) == b""
        except ConnectionResetError:
            refused += 1
        except BlockingIOError:
            pass
    assert refused == 36
    assert get("b", "/latest/meta-data/hostname") == (200, b"b")
    for one in held:
        one.close()


def test_the_trees_and_the_socket_are_closed_to_others_on_the_node(clean: None) -> None:
    all_of_it()
    for top in (metadata.ROOT / "trees", metadata.ROOT / "instances", Path(metadata_store.SOCKET).parent):
        assert stat.S_IMODE(top.stat().st_mode) & 0o007 == 0
    for path in (metadata.ROOT / "trees").rglob("*"):
        assert path.is_symlink() or stat.S_IMODE(path.stat().st_mode) & 0o027 == 0
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    curl = ["curl", "-s", "--unix-socket", metadata_store.SOCKET, "-H", f"X-Headworks-Instance: {B_TREE}", "http://x/"]
    assert subprocess.run([*nobody, *curl], check=False, capture_output=True).returncode == 7
    # as the only one who may: without a usable header there is nothing to see
    for header in ("", "../instances", f"{NET1}/..", f"{NET1}/", "/", f"{NET1}/10.18.0.3/../10.18.0.4"):
        bare = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", metadata_store.SOCKET]
        asked = [*bare, "-H", f"X-Headworks-Instance: {header}", "http://x/"]
        assert subprocess.run(asked, check=True, capture_output=True).stdout == b"403"


def test_a_second_run_changes_nothing_and_restarts_nothing(clean: None) -> None:
    wanted = [tree("a"), tree("b"), tree("c")]
    first = go([proxy()], wanted, check=True)
    assert not metadata.ROOT.exists()
    result = go([proxy()], wanted)
    assert result.changes == first.changes
    pids = {unit: state.pid for unit, state in units.read_states("headworks-metadata*").items()}
    assert not go([proxy()], wanted).changed
    assert {unit: state.pid for unit, state in units.read_states("headworks-metadata*").items()} == pids


def test_a_changed_tree_is_swapped_and_the_old_one_goes(clean: None) -> None:
    all_of_it()
    changed = tree("a", **{"2009-04-04/meta-data/hostname": "renamed"})
    result = go([proxy()], [changed, tree("b"), tree("c")])
    assert [(one["verb"], one["name"]) for one in result.changes] == [("change", f"{NET1}/10.18.0.3")]
    assert get("a", "/latest/meta-data/hostname") == (200, b"renamed")
    assert len(list((metadata.ROOT / "trees").iterdir())) == 3


def test_the_diff_shows_paths_and_digests_but_no_content(clean: None) -> None:
    all_of_it()
    result = go([proxy()], [tree("a", **{"2009-04-04/user-data": "password: hunter2"}), tree("b"), tree("c")])
    change = result.changes[0]
    assert "hunter2" not in repr(result)
    assert "secret" not in repr(result)
    before, after = change["before"]["files"], change["after"]["files"]
    assert before["2009-04-04/user-data"] != after["2009-04-04/user-data"]
    assert before["2009-04-04/meta-data/hostname"] == after["2009-04-04/meta-data/hostname"]
    assert before["latest"] == after["latest"] == "-> 2009-04-04"


def test_a_changed_network_list_is_a_reload_that_finishes_requests_under_way(clean: None) -> None:
    all_of_it()
    before = units.read_states(UNIT)[UNIT].pid
    with in_netns(guest("a")):
        slow = socket.create_connection(("169.254.169.254", 80), timeout=5)
    slow.sendall(b"GET /latest/meta-data/hostname HTTP/1.1\r\nHost: x\r\n")
    time.sleep(0.2)
    go([replace(proxy(), networks=proxy().networks[:1])], [tree("a"), tree("b"), tree("c")])
    slow.sendall(b"Connection: close\r\n\r\n")
    assert b"200 OK" in slow.recv(4096)
    slow.close()
    assert units.read_states(UNIT)[UNIT].pid == before
    end = time.monotonic() + 3
    while get("c", "/latest/meta-data/hostname")[0] != 404 and time.monotonic() < end:
        time.sleep(0.05)
    assert get("c", "/latest/meta-data/hostname")[0] == 404
    assert get("a", "/latest/meta-data/hostname") == (200, b"a")


def test_no_request_fails_while_trees_and_networks_change(clean: None) -> None:
    all_of_it()
    with in_netns(guest("b")):
        pool = [socket.create_connection(("169.254.169.254", 80), timeout=5) for _ in range(40)]
    seen: list[bytes] = []

    def ask() -> None:
        for one in pool:
            one.sendall(b"GET /latest/meta-data/hostname HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            seen.append(one.recv(4096)[:12])
            one.close()
            time.sleep(0.02)

    asking = threading.Thread(target=ask)
    asking.start()
    for number in range(5):
        go([proxy()], [tree("a", extra=str(number)), tree("b", extra=str(number)), tree("c")])
    asking.join()
    assert set(seen) == {b"HTTP/1.1 200"}


def test_killed_daemons_come_back_by_themselves(clean: None) -> None:
    all_of_it()
    for unit in (UNIT, metadata_store.UNIT):
        os.kill(units.read_states(unit)[unit].pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            if get("a", "/latest/meta-data/hostname") == (200, b"a"):
                return
        except OSError:
            pass
        time.sleep(0.2)
    pytest.fail("no answer 10 s after the daemons were killed")


def test_stopped_daemons_are_differences(clean: None) -> None:
    all_of_it()
    units.stop([UNIT, metadata_store.UNIT])
    assert {change["name"] for change in all_of_it().changes} == {ROUTER, "store"}
    assert get("a", "/latest/meta-data/hostname") == (200, b"a")


def test_a_run_that_was_cut_off_is_finished_by_the_next(clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    all_of_it()
    renamed = [tree("a", **{"2009-04-04/meta-data/hostname": "renamed"}), tree("b"), tree("c")]
    with monkeypatch.context() as patch:
        patch.setattr(metadata.trees, "collect_garbage", lambda root: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            go([proxy()], renamed)
    assert [change["name"] for change in go([proxy()], renamed).changes] == ["store"]
    assert len(list((metadata.ROOT / "trees").iterdir())) == 3
    assert not go([proxy()], renamed).changed


def test_removed_instances_and_proxies_leave_nothing_and_others_stay(clean: None) -> None:
    all_of_it()
    assert not go([], [], owner="another-cloud").changed
    go([proxy()], [tree("a")])
    assert get("b", "/latest/meta-data/hostname")[0] == 404
    assert not (metadata.ROOT / "instances" / NET2).exists()
    go([], [])
    assert not metadata.ROOT.exists()
    assert not Path(metadata_store.SOCKET).parent.exists()
    assert not units.read_states("headworks-metadata*")
    assert not list(units.UNIT_DIR.glob("headworks-metadata*"))
    assert not go([], []).changed


def test_a_thousand_instances_are_compared_quickly(clean: None) -> None:
    many = [
        replace(tree("a", n=str(number)), address=f"10.18.{number // 250}.{number % 250 + 1}") for number in range(1000)
    ]
    start = time.monotonic()
    go([proxy()], many)
    made = time.monotonic() - start
    start = time.monotonic()
    assert not go([proxy()], many).changed
    again = time.monotonic() - start
    print(f"1000 trees: made {made * 1000:.0f} ms, again {again * 1000:.0f} ms")
    assert again < 1


def test_the_modules_alone_serve_and_remove_and_a_cloud_leaves_them_alone(clean: None) -> None:
    networks = [{"network_id": NET1, "cidr": "10.18.0.0/24"}]
    one = {"network_id": NET1, "address": "10.18.0.3"}
    files = {"latest/meta-data/hostname": "alone", "latest/user-data": "secret of module"}
    answers = [
        run_module("metadata_tree", diff=True, files=files, **one),
        run_module("metadata_proxy", name=ROUTER, networks=networks),
    ]
    assert all(answer["changed"] for answer in answers), answers
    assert "secret" not in repr(answers)
    assert get("a", "/latest/meta-data/hostname") == (200, b"alone")
    assert not run_module("metadata_tree", files=files, **one)["changed"]
    assert not run_module("metadata_proxy", name=ROUTER, networks=networks)["changed"]
    assert not go([], []).changed
    assert get("a", "/latest/user-data") == (200, b"secret of module")
    assert "path" in run_module("metadata_tree", files={"../evil": "x"}, **one)["msg"]
    assert run_module("metadata_tree", state="absent", **one)["changed"]
    assert run_module("metadata_proxy", name=ROUTER, state="absent")["changed"]
    assert not metadata.ROOT.exists()
    log = subprocess.run(["journalctl", "--since=-1min", "--no-pager"], check=True, capture_output=True)
    assert b"Invoked with" in log.stdout  # what modules are told is logged, and yet:
    assert b"secret of module" not in log.stdout

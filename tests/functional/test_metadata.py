"""Metadata with real haproxy, nginx, systemd and namespaces: what guests read, and how it changes while they read it.

What does not belong here: what a guest must not read (``test_metadata_isolation.py``).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from headworks.node.services.metadata import served as metadata
from headworks.node.services.metadata import server as metadata_server
from headworks.system import systemd
from headworks.system.netns import in_netns
from metadata_lab import (
    GUESTS,
    NET1,
    NET2,
    PROXY_UNIT,
    ROUTER,
    get,
    guest,
    main_pid,
    proxy,
    router_with_guests,
    run,
    run_for_all_guests,
    tree,
)
from modules import run_module


@pytest.fixture(scope="module")
def wires() -> Iterator[None]:
    with router_with_guests():
        yield


@pytest.fixture
def clean(wires: None) -> Iterator[None]:
    yield
    run([], [])


def test_each_guest_reads_its_own_tree(clean: None) -> None:
    run_for_all_guests()
    for name in GUESTS:
        assert get(name, "/latest/meta-data/hostname") == (200, name.encode())
    assert get("a", "/openstack/latest/meta_data.json") == (200, b'{"uuid": "1"}')


def test_user_data_is_served_byte_for_byte(clean: None) -> None:
    run_for_all_guests()
    assert get("a", "/latest/user-data") == (200, "#!/bin/sh\necho secret of a ü\n\n".encode())


def test_listings_are_like_those_of_ec2_with_and_without_the_last_slash(clean: None) -> None:
    run_for_all_guests()
    listing = (200, b"hostname\nplacement/\npublic-keys/")
    assert get("a", "/latest/meta-data/") == listing
    assert get("a", "/2009-04-04/meta-data") == listing
    assert get("a", "/latest/meta-data/public-keys/") == (200, b"0=ops")
    assert get("a", "/latest/meta-data/public-keys") == (200, b"0=ops")
    assert get("a", "/latest/meta-data/public-keys/0/") == (200, b"openssh-key")
    assert get("a", "/latest/meta-data/public-keys/0/openssh-key") == (200, b"ssh-ed25519 AAAA ops")
    assert get("a", "/") == (200, b"2009-04-04/\nlatest/\nopenstack/")


def test_a_missing_path_is_404_and_other_methods_than_get_and_head_are_405(clean: None) -> None:
    run_for_all_guests()
    assert get("a", "/latest/meta-data/ramdisk-id")[0] == 404
    assert get("a", "/latest/meta-data/hostname/")[0] == 404
    assert get("a", "/latest/meta-data/.listing")[0] == 404
    assert get("a", "/latest/meta-data/hostname", method="HEAD") == (200, b"")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        assert get("a", "/latest/meta-data/hostname", method=method)[0] == 405


def test_a_second_run_changes_nothing_and_restarts_nothing(clean: None) -> None:
    desired = [tree("a"), tree("b"), tree("c")]
    first = run([proxy()], desired, check=True)
    assert not metadata.ROOT.exists()
    result = run([proxy()], desired)
    assert result.changes == first.changes
    pids = {unit: main_pid(unit) for unit in (PROXY_UNIT, metadata_server.UNIT)}
    assert not run([proxy()], desired).changed
    assert {unit: main_pid(unit) for unit in (PROXY_UNIT, metadata_server.UNIT)} == pids


def test_a_changed_tree_is_replaced_and_the_old_tree_is_deleted(clean: None) -> None:
    run_for_all_guests()
    changed = tree("a", **{"2009-04-04/meta-data/hostname": "renamed"})
    result = run([proxy()], [changed, tree("b"), tree("c")])
    assert [(change["verb"], change["name"]) for change in result.changes] == [("change", f"{NET1}/10.18.0.3")]
    assert get("a", "/latest/meta-data/hostname") == (200, b"renamed")
    assert len(list((metadata.ROOT / "trees").iterdir())) == 3


def test_the_diff_shows_paths_and_digests_but_no_content(clean: None) -> None:
    run_for_all_guests()
    result = run([proxy()], [tree("a", **{"2009-04-04/user-data": "password: hunter2"}), tree("b"), tree("c")])
    change = result.changes[0]
    assert "hunter2" not in repr(result)
    assert "secret" not in repr(result)
    before, after = change["before"]["files"], change["after"]["files"]
    assert before["2009-04-04/user-data"] != after["2009-04-04/user-data"]
    assert before["2009-04-04/meta-data/hostname"] == after["2009-04-04/meta-data/hostname"]
    assert before["latest"] == after["latest"] == "-> 2009-04-04"


def test_for_another_list_of_networks_the_proxy_is_reloaded_and_running_requests_are_answered(clean: None) -> None:
    run_for_all_guests()
    before = main_pid(PROXY_UNIT)
    with in_netns(guest("a")):
        slow = socket.create_connection(("169.254.169.254", 80), timeout=5)
    slow.sendall(b"GET /latest/meta-data/hostname HTTP/1.1\r\nHost: x\r\n")
    time.sleep(0.2)
    run([replace(proxy(), networks=proxy().networks[:1])], [tree("a"), tree("b"), tree("c")])
    slow.sendall(b"Connection: close\r\n\r\n")
    assert b"200 OK" in slow.recv(4096)
    slow.close()
    assert main_pid(PROXY_UNIT) == before
    end = time.monotonic() + 3
    while get("c", "/latest/meta-data/hostname")[0] != 404 and time.monotonic() < end:
        time.sleep(0.05)
    assert get("c", "/latest/meta-data/hostname")[0] == 404
    assert get("a", "/latest/meta-data/hostname") == (200, b"a")


def test_no_request_fails_while_trees_and_networks_change(clean: None) -> None:
    run_for_all_guests()
    with in_netns(guest("b")):
        connections = [socket.create_connection(("169.254.169.254", 80), timeout=5) for _ in range(40)]
    statuses: list[bytes] = []

    def ask() -> None:
        for connection in connections:
            connection.sendall(b"GET /latest/meta-data/hostname HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            statuses.append(connection.recv(4096)[:12])
            connection.close()
            time.sleep(0.02)

    asking = threading.Thread(target=ask)
    asking.start()
    for number in range(5):
        run([proxy()], [tree("a", extra=str(number)), tree("b", extra=str(number)), tree("c")])
    asking.join()
    assert set(statuses) == {b"HTTP/1.1 200"}


def test_systemd_restarts_killed_daemons(clean: None) -> None:
    run_for_all_guests()
    for unit in (PROXY_UNIT, metadata_server.UNIT):
        os.kill(main_pid(unit), signal.SIGKILL)
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
    run_for_all_guests()
    systemd.stop([PROXY_UNIT, metadata_server.UNIT])
    assert {change["name"] for change in run_for_all_guests().changes} == {ROUTER, "server"}
    assert get("a", "/latest/meta-data/hostname") == (200, b"a")


def test_the_next_run_completes_an_interrupted_run(clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    run_for_all_guests()
    renamed = [tree("a", **{"2009-04-04/meta-data/hostname": "renamed"}), tree("b"), tree("c")]
    with monkeypatch.context() as patch:
        patch.setattr(metadata.trees, "remove_unused", lambda root: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run([proxy()], renamed)
    assert [change["name"] for change in run([proxy()], renamed).changes] == ["server"]
    assert len(list((metadata.ROOT / "trees").iterdir())) == 3
    assert not run([proxy()], renamed).changed


def test_removed_instances_and_proxies_leave_no_file_and_others_stay(clean: None) -> None:
    run_for_all_guests()
    assert not run([], [], owner="another-cloud").changed
    run([proxy()], [tree("a")])
    assert get("b", "/latest/meta-data/hostname")[0] == 404
    assert not (metadata.ROOT / "instances" / NET2).exists()
    run([], [])
    assert not metadata.ROOT.exists()
    assert not Path(metadata_server.SOCKET).parent.exists()
    assert not systemd.read_states("headworks-metadata*")
    assert not list(systemd.RUNTIME_DIR.glob("headworks-metadata*"))
    assert not run([], []).changed


def test_a_thousand_instances_are_compared_quickly(clean: None) -> None:
    many = [
        replace(tree("a", n=str(number)), address=f"10.18.{number // 250}.{number % 250 + 1}") for number in range(1000)
    ]
    start = time.monotonic()
    run([proxy()], many)
    created = time.monotonic() - start
    start = time.monotonic()
    assert not run([proxy()], many).changed
    second = time.monotonic() - start
    print(f"1000 trees: created in {created * 1000:.0f} ms, second run {second * 1000:.0f} ms")
    assert second < 1


def test_a_cloud_does_not_change_what_the_modules_alone_made(clean: None) -> None:
    networks = [{"network_id": NET1, "cidr": "10.18.0.0/24"}]
    instance = {"network_id": NET1, "address": "10.18.0.3"}
    files = {"latest/meta-data/hostname": "alone", "latest/user-data": "secret of module"}
    answers = [
        run_module("metadata_tree", diff=True, files=files, **instance),
        run_module("metadata_proxy", name=ROUTER, networks=networks),
    ]
    assert all(answer["changed"] for answer in answers), answers
    assert "secret" not in repr(answers)
    assert get("a", "/latest/meta-data/hostname") == (200, b"alone")
    assert not run_module("metadata_tree", files=files, **instance)["changed"]
    assert not run_module("metadata_proxy", name=ROUTER, networks=networks)["changed"]
    assert not run([], []).changed
    assert get("a", "/latest/user-data") == (200, b"secret of module")
    assert "path" in run_module("metadata_tree", files={"../evil": "x"}, **instance)["msg"]
    assert run_module("metadata_tree", state="absent", **instance)["changed"]
    assert run_module("metadata_proxy", name=ROUTER, state="absent")["changed"]
    assert not metadata.ROOT.exists()
    log = subprocess.run(["journalctl", "--since=-1min", "--no-pager"], check=True, capture_output=True)
    assert b"Invoked with" in log.stdout  # Ansible logs the arguments of modules
    assert b"secret of module" not in log.stdout

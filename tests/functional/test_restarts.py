"""Daemons that crash or are restarted: what they had is back within seconds, without a run.

Section ``boot`` puts the engine and its units on the node; systemd starts the repairs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import small_cloud
from headworks.engine import bytecode
from headworks.engine.converge import ConvergeError, converge
from headworks.engine.doors import converge_document, converge_lock
from headworks.engine.repair import NETWORK
from headworks.node.compute.domains import DomainSubsystem
from headworks.node.underlay import rollback
from headworks.state.codec import encode
from headworks.state.domains import Domain
from headworks.state.places import HEADWORKS_DIR, NODE_STATE
from headworks.state.underlay import NicAttachment

SECONDS = 10.0
GUESTS = ("images", "retention", "disks", "domains")


NIC = NicAttachment("hw-restarts0", "br-ex", "netdev")
ROUTE = "203.0.113.0/24 via 192.0.2.1"


def network_state() -> dict[str, Any]:
    """The node state of the small cloud without its guests, and with a NIC in br-ex."""
    state = small_cloud.state_of_here()
    sections = {name: items for name, items in state["sections"].items() if name in NETWORK}
    return {**state, "sections": {**sections, "underlay": [encode(NIC)]}}


@pytest.fixture(scope="module", autouse=True)
def node() -> Iterator[None]:
    """A node that has converged, with its engine on the disk."""
    for path in Path(HEADWORKS_DIR).glob("node-state.json*"):
        path.unlink()
    subprocess.run(["systemctl", "start", "nftables"], check=True)
    ip("link", "add", NIC.name, "type", "veth", "peer", "hw-restarts1")
    ip("link", "set", NIC.name, "up")
    ip("link", "set", "hw-restarts1", "up")
    ip("address", "add", "192.0.2.5/24", "dev", NIC.name)
    ip("route", "add", *ROUTE.split())
    converge_document(network_state())
    while rollback.confirm().left:
        pass
    yield
    state = network_state()
    converge_document({**state, "sections": {name: [] for name in ("boot", *state["sections"])}})
    rollback.confirm()
    ip("link", "delete", NIC.name)
    assert not Path("/etc/systemd/system/ovs-vswitchd.service.d/headworks.conf").exists()
    subprocess.run(["systemctl", "stop", "nftables"], check=True)
    subprocess.run(["systemctl", "reset-failed", "headworks-restore"], check=False)
    for path in Path(HEADWORKS_DIR).glob("node-state.json*"):
        path.unlink()


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def show(unit: str, name: str) -> str:
    """A property of a unit."""
    words = ["systemctl", "show", f"--property={name}", "--value", unit]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def repairs(part: str) -> int:
    """How many repairs of ``part`` were completed. (systemd forgets a unit that is inactive.)"""
    words = ["journalctl", "--unit", f"headworks-repair-{part}", "--output=cat", "--boot"]
    log = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return len([line for line in log.splitlines() if line.startswith("Finished ")])


def kill(unit: str) -> Callable[[], None]:
    def killing() -> None:
        os.kill(int(show(unit, "MainPID")), signal.SIGKILL)

    return killing


def systemctl(*words: str) -> Callable[[], None]:
    def calling() -> None:
        subprocess.run(["systemctl", *words], check=True)

    return calling


def differences() -> list[str]:
    """The differences from the declared state."""
    result = converge_document(network_state(), check=True)
    return [f"{change['verb']} {change['kind']} {change['name']}" for change in result.changes]


def seconds_until_repaired(part: str, earlier: int) -> float:
    """Wait until more than the ``earlier`` repairs of ``part`` are complete, and nothing differs."""
    unit, begin = f"headworks-repair-{part}", time.monotonic()
    found = ["the repair did not run"]
    while time.monotonic() - begin < SECONDS:
        time.sleep(0.1)
        if repairs(part) == earlier or show(unit, "ActiveState") != "inactive":
            continue
        found = differences()
        if not found:
            return time.monotonic() - begin
    journal = subprocess.run(
        ["journalctl", "-u", "headworks-*", "-u", "ovs-vswitchd", "-n", "40", "--no-pager"],
        capture_output=True, text=True, check=False,
    )
    raise AssertionError(f"after {SECONDS} s: {found[:5]}\n{journal.stdout}")


DISTURBANCES = {
    "ovs-vswitchd is killed": (kill("ovs-vswitchd"), "switch"),
    "ovsdb-server is killed": (kill("ovsdb-server"), "switch"),
    "openvswitch-switch is restarted": (systemctl("restart", "openvswitch-switch"), "switch"),
    "openvswitch-switch is reloaded": (systemctl("reload", "openvswitch-switch"), "switch"),
    "ovs-vswitchd is restarted": (systemctl("restart", "ovs-vswitchd"), "switch"),
    "ovsdb-server is restarted": (systemctl("restart", "ovsdb-server"), "switch"),
    "nftables is restarted": (systemctl("restart", "nftables"), "filters"),
    "nftables is reloaded": (systemctl("reload", "nftables"), "filters"),
    "nftables is stopped": (systemctl("stop", "nftables"), "filters"),
    "nftables is started": (systemctl("start", "nftables"), "filters"),
}


@pytest.mark.parametrize("name", DISTURBANCES)
def test_the_declared_state_is_back_within_seconds(name: str) -> None:
    disturb, part = DISTURBANCES[name]
    assert differences() == []
    earlier = repairs(part)
    disturb()
    print(f"{name}: {seconds_until_repaired(part, earlier):.1f} s")
    assert "192.0.2.5/24" in ip("address", "show", "dev", NIC.bridge)
    assert ROUTE in ip("route", "show", "dev", NIC.bridge)


def daemons() -> list[str]:
    """The units of the small cloud's daemons."""
    words = ["systemctl", "list-units", "--plain", "--no-legend", "headworks-dhcp@*", "headworks-metadata*"]
    return [line.split()[0] for line in subprocess.run(words, capture_output=True, text=True).stdout.splitlines()]


@pytest.mark.parametrize("crashes", [1, 8])
def test_daemons_that_crash_are_back_as_declared(crashes: int) -> None:
    units = daemons()
    assert {unit.partition("@")[0] for unit in units} == {
        "headworks-dhcp", "headworks-metadata", "headworks-metadata-store.service"
    }  # fmt: skip
    for _ in range(crashes):
        killed = {unit: show(unit, "MainPID") for unit in units}
        for pid in killed.values():
            os.kill(int(pid), signal.SIGKILL)
        begin = time.monotonic()
        while any(show(u, "MainPID") in ("0", killed[u]) or show(u, "ActiveState") != "active" for u in units):
            assert time.monotonic() - begin < SECONDS, [(u, show(u, "ActiveState")) for u in units]
            time.sleep(0.1)
        print(f"daemons are back after {time.monotonic() - begin:.1f} s")
    assert differences() == []


def test_the_python_of_the_node_has_compiled_the_engine() -> None:
    assert [path.suffixes[0] for path in bytecode.DIRECTORY.iterdir()] == [f".{sys.implementation.cache_tag}"]


def test_daemons_that_are_restarted_are_back_as_declared() -> None:
    systemctl("restart", *daemons())()
    assert differences() == []


def test_a_crash_of_libvirtd_leaves_guests_alone(guest: Domain) -> None:
    converge([(DomainSubsystem(guest.cloud), {guest.name: guest})])
    qemu = subprocess.run(["pgrep", "-f", guest.name], capture_output=True, text=True, check=True).stdout
    for _ in range(7):
        killed = show("libvirtd", "MainPID")
        kill("libvirtd")()
        begin = time.monotonic()
        while show("libvirtd", "MainPID") in ("0", killed) or not converged(guest):
            assert time.monotonic() - begin < SECONDS
            time.sleep(0.1)
        print(f"libvirtd is back after {time.monotonic() - begin:.1f} s")
    assert subprocess.run(["pgrep", "-f", guest.name], capture_output=True, text=True, check=True).stdout == qemu


def converged(guest: Domain) -> bool:
    """Whether libvirt answers, and has the guest as declared."""
    try:
        return not converge([(DomainSubsystem(guest.cloud), {guest.name: guest})], check=True).changed
    except ConvergeError:
        return False


def test_a_crash_during_the_repair_is_repaired_too() -> None:
    earlier = repairs("switch")
    for _ in range(4):
        pid = show("ovs-vswitchd", "MainPID")
        os.kill(int(pid), signal.SIGKILL)
        while show("ovs-vswitchd", "MainPID") in ("0", pid) or show("ovs-vswitchd", "ActiveState") != "active":
            time.sleep(0.02)
    seconds_until_repaired("switch", earlier)


def test_a_repair_waits_for_a_run_and_the_start_of_the_daemon_does_not() -> None:
    earlier = repairs("switch")
    with converge_lock():
        systemctl("restart", "openvswitch-switch")()
        time.sleep(1)
        assert show("headworks-repair-switch", "ActiveState") == "activating"
    seconds_until_repaired("switch", earlier)


def test_a_repair_that_fails_is_tried_again_until_it_succeeds() -> None:
    kept = Path(NODE_STATE)
    text = kept.read_text()
    kept.write_text(text.replace('"flows":', '"unknown":'))
    try:
        systemctl("restart", "openvswitch-switch")()
        end = time.monotonic() + SECONDS
        while show("headworks-repair-switch", "ActiveState") != "failed" and time.monotonic() < end:
            time.sleep(0.1)
        assert show("headworks-repair-switch", "ActiveState") == "failed"
        assert show("headworks-repair-switch.timer", "ActiveState") == "active"
        earlier = repairs("switch")
    finally:
        kept.write_text(text)
    seconds_until_repaired("switch", earlier)
    assert show("headworks-repair-switch.timer", "ActiveState") == "inactive"


def test_a_restore_that_fails_is_tried_again_until_it_succeeds() -> None:
    kept = Path(NODE_STATE)
    text = kept.read_text()
    kept.write_text(text.replace('"flows":', '"unknown":'))
    try:
        failed = subprocess.run(["systemctl", "restart", "headworks-restore"], capture_output=True, check=False)
        assert failed.returncode != 0
        assert show("headworks-restore", "ActiveState") == "failed"
        assert show("headworks-restore.timer", "ActiveState") == "active"
    finally:
        kept.write_text(text)
    subprocess.run(["ovs-ofctl", "del-flows", "br-int"], check=True)
    end = time.monotonic() + 30
    while show("headworks-restore", "ActiveState") != "active" and time.monotonic() < end:
        time.sleep(0.2)
    assert show("headworks-restore", "ActiveState") == "active"
    assert show("headworks-restore.timer", "ActiveState") == "inactive"
    assert differences() == []


def test_a_restore_does_not_wait_for_libvirt() -> None:
    """libvirtd hangs in its start: the networks are there nevertheless, and are repaired."""
    kept = Path(NODE_STATE)
    text = kept.read_text()
    drop_in = Path("/run/systemd/system/libvirtd.service.d/hang.conf")
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text("[Service]\nExecStartPre=/usr/bin/sleep 60\n")
    state = json.loads(text)
    state["sections"]["domains"] = small_cloud.state_of_here()["sections"]["domains"]
    kept.write_text(json.dumps(state))
    subprocess.run(["ovs-ofctl", "del-flows", "br-int"], check=True)
    try:
        systemctl("daemon-reload")()
        systemctl("stop", "libvirtd.service")()
        systemctl("start", "libvirtd.socket")()
        systemctl("--no-block", "restart", "headworks-restore")()
        begin = time.monotonic()
        while differences() and time.monotonic() - begin < SECONDS:
            time.sleep(0.2)
        assert differences() == []
        assert show("headworks-restore", "ActiveState") == "activating", "it waits for libvirt now"
        earlier = repairs("switch")
        systemctl("restart", "openvswitch-switch")()
        seconds_until_repaired("switch", earlier)
        assert show("headworks-restore", "ActiveState") == "activating"
    finally:
        drop_in.unlink()
        systemctl("daemon-reload")()
        kept.write_text(text)
        # The restore ends with an error now, which starts its timer.
        for unit in ("headworks-restore", "libvirtd.service", "headworks-restore.timer"):
            subprocess.run(["systemctl", "stop", unit], check=False)
        systemctl("restart", "libvirtd.service")()


def test_stopping_the_guests_unit_stops_no_guest_while_the_node_runs() -> None:
    assert show("headworks-guests", "ActiveState") == "active"
    systemctl("stop", "headworks-guests")()
    words = ["journalctl", "--unit", "headworks-guests", "--output=cat", "--boot"]
    log = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "this node does not shut down: its guests go on" in log
    systemctl("start", "headworks-guests")()

"""Daemons that crash or are restarted: what they had is back within seconds, without a run.

Section ``boot`` puts the engine and its units on the node; systemd starts the repairs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import small_cloud
from headworks.engine.doors import converge_document, converge_lock
from headworks.engine.repair import NETWORK
from headworks.state.places import HEADWORKS_DIR, NODE_STATE

SECONDS = 10.0
GUESTS = ("images", "retention", "disks", "domains")


def network_state() -> dict[str, Any]:
    """The node state of the small cloud without its guests."""
    state = small_cloud.state_of_here()
    return {**state, "sections": {name: items for name, items in state["sections"].items() if name in NETWORK}}


@pytest.fixture(scope="module", autouse=True)
def node() -> Iterator[None]:
    """A node that has converged, with its engine on the disk."""
    for path in Path(HEADWORKS_DIR).glob("node-state.json*"):
        path.unlink()
    subprocess.run(["systemctl", "start", "nftables"], check=True)
    converge_document(network_state())
    yield
    state = network_state()
    converge_document({**state, "sections": {name: [] for name in ("boot", *state["sections"])}})
    assert not Path("/etc/systemd/system/ovs-vswitchd.service.d/headworks.conf").exists()
    subprocess.run(["systemctl", "stop", "nftables"], check=True)
    for path in Path(HEADWORKS_DIR).glob("node-state.json*"):
        path.unlink()


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

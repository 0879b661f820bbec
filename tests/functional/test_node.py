"""A whole node: one call makes it, a second finds nothing to do, a removal leaves no trace, a killed run is completed.

The engine is killed (``SIGKILL``) at chosen ones of its own side effects, counted by Python's audit events, so that no
line of the engine has to know about it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_cloud
from headworks.engine.converge import Result, converge
from headworks.engine.order import pipeline

# What the engine does to the outside world, as the interpreter tells of it before it happens.
EFFECTS = {
    "subprocess.Popen",
    "os.rename",
    "os.mkdir",
    "os.symlink",
    "os.remove",
    "os.rmdir",
    "fcntl.ioctl",
    "socket.connect",
}
KILL_POINTS = 12


def apply(state: Any, check: bool = False) -> Result:
    return converge(pipeline(state), check=check)


@pytest.fixture
def clean() -> Iterator[None]:
    """Nothing of the cloud before, nothing after."""
    apply(small_cloud.nothing())
    yield
    apply(small_cloud.nothing())


def run(*args: str) -> str:
    return subprocess.run(args, capture_output=True, text=True, check=False).stdout


def trace() -> dict[str, Any]:
    """Everything on this node that a cloud could leave behind. Not the base bridges' uuids, not counters."""
    namespaces = sorted(line.split()[0] for line in run("ip", "netns", "list").splitlines())
    bridges = run("ovs-vsctl", "list-br").split()
    units = run("systemctl", "list-units", "--plain", "--no-legend", "headworks-*")
    return {
        "links": sorted(one["ifname"] for one in json.loads(run("ip", "-j", "link"))),
        "namespaces": namespaces,
        "ports": {bridge: sorted(run("ovs-vsctl", "list-ports", bridge).split()) for bridge in bridges},
        "flows": {
            bridge: sorted(line.strip() for line in run("ovs-ofctl", "--no-stats", "dump-flows", bridge).splitlines())
            for bridge in bridges
        },
        "nft": run("nft", "list", "ruleset"),
        "nft in namespaces": {name: run("ip", "netns", "exec", name, "nft", "list", "ruleset") for name in namespaces},
        "units": sorted(line.split()[0] for line in units.splitlines()),
        "domains": sorted(run("virsh", "list", "--all", "--uuid").split()),
        "files": sorted(
            str(path)
            for top in ("/var/lib/headworks", "/run/headworks")
            for path in Path(top).rglob("*")
            if not path.is_dir() and "converge.lock" not in path.name
        ),
    }  # fmt: skip


def test_a_node_is_made_in_one_call_and_a_second_finds_nothing_to_do(clean: None) -> None:
    state = small_cloud.state_of_here()
    assert apply(state).changed
    assert [f"{one['verb']} {one['kind']} {one['name']}" for one in apply(state).changes] == []
    assert "qrouter-" in run("ip", "netns", "list")
    assert "instance-00000001" in run("virsh", "list", "--all")


def test_check_mode_lists_just_what_the_run_then_changes(clean: None) -> None:
    for state in (small_cloud.state_of_here(False), small_cloud.state_of_here(), small_cloud.state_of_here(False)):
        foreseen = apply(state, check=True).changes
        assert foreseen
        assert apply(state).changes == foreseen
        assert apply(state, check=True).changes == []


def test_a_network_and_its_guest_leave_no_trace(clean: None) -> None:
    apply(small_cloud.state_of_here(with_internal2=False))
    before = trace()
    apply(small_cloud.state_of_here())
    assert trace() != before
    apply(small_cloud.state_of_here(with_internal2=False))
    assert trace() == before


def test_foreign_things_survive(clean: None) -> None:
    run("ip", "netns", "add", "qrouter-foreign")
    run("ip", "link", "add", "tapforeign", "type", "dummy")
    run("ip", "link", "add", "brforeign", "type", "bridge")
    run("ovs-vsctl", "add-br", "br-foreign", "--", "set", "Bridge", "br-foreign", "datapath_type=netdev")
    run("ovs-ofctl", "add-flow", "br-foreign", "priority=7,actions=drop")
    run("nft", "add", "table", "ip", "foreign")
    try:
        before = trace()
        apply(small_cloud.state_of_here())
        run("ovs-ofctl", "add-flow", "br-int", "table=60,priority=77,udp,actions=drop")
        apply(small_cloud.state_of_here(False))
        apply(small_cloud.state_of_here())
        assert "priority=77" in run("ovs-ofctl", "dump-flows", "br-int")
        apply(small_cloud.nothing())
        assert trace() == before
    finally:
        run("ip", "netns", "del", "qrouter-foreign")
        run("ip", "link", "del", "brforeign")
        run("ovs-vsctl", "del-br", "br-foreign")
        run("nft", "delete", "table", "ip", "foreign")


def converge_and_die(state: Any, at: int) -> tuple[bool, int]:
    """Converge in a child that is killed before its ``at``-th effect; (killed, effects counted if it was not)."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        effects = 0

        def count(event: str, _args: object) -> None:
            nonlocal effects
            if event in EFFECTS:
                effects += 1
                if effects == at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        status = 1
        try:
            apply(state)
            os.write(writer, str(effects).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as counted:
        number = counted.read()
    if os.WIFSIGNALED(status):
        return True, 0
    assert os.WEXITSTATUS(status) == 0
    return False, int(number)


@pytest.mark.parametrize("direction", ["making", "unmaking"])
def test_a_run_killed_anywhere_is_completed_by_the_next(clean: None, direction: str) -> None:
    full, empty = small_cloud.state_of_here(), small_cloud.nothing()
    start, goal = (empty, full) if direction == "making" else (full, empty)
    apply(start)
    killed, effects = converge_and_die(goal, at=0)
    assert not killed
    assert effects > KILL_POINTS
    wanted = trace()
    for point in range(KILL_POINTS):
        apply(start)
        at = 1 + point * (effects - 1) // (KILL_POINTS - 1)
        killed, _ = converge_and_die(goal, at)
        assert killed, f"effect {at} of {effects} never came"
        apply(goal)
        assert apply(goal, check=True).changes == [], f"killed before effect {at} of {effects}"
        after = trace()
        assert {key: value for key, value in after.items() if key != "flows"} == {
            key: value for key, value in wanted.items() if key != "flows"
        }, f"killed before effect {at} of {effects}"

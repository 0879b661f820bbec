"""A whole node: one call configures it, a second call changes nothing, a removal leaves no trace, and the next run
completes a killed run.

The tests kill the engine (``SIGKILL``) before chosen side effects. They count side effects by Python's audit events, so
the engine has no code for these tests.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_cloud
from headworks.engine.converge import ConflictError, Result, converge
from headworks.engine.order import pipeline

REMOVED = Path("/var/lib/headworks/removed")

# The audit events of side effects. The interpreter reports each event before the side effect.
EFFECTS = {
    "subprocess.Popen",
    "os.rename",
    "os.link",
    "os.mkdir",
    "os.symlink",
    "os.remove",
    "os.rmdir",
    "fcntl.ioctl",
    "socket.connect",
}
KILL_POINTS = 12


def run_engine(state: Any, check: bool = False) -> Result:
    return converge(pipeline(state), check=check)


def forget_removed() -> None:
    """Delete what is left of removed guests, as systemd-tmpfiles does after some days."""
    for directory in REMOVED.iterdir() if REMOVED.is_dir() else ():
        shutil.rmtree(directory)


def empty_node() -> None:
    """Remove all objects of the cloud. What is left of removed guests goes with the second run."""
    run_engine(small_cloud.empty_state())
    forget_removed()
    run_engine(small_cloud.empty_state())


@pytest.fixture
def clean() -> Iterator[None]:
    """Remove all objects of the cloud before and after the test."""
    empty_node()
    yield
    empty_node()


def run(*args: str) -> str:
    return subprocess.run(args, capture_output=True, text=True, check=False).stdout


def objects_on_node() -> dict[str, Any]:
    """Return all objects on this node that a cloud could leave behind, without uuids and counters."""
    namespaces = sorted(line.split()[0] for line in run("ip", "netns", "list").splitlines())
    bridges = run("ovs-vsctl", "list-br").split()
    units = run("systemctl", "list-units", "--plain", "--no-legend", "headworks-*")
    return {
        "links": sorted(link["ifname"] for link in json.loads(run("ip", "-j", "link"))),
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
            re.sub(rf"^({REMOVED}/[^/]*)[.][0-9]+/", r"\1/", str(path))  # without the time of the removal
            for top in ("/var/lib/headworks", "/run/headworks")
            for path in Path(top).rglob("*")
            if not path.is_dir() and "converge.lock" not in path.name
        ),
    }  # fmt: skip


def test_one_call_configures_a_node_and_a_second_call_changes_nothing(clean: None) -> None:
    state = small_cloud.state_of_here()
    assert run_engine(state).changed
    assert [f"{change['verb']} {change['kind']} {change['name']}" for change in run_engine(state).changes] == []
    assert "qrouter-" in run("ip", "netns", "list")
    assert "instance-00000001" in run("virsh", "list", "--all")


def test_check_mode_lists_exactly_the_changes_of_the_next_run(clean: None) -> None:
    less, more = small_cloud.state_of_here(False), small_cloud.state_of_here()
    for state in (less, more, less, more):  # in the last state a removed guest comes back
        checked = run_engine(state, check=True).changes
        assert checked
        assert run_engine(state).changes == checked
        assert run_engine(state, check=True).changes == []


def test_a_removed_network_and_its_guest_leave_no_object(clean: None) -> None:
    run_engine(small_cloud.state_of_here(with_internal2=False))
    before = objects_on_node()
    run_engine(small_cloud.state_of_here())
    assert objects_on_node() != before
    run_engine(small_cloud.state_of_here(with_internal2=False))
    assert sorted(path.name for path in REMOVED.glob("*/*")) == [
        "disk", "disk.info", "domain.xml", "headworks.json", "removed.json",
    ]  # fmt: skip
    forget_removed()
    assert objects_on_node() == before


def test_a_guest_that_the_call_does_not_list_is_not_removed(clean: None) -> None:
    run_engine(small_cloud.state_of_here())
    before = objects_on_node()
    (uuid,) = {disk["name"] for disk in small_cloud.state_of_here()["sections"]["disks"]} - {
        disk["name"] for disk in small_cloud.state_of_here(False)["sections"]["disks"]
    }
    for check in (True, False):
        with pytest.raises(ConflictError, match=rf"1 guest would be removed .*vm3 \({uuid}: disk and domain\)"):
            converge(pipeline(small_cloud.state_of_here(False)), check=check, removable=[])
    assert objects_on_node() == before
    result = converge(pipeline(small_cloud.state_of_here(False)), removable=[], restore=True)
    assert {change["kind"] for change in result.changes} & {"disk", "domain", "image"} == set()
    assert any("vm3" in note.text for note in result.notes)
    assert {key: value for key, value in objects_on_node().items() if key == "domains"} == {
        "domains": before["domains"]
    }
    converge(pipeline(small_cloud.state_of_here(False)), removable=[uuid])
    assert uuid not in objects_on_node()["domains"]


def test_foreign_objects_stay(clean: None) -> None:
    run("ip", "netns", "add", "qrouter-foreign")
    run("ip", "link", "add", "tapforeign", "type", "dummy")
    run("ip", "link", "add", "brforeign", "type", "bridge")
    run("ovs-vsctl", "add-br", "br-foreign", "--", "set", "Bridge", "br-foreign", "datapath_type=netdev")
    run("ovs-ofctl", "add-flow", "br-foreign", "priority=7,actions=drop")
    run("nft", "add", "table", "ip", "foreign")
    try:
        before = objects_on_node()
        run_engine(small_cloud.state_of_here())
        run("ovs-ofctl", "add-flow", "br-int", "table=60,priority=77,udp,actions=drop")
        run_engine(small_cloud.state_of_here(False))
        run_engine(small_cloud.state_of_here())
        assert "priority=77" in run("ovs-ofctl", "dump-flows", "br-int")
        empty_node()
        assert objects_on_node() == before
    finally:
        run("ip", "netns", "del", "qrouter-foreign")
        run("ip", "link", "del", "brforeign")
        run("ovs-vsctl", "del-br", "br-foreign")
        run("nft", "delete", "table", "ip", "foreign")


def run_and_kill(state: Any, kill_at: int) -> tuple[bool, int]:
    """Run the engine in a child process that kills itself before side effect number ``kill_at`` (0: never). Returns
    whether the child was killed, and the number of side effects of a child that was not."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        effects = 0

        def count(event: str, _args: object) -> None:
            nonlocal effects
            if event in EFFECTS:
                effects += 1
                if effects == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        status = 1
        try:
            run_engine(state)
            os.write(writer, str(effects).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as pipe:
        number = pipe.read()
    if os.WIFSIGNALED(status):
        return True, 0
    assert os.WEXITSTATUS(status) == 0
    return False, int(number)


@pytest.mark.parametrize("direction", ["creating", "returning", "removing"])
def test_the_next_run_completes_a_run_that_was_killed_at_any_point(clean: None, direction: str) -> None:
    full, empty = small_cloud.state_of_here(), small_cloud.empty_state()
    start, goal = (full, empty) if direction == "removing" else (empty, full)

    def begin() -> None:
        if direction == "creating":
            empty_node()  # otherwise the guests come back with their disks
        run_engine(start)

    if direction == "returning":
        run_engine(full)
    begin()
    killed, effects = run_and_kill(goal, kill_at=0)
    assert not killed
    assert effects > KILL_POINTS
    expected = objects_on_node()
    for point in range(KILL_POINTS):
        begin()
        kill_at = 1 + point * (effects - 1) // (KILL_POINTS - 1)
        killed, _ = run_and_kill(goal, kill_at)
        assert killed, f"side effect {kill_at} of {effects} did not happen"
        run_engine(goal)
        assert run_engine(goal, check=True).changes == [], f"killed before side effect {kill_at} of {effects}"
        actual = objects_on_node()
        assert {key: value for key, value in actual.items() if key != "flows"} == {
            key: value for key, value in expected.items() if key != "flows"
        }, f"killed before side effect {kill_at} of {effects}"

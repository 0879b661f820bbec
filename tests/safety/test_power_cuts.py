"""A removal that is killed at any point, and nodes that lose power: no disk is lost, and the next run completes it.

What does not belong here: filesystems (``test_node_faults.py``).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from real_nodes import eventually
from safety_lab import HERE, INSTANCES, REMOVED, SafetyLab, said

CUT = HERE / "on_node/power_cut.py"
STATE = "/var/lib/headworks/node-state.json"
LEAVES, RETURNS = "/var/tmp/safety-leaves.json", "/var/tmp/safety-returns.json"
ENGINE = "python3 /usr/lib/headworks/engine.zip"
POINTS = 14


@pytest.fixture
def documents(cloud: SafetyLab) -> SafetyLab:
    """The cloud, with two documents on node2: without db2, which may be removed, and with it."""
    cloud.guests(lambda groups: groups["db"]["hosts"].pop("db2"))
    cloud.site().must_succeed()
    leaves = json.loads(cloud.on("node2", f"cat {STATE}"))
    cloud.comes_back()
    returns = json.loads(cloud.on("node2", f"cat {STATE}"))
    leaves.update({key: returns[key] for key in ("serial", "digest")}, removals=[cloud.ids["db2"]])
    for path, document in ((LEAVES, leaves), (RETURNS, returns)):
        cloud.put("node2", path, json.dumps(document))
    return cloud


def after(cloud: SafetyLab, *commands: str) -> list[str]:
    """Run commands of the engine on node2, and return after each of them where the disk of db2 is: ``instances`` or
    ``removed``. There must be one directory of db2, with its disk: the same file as before."""
    disks = f"{INSTANCES}/{cloud.ids['db2']}*/disk {REMOVED}/{cloud.ids['db2']}*/disk"
    look = f"stat -c '%i %n' $(ls -d {disks} 2>/dev/null)"
    script = " && ".join(f"{ENGINE} {command} >&2 && {look}" if command else look for command in commands)
    lines = [line.split() for line in cloud.on("node2", script).splitlines()]
    inode = str(cloud.before["node2"]["disks"]["db2"]["inode"])
    assert [line[0] for line in lines] == [inode] * len(commands)
    return [Path(path).parts[4] for _, path in lines]


def chosen(changes: list[str]) -> list[int]:
    """Numbers of changes at which to cut the power: all that concern the guest itself, and others in between."""
    guest = ("libvirt", "/removed/", "/instances/")
    about = [number for number, text in enumerate(changes, 1) if any(word in text for word in guest)]
    rest = [number for number in range(1, len(changes) + 1) if number not in about]
    spread = rest[:: max(1, len(rest) // 5)]
    return sorted({*about[:: max(1, len(about) // POINTS)], *spread})


@pytest.mark.parametrize("document", [LEAVES, RETURNS], ids=["removal", "return"])
def test_a_power_cut_at_any_point_loses_no_disk(documents: SafetyLab, document: str) -> None:
    """After each cut the node restores itself, as at boot, and then the run is repeated."""
    cloud = documents
    there, back = ("removed", "instances") if document == LEAVES else ("instances", "removed")
    forth, home = f"apply {document}", f"apply {RETURNS if document == LEAVES else LEAVES}"
    assert after(cloud, home) == [back]
    changes: list[str] = json.loads(cloud.run_script("node2", CUT, document, "0").splitlines()[-1])
    assert after(cloud, "", home) == [there, back]
    points = chosen(changes)
    assert len(points) >= 10, changes
    for point in points:
        script = cloud.start_script("node2", CUT, document, str(point))
        script.process.communicate(timeout=120)
        assert script.process.returncode != 0, f"not killed at {point}: {changes[point - 1]}"
        places = after(cloud, "", "restore", forth, home)
        assert places[2:] == [there, back], f"killed before {changes[point - 1]}: {places}"
    assert after(cloud, f"apply {RETURNS}") == ["instances"]


def test_a_node_that_loses_power_during_a_removal(cloud: SafetyLab) -> None:
    """The container is killed with everything in it, while the engine removes db2."""
    cloud.guests(lambda groups: groups["db"]["hosts"].pop("db2"))
    running = cloud.start_site()
    uuid = cloud.ids["db2"]
    removing = cloud.node("node2")
    eventually(lambda: removing.run(f"ls -d {REMOVED}/{uuid}.*").rc == 0, "db2 is set aside", pause_s=0.05)
    cloud.power_cut("node2")
    running.wait()
    cloud.nothing_is_lost(moved=["db2"])
    cloud.comes_back()


def test_a_torn_node_state_after_a_power_cut(cloud: SafetyLab) -> None:
    """The document has no content any more: a run says so, and at boot the node restores itself from its previous one.
    That may be of another plan, so the next run may have something to do."""
    cloud.on("node2", f": > {STATE}")
    told = cloud.site().must_succeed()
    assert f"nodes.node2: {STATE} is empty" in said(told)
    cloud.is_as_before()
    cloud.on("node2", f": > {STATE}")
    cloud.power_cut("node2")
    assert f"{STATE} is empty" in cloud.on("node2", "journalctl -b -u headworks-restore --no-pager -o cat")
    cloud.nothing_is_lost()
    cloud.comes_back()


def test_a_node_whose_documents_are_all_torn_keeps_its_guests(cloud: SafetyLab) -> None:
    cloud.on("node2", f": > {STATE}; : > {STATE}.prev")
    cloud.power_cut("node2")
    assert "nothing is restored; run site.yml" in cloud.on(
        "node2", "journalctl -b -u headworks-restore --no-pager -o cat"
    )
    cloud.nothing_is_lost()
    cloud.comes_back()

"""Filesystems that are not mounted or full, and nodes that are dead.

What does not belong here: single disks and marks (``test_disk_faults.py``), and power cuts (``test_power_cuts.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from safety_lab import GUESTS, INSTANCES, SafetyLab, said

TOP = "/var/lib/headworks"
UNIT = "var-lib-headworks-instances.mount"
MOUNT = f"""[Mount]
What=tmpfs
Where={INSTANCES}
Type=tmpfs
Options=mode=0711
[Install]
WantedBy=local-fs.target
"""


@contextmanager
def hidden(cloud: SafetyLab, path: str) -> Iterator[None]:
    """An empty filesystem over a directory of node2, as if its own were not mounted."""
    cloud.on("node2", f"mount -t tmpfs -o mode=0711,size=16m tmpfs {path}")
    try:
        yield
    finally:
        cloud.on("node2", f"umount {path}")


def told_and_nothing_made(cloud: SafetyLab) -> None:
    """Run site.yml: it fails, names every guest of node2 whose disk is missing, and makes, starts and stops none."""
    run = cloud.site()
    assert run.rc != 0, run.output[-4000:]
    text = said(run)
    for name in GUESTS["node2"]:
        assert re.search(rf"instance {name}: its disk \S+ is missing", text), run.output[-4000:]
    assert "probably a filesystem is not mounted: mount it" in text
    assert not [change for change in run.changes() if change[1] in ("disk", "domain")]


# --- filesystems -----------------------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_the_filesystem_of_the_disks_is_not_mounted(cloud: SafetyLab) -> None:
    with hidden(cloud, INSTANCES):
        told_and_nothing_made(cloud)
        assert cloud.on("node2", f"find {INSTANCES} -name disk") == ""
    cloud.is_as_before()


def test_the_filesystem_of_everything_is_not_mounted(cloud: SafetyLab) -> None:
    with hidden(cloud, TOP):
        told_and_nothing_made(cloud)
        assert cloud.on("node2", f"find {TOP} -name disk") == ""
    cloud.comes_back()


def test_the_filesystem_of_the_disks_is_not_mounted_at_boot(cloud: SafetyLab) -> None:
    cloud.on("node2", f"cat > /etc/systemd/system/{UNIT} <<'END'\n{MOUNT}END\nsystemctl enable {UNIT}")
    try:
        cloud.power_cut("node2")
        cloud.on("node2", f"mountpoint {INSTANCES}")
        journal = cloud.on("node2", "journalctl -b -u headworks-restore --no-pager -o cat")
        for name in GUESTS["node2"]:
            assert re.search(rf"instance {name}: its disk \S+ is missing", journal), journal
        assert "probably a filesystem is not mounted: mount it" in journal
        assert cloud.on("node2", f"find {INSTANCES} -name disk") == ""
        assert cloud.on("node2", "virsh --quiet list --name").split() == []
    finally:
        cloud.on("node2", f"systemctl disable {UNIT} && umount {INSTANCES} && rm /etc/systemd/system/{UNIT}"
                          " && systemctl daemon-reload")  # fmt: skip
    # The way back that the message names.
    cloud.on("node2", "systemctl restart headworks-restore")
    cloud.is_as_before()


def test_a_full_filesystem(cloud: SafetyLab) -> None:
    """Nothing can be written: a new guest is refused, and a guest that cannot be set aside stays."""
    copy = "/var/tmp/full"
    full = f"nr_inodes=$(df --output=iused {copy} | tail -n 1 | tr -d ' ')"
    cloud.on("node2", f"mkdir {copy} && mount -t tmpfs -o mode=0711,size=64m tmpfs {copy}"
                      f" && cp -a --sparse=always {TOP}/. {copy}/ && mount --bind {copy} {TOP}")  # fmt: skip
    try:
        cloud.on("node2", f"! dd if=/dev/zero of={TOP}/filler bs=4k && mount -o remount,{full} {copy}")
        cloud.guests(lambda groups: groups["db"]["hosts"].update(db3={"instance_host": "node2"}))
        run = cloud.site()
        assert run.rc != 0
        assert "No valid host was found for instance db3" in said(run)
        cloud.restore_inventory()
        cloud.guests(lambda groups: groups["db"]["hosts"].pop("db2"))
        run = cloud.site()
        assert run.rc != 0
        assert f"No space left on device: '{TOP}/" in said(run)
        assert cloud.on("node2", f"ls {TOP}/*/{cloud.ids['db2']}*/disk").count("/disk") == 1
        # The way back: make room, and run again.
        cloud.on("node2", f"rm {TOP}/filler && mount -o remount,nr_inodes=100000 {copy}")
        cloud.site().must_succeed()
        assert cloud.observe()["node2"]["disks"]["db2"]["marker"] == "kept"
        cloud.restore_inventory()
        cloud.site().must_succeed()
        assert cloud.observe()["node2"]["disks"]["db2"]["place"] == "instances"
    finally:
        cloud.on("node2", f"umount {TOP}; umount {copy}; rmdir {copy}")


# --- dead nodes ------------------------------------------------------------------------------------------------------


def test_a_dead_node_keeps_its_guests_and_their_addresses(cloud: SafetyLab) -> None:
    """db2 is removed while its node is dead: its address is not given to a new guest, because db2 still has it."""
    address = cloud.allocated["instances"]["db2"]["ports"]["internal"][1]
    cloud.podman("pause", "node2")
    try:
        cloud.guests(lambda groups: groups["db"]["hosts"].pop("db2"))
        cloud.guests(lambda groups: groups["web"]["hosts"].update(new={"instance_host": "node1"}))
        run = cloud.site("--timeout", "5")
        assert run.failures() == {"node2": "unreachable"}
        assert "node2: does not answer" in said(run)
        new = cloud.read_allocations()["instances"]["new"]
        assert new["ports"]["internal"][1] != address
        # With the allocations lost as well, nothing can tell what the dead node holds.
        kept = {path: path.read_bytes() for path in cloud.allocations.parent.glob("allocations.yml*")}
        for path in kept:
            path.unlink()
        lost = cloud.site("--timeout", "5")
        for path, content in kept.items():
            path.write_bytes(content)
        assert lost.rc != 0
        assert "it can be rebuilt from the nodes, but node2 does not answer" in said(lost)
    finally:
        cloud.podman("unpause", "node2")
    cloud.comes_back()

"""Disks and their marks that are not as headworks made them. A disk that exists is never written over or made again.

What does not belong here: filesystems that are missing or full (``test_node_faults.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ansible_run import Run
from safety_lab import SafetyLab, said

SAVED = "/var/tmp/safety-disk"


@contextmanager
def disk_of(cloud: SafetyLab, guest: str) -> Iterator[str]:
    """The path of a disk on node1; afterwards the file has its content of before again."""
    path = f"{cloud.directory(guest)}/disk"
    cloud.on("node1", f"cp --sparse=always {path} {SAVED}")
    try:
        yield path
    finally:
        cloud.on("node1", f"cp --sparse=always {SAVED} {path} && rm {SAVED}")


def run_without_changes(cloud: SafetyLab) -> Run:
    """Run site.yml; no disk and no guest is changed."""
    run = cloud.site().must_succeed()
    assert not [change for change in run.changes() if change[1] in ("disk", "domain")]
    return run


@pytest.mark.smoke
def test_a_flattened_disk_is_kept(cloud: SafetyLab) -> None:
    with disk_of(cloud, "web1") as path:
        cloud.on("node1", f"qemu-img rebase -f qcow2 -b '' {path}")
        run = run_without_changes(cloud)
        assert "instance web1: its disk is not based on an image" in said(run)
        assert "the disk is kept" in said(run)
        cloud.nothing_is_lost()


def test_a_disk_that_was_converted_to_raw_is_kept(cloud: SafetyLab) -> None:
    with disk_of(cloud, "web1") as path:
        cloud.on("node1", f"qemu-img convert -O raw {path} {path}.raw && cp --sparse=always {path}.raw {path}"
                          f" && rm {path}.raw")  # fmt: skip
        run = run_without_changes(cloud)
        assert "instance web1: its disk" in said(run)
        assert "the disk is kept" in said(run)
        cloud.nothing_is_lost()


def test_a_disk_with_an_unreadable_header_is_kept(cloud: SafetyLab) -> None:
    with disk_of(cloud, "web1") as path:
        cloud.on("node1", f"dd if=/dev/zero of={path} bs=512 count=1 conv=notrunc status=none")
        torn = cloud.on("node1", f"sha256sum {path}")
        run = run_without_changes(cloud)
        assert "instance web1: its disk" in said(run)
        assert "the disk is kept" in said(run)
        assert cloud.on("node1", f"sha256sum {path}") == torn


def test_an_empty_disk_file_is_not_filled(cloud: SafetyLab) -> None:
    """What a torn copy leaves: a file of zero bytes. It may still be filled by whoever copies it."""
    with disk_of(cloud, "web1") as path:
        cloud.on("node1", f"truncate -s 0 {path}")
        run = run_without_changes(cloud)
        assert "instance web1: its disk" in said(run)
        assert cloud.on("node1", f"stat -c %s {path}").strip() == "0"


def test_a_running_guest_with_an_external_snapshot_is_left_alone(cloud: SafetyLab) -> None:
    domain = cloud.before["node1"]["domains"]["run1"]["name"]
    overlay = f"{cloud.directory('run1')}/before-upgrade"
    cloud.on("node1", f"virsh snapshot-create-as {domain} upgrade --disk-only --atomic --no-metadata"
                      f" --diskspec vda,file={overlay}")  # fmt: skip
    try:
        run = run_without_changes(cloud)
        assert "instance run1" in said(run)
        assert overlay in said(run)
        assert cloud.on("node1", f"virsh domblklist {domain}").count(overlay) == 1
        cloud.nothing_is_lost()
    finally:
        # Without --shallow, the disk itself would be merged into the base image, which other guests use.
        cloud.on("node1", f"virsh blockcommit {domain} vda --active --shallow --pivot --wait && rm {overlay}")


def test_a_disk_that_is_missing_is_not_replaced_by_a_blank_one(cloud: SafetyLab) -> None:
    path = f"{cloud.directory('web1')}/disk"
    cloud.on("node1", f"mv {path} /var/lib/headworks/elsewhere")
    try:
        run = cloud.site()
        assert "web1" in said(run)
        assert "missing" in said(run)
        assert cloud.node("node1").run(f"test -e {path}").rc == 1
    finally:
        cloud.on("node1", f"mv /var/lib/headworks/elsewhere {path}")


@pytest.mark.parametrize("files", ["headworks.json", "headworks.json headworks.json.prev"])
def test_a_torn_mark_does_not_make_a_disk_a_strangers_disk(cloud: SafetyLab, files: str) -> None:
    """The mark is torn, and its previous version too: the disk of a declared guest stays its disk."""
    cloud.on("node1", f"cd {cloud.directory('web1')} && for f in {files}; do : > $f; done")
    run = cloud.site().must_succeed()
    assert "instance web1" in said(run)
    assert "headworks.json" in said(run)
    cloud.is_as_before()


def test_a_guest_with_a_torn_mark_is_not_forgotten_when_it_is_removed(cloud: SafetyLab) -> None:
    """The node state before says whose disk it is, so it is kept like that of any other removed guest."""
    cloud.on("node1", f"cd {cloud.directory('web1')} && : > headworks.json && rm -f headworks.json.prev")
    cloud.guests(lambda groups: groups["web"]["hosts"].pop("web1"))
    run = cloud.site().must_succeed()
    assert "headworks.json is empty" in said(run)
    cloud.nothing_is_lost(moved=["web1"])
    cloud.comes_back()


def test_a_guest_that_two_nodes_hold_is_refused(cloud: SafetyLab) -> None:
    """A copy of a guest's directory was restored on another node: nobody but its owner knows which is the right one."""
    copy = cloud.directory("db2")
    cloud.on("node1", f"mkdir -m 711 {copy} && qemu-img create -q -f qcow2 {copy}/disk 1G")
    cloud.on("node1", f"cat > {copy}/headworks.json <<'END'\n{cloud.on('node2', f'cat {copy}/headworks.json')}END")
    try:
        cloud.refused("instances.db2: is held by node1", "and node2", "an instance is on one node only",
                      "Compare the disks")  # fmt: skip
    finally:
        cloud.on("node1", f"rm -r {copy}")

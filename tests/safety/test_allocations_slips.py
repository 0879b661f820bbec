"""Allocations that are lost, damaged, old or of another cloud. The nodes know better, and nothing is lost.

What does not belong here: slips in the rest of the inventory (``test_inventory_slips.py``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from safety_lab import SafetyLab, said


@pytest.fixture
def file(cloud: SafetyLab) -> Iterator[SafetyLab]:
    """The cloud; a test that fails leaves the allocations as they were."""
    directory = cloud.allocations.parent
    kept = {path: path.read_bytes() for path in directory.glob("allocations.yml*")}
    try:
        yield cloud
    except BaseException:
        for path, content in kept.items():
            path.write_bytes(content)
        raise


def rebuilt(cloud: SafetyLab, *says: str) -> None:
    """Run site.yml: it says that the allocations are rebuilt, and everything is as before."""
    run = cloud.site().must_succeed()
    for phrase in (*says, "are rebuilt from"):
        assert phrase in said(run), run.output[-4000:]
    assert not [change for change in run.changes() if change[1] in ("disk", "domain", "link", "ovs_port")]
    cloud.is_as_before()


@pytest.mark.smoke
def test_a_lost_allocations_file_is_rebuilt_from_the_nodes(file: SafetyLab) -> None:
    """Also its previous version is lost. Addresses, MACs, ids and places are the same afterwards."""
    for path in file.allocations.parent.glob("allocations.yml*"):
        path.unlink()
    rebuilt(file, "cloud_allocations_file: is missing", "node1, node2")


def test_a_truncated_allocations_file_is_rebuilt(file: SafetyLab) -> None:
    text = file.allocations.read_text()
    file.allocations.write_text(text[: len(text) // 2])
    rebuilt(file, "is damaged", "It is now 'allocations.yml.damaged' beside it")


def test_an_empty_allocations_file_is_rebuilt(file: SafetyLab) -> None:
    file.allocations.write_text("")
    rebuilt(file, "cloud_allocations_file: is empty")


def test_a_merge_conflict_in_the_allocations_file(file: SafetyLab) -> None:
    text = file.allocations.read_text()
    file.allocations.write_text(f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n")
    rebuilt(file, "is damaged", "It is now 'allocations.yml.damaged' beside it")


def change_the_cloud(cloud: SafetyLab) -> bytes:
    """Run site.yml twice, there and back. Return the allocations from before, which are then older."""
    older = cloud.allocations.read_bytes()
    other = "  other: {type: vxlan, subnets: {other: {cidr: 10.21.0.0/24, enable_dhcp: false}}}\n"
    cloud.edit("group_vars/all/safety.yml", "  internal:\n    type", f"{other}  internal:\n    type")
    cloud.site().must_succeed()
    cloud.comes_back()
    return older


def test_stale_allocations_are_refused(file: SafetyLab) -> None:
    """``git checkout`` of an older commit: the nodes have applied a newer plan."""
    older = change_the_cloud(file)
    newer = file.allocations.read_bytes()
    file.allocations.write_bytes(older)
    file.refused("is older than what node1 (serial", "this checkout is stale, or another control machine has run since",
                 "git pull", "it is rebuilt from the nodes")  # fmt: skip
    file.allocations.write_bytes(newer)


def test_stale_allocations_are_refused_in_check_mode(file: SafetyLab) -> None:
    older = change_the_cloud(file)
    newer = file.allocations.read_bytes()
    file.allocations.write_bytes(older)
    file.refused("is older than what node1 (serial", options=["--check"])
    file.allocations.write_bytes(newer)


def test_two_control_machines_that_have_diverged(file: SafetyLab) -> None:
    """Both copies were made from one. The first has run; the second adds a guest to the older copy."""
    first = file.allocations.read_bytes()
    file.guests(lambda groups: groups["web"]["hosts"].update(web4={"instance_host": "node1"}))
    file.site().must_succeed()
    newer = file.allocations.read_bytes()
    file.restore_inventory()
    file.allocations.write_bytes(first)
    file.guests(lambda groups: groups["web"]["hosts"].update(web5={"instance_host": "node2"}))
    file.refused("another control machine has run since", "it is rebuilt from the nodes")
    # The way back: the file of the last run. web4 is then a removal like any other.
    file.allocations.write_bytes(newer)
    file.comes_back()


def test_allocations_of_another_lineage_are_refused(file: SafetyLab) -> None:
    kept = file.allocations.read_text()
    lineage = json.loads(kept)["cloud_allocations"]["lineage"]
    file.allocations.write_text(kept.replace(lineage, "11111111-2222-3333-4444-555555555555"))
    file.refused("applied allocations of another lineage", "Use the file of the last run", "it is rebuilt")
    # The way back that the message names: without the file, the nodes tell.
    for path in file.allocations.parent.glob("allocations.yml*"):
        path.unlink()
    rebuilt(file)


def test_allocations_that_were_edited_by_hand_are_refused(file: SafetyLab) -> None:
    kept = file.allocations.read_text()
    data = json.loads(kept)["cloud_allocations"]
    mac = data["instances"]["web1"]["ports"]["internal"][0]
    file.allocations.write_text(kept.replace(mac, "fa:16:3e:00:00:01"))
    file.refused("applied other allocations with the same serial", "the file was edited by hand", "Use the file of")
    file.allocations.write_text(kept)

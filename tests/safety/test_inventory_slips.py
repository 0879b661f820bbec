"""Slips in the inventory and on the command line. Each is refused before anything is changed, or loses nothing.

What does not belong here: the allocations file (``test_allocations_slips.py``), and removals that are meant
(``test_removals.py``).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safety_lab import SafetyLab, said

WEB = ("web1", "web2", "web3")

# --- the inventory is not read, or not all of it ---------------------------------------------------------------------


@pytest.mark.smoke
def test_a_yaml_error_in_a_file_of_guests(cloud: SafetyLab) -> None:
    cloud.edit("instances.yml", "    db:\n      vars:", "    db:\n     vars:")
    cloud.refused("YAML parsing failed", "instances.yml:15")


def test_a_file_of_guests_that_is_empty(cloud: SafetyLab) -> None:
    (cloud.home / "instances.yml").write_text("")
    cloud.refused("instances.yml: is empty; remove the file if this is intended")


def test_a_wrong_indentation_that_is_still_yaml(cloud: SafetyLab) -> None:
    """``vars:`` and ``hosts:`` of group db become groups: Ansible reads it, without db1 and db2."""
    cloud.edit("instances.yml", "    db:\n      vars:\n        instance_state: stopped\n      hosts:\n",
               "    db:\n    vars:\n        instance_state: stopped\n    hosts:\n")  # fmt: skip
    cloud.refused("indented wrongly")


@pytest.mark.smoke
def test_the_file_of_nodes_is_given_instead_of_the_directory(cloud: SafetyLab) -> None:
    cloud.refused(
        "this run would remove 7", "web1", "db2", "GiB", "cloud_confirm_removal=7", sources=[cloud.home / "hosts.yml"]
    )


def test_an_inventory_that_does_not_exist(cloud: SafetyLab) -> None:
    cloud.refused("/no/such/inventory", sources=[Path("/no/such/inventory")])


def test_the_inventory_of_another_cloud_on_the_same_nodes(cloud: SafetyLab) -> None:
    cloud.edit("group_vars/all/safety.yml", "cloud_name: safety", "cloud_name: production")
    cloud.refused("production", "belongs to cloud 'safety'", "and holds its guests", "Set cloud_name back to 'safety'")


def test_the_inventory_of_another_cloud_with_its_own_allocations(cloud: SafetyLab) -> None:
    cloud.edit("group_vars/all/safety.yml", "cloud_name: safety", "cloud_name: production")
    kept = cloud.allocations.read_bytes()
    cloud.allocations.unlink()
    try:
        cloud.refused("belongs to cloud 'safety'", "and holds its guests", "Set cloud_name back to 'safety'")
        assert not cloud.allocations.exists()
    finally:
        cloud.allocations.write_bytes(kept)


# --- names -----------------------------------------------------------------------------------------------------------


def test_the_group_of_some_guests_is_mistyped(cloud: SafetyLab) -> None:
    cloud.edit("instances.yml", "        web:\n", "        wbe:\n")
    cloud.refused("this run would remove 3", *WEB, "cloud_confirm_removal=3")


def test_the_group_of_all_guests_is_mistyped(cloud: SafetyLab) -> None:
    cloud.edit("instances.yml", "    instances:\n", "    instance:\n")
    cloud.refused("this run would remove 7", *WEB, "db2", "run1", "run2")


def test_the_group_of_compute_nodes_is_mistyped(cloud: SafetyLab) -> None:
    cloud.edit("hosts.yml", "    compute:\n", "    computes:\n")
    cloud.refused("node1", "is no longer in group compute, but it has guests", "Put the node back into group compute")


def test_three_guests_are_renamed_at_once(cloud: SafetyLab) -> None:
    for name in WEB:
        cloud.edit("instances.yml", f"{name}:", f"{name.replace('web', 'www')}:")
    cloud.refused("this run would remove 3", *WEB, "cloud_confirm_removal=3")


def test_a_guest_is_renamed_and_renamed_back(cloud: SafetyLab) -> None:
    """One removal is within the limit: the run tells it, keeps the disk, and the old name gets it back."""
    cloud.edit("instances.yml", "web1:", "www1:")
    run = cloud.site().must_succeed()
    assert "- instance web1 on node1: disk" in said(run)
    assert "kept until" in said(run)
    cloud.nothing_is_lost(moved=["web1"])
    cloud.comes_back()


def test_a_node_is_renamed(cloud: SafetyLab) -> None:
    """The node remembers who it was, so its guests stay on it."""
    cloud.edit("hosts.yml", "node2:", "node9:")
    cloud.edit("instances.yml", "instance_host: node2", "instance_host: node9")
    cloud.edit("hosts.yml", "lab_octet: 22", "lab_octet: 22, lab_node: {}")
    run = cloud.site().must_succeed()
    assert "nodes.node9: was converged as node2; it keeps what node2 has" in said(run)
    assert not [change for change in run.changes() if change[3] == "remove" and change[1] in ("disk", "domain")]
    cloud.nothing_is_lost()
    cloud.comes_back()


def test_a_node_is_renamed_but_not_in_its_guests(cloud: SafetyLab) -> None:
    cloud.edit("hosts.yml", "node2:", "node9:")
    cloud.refused("instance_host", "node2")


# --- nodes and guests that leave -------------------------------------------------------------------------------------


def without_hosts(cloud: SafetyLab) -> None:
    """Take ``instance_host`` from the guests: the plan may place them where it wants."""
    for node in ("node1", "node2"):
        cloud.edit("instances.yml", f"instance_host: {node}", "instance_metadata: {}")


def test_a_node_leaves_the_group_of_compute_nodes(cloud: SafetyLab) -> None:
    without_hosts(cloud)
    cloud.edit("hosts.yml", "        node1:\n        node2:\n", "        node1:\n")
    cloud.edit("hosts.yml", "    network:\n      hosts:\n", "    network:\n      hosts:\n        node2:\n")
    cloud.refused("nodes.node2: is no longer in group compute, but it has guests: db1, db2, run2, web3",
                  "They would be created elsewhere with blank disks", "Put the node back")  # fmt: skip


def test_a_node_leaves_the_inventory(cloud: SafetyLab) -> None:
    without_hosts(cloud)
    cloud.edit("hosts.yml", "        node1:\n        node2:\n", "        node1:\n")
    cloud.refused("nodes.node2: is no longer in the inventory, but it has guests: db1, db2, run2, web3",
                  "They would be created elsewhere with blank disks", "Put the node back")  # fmt: skip


@pytest.mark.parametrize("mode", ["run", "check"])
def test_a_group_is_declared_absent(cloud: SafetyLab, mode: str) -> None:
    cloud.edit("instances.yml", "    web:\n      vars:\n        instance_state: stopped",
               "    web:\n      vars:\n        instance_state: absent")  # fmt: skip
    options = ["--check"] if mode == "check" else []
    cloud.refused("this run would remove 3", *WEB, "cloud_confirm_removal=3", options=options)


# --- dynamic inventories ---------------------------------------------------------------------------------------------


def dynamic(cloud: SafetyLab, script: str) -> None:
    """Replace the file of the guests by a script."""
    (cloud.home / "instances.yml").unlink()
    path = cloud.home / "instances.sh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def answer(*missing: str) -> dict[str, Any]:
    """The guests as a dynamic inventory answers them, without those in ``missing``."""
    places = {"web1": "node1", "web2": "node1", "web3": "node2", "db1": "node2", "db2": "node2"}
    common = {"instance_flavor": "m1.nano", "instance_image": "nano", "instance_networks": ["internal"]}
    guests: dict[str, Any] = {
        name: {**common, "instance_host": node, "instance_state": "stopped"} for name, node in places.items()
    }
    guests["db1"]["instance_protected"] = True
    guests |= {"run1": {**common, "instance_host": "node1"}, "run2": {**common, "instance_host": "node2"}}
    kept = {name: variables for name, variables in guests.items() if name not in missing}
    return {"instances": {"hosts": sorted(kept)}, "_meta": {"hostvars": kept}}


def test_a_dynamic_inventory_answers_with_some_guests_only(cloud: SafetyLab) -> None:
    dynamic(cloud, f"cat <<'END'\n{json.dumps(answer(*WEB))}\nEND")
    cloud.refused("this run would remove 3", *WEB)
    dynamic_again(cloud, f"cat <<'END'\n{json.dumps(answer())}\nEND")
    cloud.site().must_succeed()


def dynamic_again(cloud: SafetyLab, script: str) -> None:
    """Replace the script."""
    (cloud.home / "instances.sh").write_text(f"#!/bin/sh\n{script}\n")


def test_a_dynamic_inventory_fails_halfway(cloud: SafetyLab) -> None:
    dynamic(cloud, f"cat <<'END'\n{json.dumps(answer())[:300]}\nEND\nexit 1")
    cloud.refused("instances.sh")


def test_a_dynamic_inventory_answers_with_torn_json(cloud: SafetyLab) -> None:
    dynamic(cloud, f"cat <<'END'\n{json.dumps(answer())[:300]}\nEND")
    cloud.refused("instances.sh")


# --- --limit ---------------------------------------------------------------------------------------------------------


def test_what_limit_leaves_behind_is_told_and_done_in_the_next_run(cloud: SafetyLab) -> None:
    cloud.guests(lambda groups: groups["db"]["hosts"].pop("db2"))
    run = cloud.site("--limit", "node1").must_succeed()
    assert "node2: is not in this run (--limit)" in said(run)
    assert cloud.nothing_is_lost()["node2"]["domains"]["db2"] == cloud.before["node2"]["domains"]["db2"]
    told = cloud.site("-e", "cloud_plan_only=true")
    assert told.rc == 2
    assert "(pending since an earlier run)" in said(told)
    assert "- instance db2 on node2" in said(told)
    cloud.comes_back()


# --- plans -----------------------------------------------------------------------------------------------------------


def test_a_run_that_only_plans_says_what_a_run_would_do_and_changes_nothing(cloud: SafetyLab) -> None:
    cloud.guests(lambda groups: groups["web"]["hosts"].pop("web2"))
    run = cloud.site("-e", "cloud_plan_only=true")
    assert run.rc == 2
    assert "- instance web2 on node1: disk" in said(run)
    cloud.is_as_before()
    cloud.guests(lambda groups: groups.pop("web"))
    cloud.guests(lambda groups: groups["instances"]["children"].pop("web"))
    run = cloud.site("-e", "cloud_plan_only=true")
    assert "A run of this plan would be refused" in said(run)
    assert "this run would remove 3" in said(run)
    cloud.is_as_before()


def test_a_saved_plan_is_refused_when_the_world_has_moved(cloud: SafetyLab, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    cloud.guests(lambda groups: groups["web"]["hosts"].pop("web2"))
    assert cloud.site("-e", "cloud_plan_only=true", "-e", f"cloud_plan_file={file}").rc == 2
    cloud.guests(lambda groups: groups["web"]["hosts"].pop("web1"))
    saved = ("-e", f"cloud_plan_saved={file}")
    cloud.refused("the world has moved since", "now also - instance web1", options=saved)
    shutil.copyfile(cloud.home / "instances.yml", tmp_path / "moved.yml")
    cloud.restore_inventory()
    cloud.guests(lambda groups: groups["web"]["hosts"].pop("web2"))
    cloud.site(*saved).must_succeed()
    cloud.nothing_is_lost(moved=["web2"])
    cloud.comes_back()

"""Removals that are meant: the gate, protected guests, the way back, and the end of what was removed.

What does not belong here: removals by a slip (``test_inventory_slips.py``), and power cuts (``test_power_cuts.py``).
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest
from safety_lab import NODES, REMOVED, SafetyLab, said

WEB = ("web1", "web2", "web3")
RULE = "/etc/tmpfiles.d/headworks.conf"

# --- the gate --------------------------------------------------------------------------------------------------------


def without(cloud: SafetyLab, *names: str) -> None:
    """Take guests out of the inventory."""

    def take(groups: dict[str, dict[str, dict[str, object]]]) -> None:
        for name in names:
            for group in groups.values():
                group.get("hosts", {}).pop(name, None)

    cloud.guests(take)


@pytest.mark.parametrize("mode", [(), ("--check",)], ids=["run", "check"])
def test_more_removals_than_allowed_must_be_confirmed_with_their_number(
    cloud: SafetyLab, mode: tuple[str, ...]
) -> None:
    without(cloud, *WEB)
    cloud.refused("this run would remove 3, more than cloud_removals_without_asking allows (2)", *WEB, "node1",
                  "GiB", "add -e cloud_confirm_removal=3", "Their disks are kept on their nodes",
                  options=mode)  # fmt: skip
    cloud.refused("cloud_confirm_removal: 2: the run would remove 3", *WEB,
                  options=[*mode, "-e", "cloud_confirm_removal=2"])  # fmt: skip
    if mode:
        run = cloud.site(*mode, "-e", "cloud_confirm_removal=3").must_succeed()
        assert ("node1", "disk", cloud.ids["web1"], "remove") in run.changes()
        cloud.is_as_before()


def test_confirmed_removals_are_kept_and_come_back(cloud: SafetyLab) -> None:
    without(cloud, *WEB)
    cloud.site("-e", "cloud_confirm_removal=3").must_succeed()
    cloud.nothing_is_lost(moved=WEB)
    cloud.comes_back()


@pytest.mark.parametrize("how", ["taken out", "absent", "taken out, confirmed"])
def test_a_protected_guest_is_not_removed(cloud: SafetyLab, how: str) -> None:
    if how == "absent":
        cloud.edit("instances.yml", "instance_protected: true", "instance_state: absent")
    else:
        without(cloud, "db1")
    options = ["-e", "cloud_confirm_removal=1"] if how.endswith("confirmed") else []
    cloud.refused("instances.db1: is protected on node2 and must not be removed", "Put it back into the inventory",
                  "set instance_protected: false in a run of its own", options=options)  # fmt: skip


def test_a_guest_is_removed_after_its_protection_in_runs_of_their_own(cloud: SafetyLab) -> None:
    cloud.edit("instances.yml", "instance_protected: true", "instance_protected: false")
    cloud.site().must_succeed()
    without(cloud, "db1")
    cloud.site().must_succeed()
    cloud.nothing_is_lost(moved=["db1"])
    cloud.comes_back()


# --- a node state by hand --------------------------------------------------------------------------------------------


def by_hand(cloud: SafetyLab, guest: str, *removals: str) -> str:
    """Call node_state for node2 without a guest; it must fail. Return what it said."""
    variables = {"node": "node2", "uuid": cloud.ids[guest], "removals": [cloud.ids[name] for name in removals]}
    run = cloud.playbook("tests/safety/playbooks/node_state.yml", "-e", json.dumps(variables))
    assert run.rc != 0, run.output[-4000:]
    return said(run)


def test_a_node_state_by_hand_removes_no_guest_that_it_does_not_list(cloud: SafetyLab) -> None:
    text = by_hand(cloud, "web3")
    assert "1 guest would be removed that this call does not allow to remove: web3" in text
    assert "its key 'removals'" in text
    assert "nothing was changed on this node" in text


def test_a_node_state_by_hand_removes_no_protected_guest(cloud: SafetyLab) -> None:
    text = by_hand(cloud, "db1", "db1")
    assert "1 protected guest would be removed: db1" in text
    assert "nothing was changed on this node" in text


# --- removal and return ----------------------------------------------------------------------------------------------


def test_a_running_guest_is_kept_with_its_console_log_and_returns(cloud: SafetyLab) -> None:
    """The guest is started when it returns, and each start begins a new log (libvirt empties the file)."""
    cloud.on("node1", f"echo 'a line for {cloud.ids['run1']}' >> {cloud.directory('run1')}/console.log")
    without(cloud, "run1")
    cloud.site().must_succeed()
    cloud.nothing_is_lost(moved=["run1"])
    assert cloud.ids["run1"] in cloud.on("node1", f"tail -n 1 {REMOVED}/{cloud.ids['run1']}.*/console.log")
    cloud.comes_back()


def test_a_guest_returns_with_what_an_operator_added_to_it(cloud: SafetyLab) -> None:
    domain = cloud.before["node1"]["domains"]["web1"]["name"]
    device = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
    cloud.on("node1", f'echo "{device}" > /var/tmp/rng.xml && virsh attach-device {domain} /var/tmp/rng.xml --config')
    without(cloud, "web1")
    cloud.site().must_succeed()
    cloud.nothing_is_lost(moved=["web1"])
    cloud.comes_back()
    definition = ET.fromstring(cloud.on("node1", f"virsh dumpxml {domain}"))
    assert definition.findtext("devices/rng/backend") == "/dev/urandom"
    cloud.on("node1", f"virsh detach-device {domain} /var/tmp/rng.xml --config")


def test_the_playbook_restores_what_was_removed(cloud: SafetyLab) -> None:
    without(cloud, "web2")
    cloud.site().must_succeed()
    listed = cloud.playbook("playbooks/removed.yml").must_succeed()
    assert "web2" in said(listed)
    restored = cloud.playbook("playbooks/removed.yml", "-e", "restore=web2").must_succeed()
    assert "Put web2 into the inventory and run site.yml." in said(restored)
    cloud.nothing_is_lost()
    cloud.comes_back()


# --- the end of what was removed -------------------------------------------------------------------------------------


@pytest.fixture
def spare(cloud: SafetyLab) -> SafetyLab:
    """The cloud, with what is left of a removed guest "spare" on node1, which nobody needs."""
    cloud.guests(lambda groups: groups["web"]["hosts"].update(spare={"instance_host": "node1"}))
    cloud.site().must_succeed()
    cloud.restore_inventory()
    cloud.site().must_succeed()
    assert len(left(cloud)) == 1
    return cloud


def left(cloud: SafetyLab) -> list[str]:
    """The directories of removed guests on node1 that have the name "spare"."""
    found = cloud.on("node1", f"grep -ls '\"name\": \"spare\"' {REMOVED}/*/removed.json || true")
    return [line.rpartition("/")[0] for line in found.splitlines()]


def test_what_was_removed_is_reclaimed_after_its_time_and_not_before(spare: SafetyLab) -> None:
    spare.on("node1", "systemd-tmpfiles --clean")
    assert len(left(spare)) == 1
    assert ":7d" in spare.on("node1", f"cat {RULE}")
    later = "/var/tmp/later.conf"  # the rule as it acts when the time has passed
    spare.on("node1", f"sed 's/:7d/:1s/' {RULE} > {later} && sleep 2 && systemd-tmpfiles --clean {later}")
    assert left(spare) == []


def test_the_playbook_reclaims_at_once(spare: SafetyLab) -> None:
    spare.playbook("playbooks/removed.yml", "-e", "reclaim=spare").must_succeed()
    assert left(spare) == []


def test_the_playbook_reclaims_nothing_that_is_not_removed(cloud: SafetyLab) -> None:
    run = cloud.playbook("playbooks/removed.yml", "-e", "reclaim=web2")
    assert run.rc != 0
    assert "web2: no node keeps a removed guest of this name" in said(run)


def test_removed_guests_do_not_end_in_the_restore_at_boot(cloud: SafetyLab) -> None:
    """The document that a node keeps lists no removals any more, so a guest that is back is not removed again."""
    for node in NODES:
        assert json.loads(cloud.on(node, "cat /var/lib/headworks/node-state.json")).get("removals", []) == []

"""Faults: a node that does not answer, an engine that is killed, a power cut.

The tests continue where ``test_story.py`` ends, with two guests on a network.
"""

from __future__ import annotations

import re
from typing import Any

import foreign
import pytest
import snapshots
from ansible_run import TOP, ChangeLine
from cloud_lab import NODES, CloudLab
from real_nodes import eventually

KILLER = TOP / "tests/lab/on_node/kill_converge.py"
Recorded = dict[str, Any]


# --- a node that does not answer -------------------------------------------------------------------------------------


def test_a_node_that_does_not_answer_is_reported_and_the_others_converge(lab: CloudLab) -> None:
    lab.layers = ("base", "vm5")  # vm5 is pinned to compute2
    lab.podman("pause", "compute2")
    try:
        run = lab.site()
    finally:
        lab.podman("unpause", "compute2")
    assert run.rc != 0
    assert run.failures() == {"compute2": "unreachable"}
    verdict = run.output[run.output.index("VERDICT") :]
    assert "compute2" in verdict
    assert "UNREACHABLE" in verdict
    # The other nodes already have the flows to vm5, its lease and its metadata.
    assert {node for node, *_ in run.changes()} == {"network1", "compute1"}


def test_the_next_run_converges_the_node_that_did_not_answer(lab: CloudLab) -> None:
    run = lab.site().must_succeed()
    assert {node for node, *_ in run.changes()} == {"compute2"}
    lab.read_summary()
    lab.wait_for_guests("vm5")
    lab.layers = ("base",)
    lab.site().must_succeed()


# --- an engine that is killed ----------------------------------------------------------------------------------------


def first_changed(changes: list[ChangeLine], node: str, kind: str) -> str:
    """The name of the first object of a kind that changes on a node."""
    return next(name for changed, what, name, _ in changes if (changed, what) == (node, kind))


def killed_run(lab: CloudLab, points: dict[str, tuple[str, str]]) -> None:
    """Run site.yml and kill the engine on each node at its point: (``made`` or ``gone``, path)."""
    killers = {node: lab.start_script(node, KILLER, how, path) for node, (how, path) in points.items()}
    run = lab.site()
    for killer in killers.values():
        assert int(killer.result(timeout_s=320)) > 1
    assert run.rc != 0
    assert run.failures() == dict.fromkeys(points, "failed")
    for node in points:
        assert lab.drift(node), f"{node}: the engine was killed, but nothing is left to do"


def test_the_next_run_completes_the_work_of_engines_killed_while_they_create_objects(
    lab: CloudLab, recorded: Recorded
) -> None:
    before = snapshots.take(lab, NODES)
    lab.layers = ("base", "internal2")
    changes = lab.site("--check").must_succeed().changes()
    host = next(node for node, kind, _, verb in changes if (kind, verb) == ("domain", "add"))
    namespace, disk = first_changed(changes, "network1", "netns"), first_changed(changes, host, "disk")
    recorded["killed at"] = host, namespace, first_changed(changes, host, "link")
    killed_run(
        lab,
        {
            "network1": ("made", f"/run/netns/{namespace}"),
            host: ("made", f"/var/lib/headworks/instances/{disk}/disk"),
        },
    )
    run = lab.site().must_succeed()
    assert {node for node, *_ in run.changes()} == {"network1", host}
    assert lab.site().must_succeed().changed_counts() == dict.fromkeys(NODES, 0)
    lab.read_summary()
    lab.wait_for_guests("vm3")
    assert lab.pings_without_loss("vm3", "vm1")
    recorded["before the kills"] = before


def test_the_next_run_completes_the_work_of_engines_killed_while_they_remove_objects(
    lab: CloudLab, recorded: Recorded
) -> None:
    lab.layers = ("base",)
    host, namespace, tap = recorded["killed at"]
    killed_run(
        lab,
        {"network1": ("gone", f"/run/netns/{namespace}"), host: ("gone", f"/sys/class/net/{tap}")},
    )
    lab.site().must_succeed()
    # vm3 came back while objects were created, and was removed again: at another time.
    snapshots.must_be_unchanged(lab, recorded["before the kills"], allowed=snapshots.is_of_a_removed_guest)
    assert foreign.state(lab) == recorded["foreign"]


# --- a power cut -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("node", ["network1", "compute1"])
def test_a_node_restores_itself_after_a_power_cut_without_ansible(
    lab: CloudLab, recorded: Recorded, node: str
) -> None:
    lab.read_summary()
    lasting = foreign.state(lab, lasting=True)
    lab.playbook("playbooks/lab-restart.yml", "-e", f"node={node}").must_succeed()
    host = lab.node(node)
    eventually(
        lambda: host.run("systemctl show -p ActiveState --value headworks-restore.service").stdout.strip() == "active",
        f"headworks-restore.service on {node} has ended",
        timeout_s=120,
    )
    assert lab.drift(node) == ""
    assert lab.node(node).run("systemctl is-failed 'headworks*'").stdout.count("failed\n") == 0
    lab.wait_for_guests("vm1", "vm2")
    assert lab.pings_without_loss("vm1", "vm2")
    assert lab.pings_without_loss("vm2", "vm1")
    assert lab.guest_from_outside("172.16.19.232").check_output("hostname") == "vm1"
    assert foreign.state(lab, lasting=True) == lasting


def test_guests_started_only_after_their_network(lab: CloudLab) -> None:
    """The guest's tap had its flows on br-int before QEMU started, and libvirt's autostart is not used."""
    compute1 = lab.node("compute1")
    assert "instance-00000001" in compute1.check_output("virsh list --name")
    assert "instance" not in compute1.check_output("virsh list --all --autostart --name")
    started = float(compute1.check_output("stat -c %.Y /var/run/libvirt/qemu/instance-00000001.pid"))
    now, _, flows = compute1.check_output("date +%s.%N; ovs-ofctl --names dump-flows br-int table=0").partition("\n")
    tap = lab.summary["instances"]["vm1"]["nics"][0]["tap"]
    ages = [float(age) for age in re.findall(rf'duration=([\d.]+)s.*priority=9,in_port="?{tap}', flows)]
    assert len(ages) == 1
    assert ages[0] > float(now) - started


def test_after_all_faults_every_node_is_as_declared(lab: CloudLab) -> None:
    run = lab.site().must_succeed()
    assert run.changed_counts() == dict.fromkeys(NODES, 0)
    for node in NODES:
        assert lab.drift(node) == ""

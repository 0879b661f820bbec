"""The same cloud, worse off: a node that does not answer, an engine that is killed, a power cut. Goes on where
``test_story.py`` ends: two guests, one network."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import foreign
import pytest
import snapshots
from ansible_run import TOP, ChangeLine
from cloud_lab import HERE, NAME, NODES, CloudLab, eventually

KILLER = HERE / "on_node/kill_converge.py"
Remembered = dict[str, Any]

DRIFT = "python3 /usr/lib/headworks/engine.zip drift"


def podman(verb: str, node: str) -> None:
    """Call podman for one container of this lab."""
    command = [str(TOP / "scripts/podman"), verb, f"headworks-{NAME}-{node}"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def drift(lab: CloudLab, node: str) -> str:
    """What differs on a node from its declared state ("" = nothing)."""
    found = lab.node(node).run(DRIFT)
    assert found.rc in (0, 3), found.stderr
    return "" if found.rc == 0 else str(found.stdout)


# --- a node that does not answer -------------------------------------------------------------------------------------


def test_a_node_that_does_not_answer_stops_no_other_and_is_named(lab: CloudLab) -> None:
    lab.layers = ("base", "vm5")  # which has to be on compute2
    podman("pause", "compute2")
    try:
        run = lab.site()
    finally:
        podman("unpause", "compute2")
    assert run.rc != 0
    assert run.failures() == {"compute2": "unreachable"}
    verdict = run.output[run.output.index("VERDICT") :]
    assert "compute2" in verdict
    assert "UNREACHABLE" in verdict
    # The way to vm5, its lease and its metadata are there already.
    assert {node for node, *_ in run.changes()} == {"network1", "compute1"}


def test_the_next_run_makes_up_for_it(lab: CloudLab) -> None:
    run = lab.site().must_be_well()
    assert {node for node, *_ in run.changes()} == {"compute2"}
    lab.learn()
    lab.wait_for_guests("vm5")
    lab.layers = ("base",)
    lab.site().must_be_well()


# --- an engine that is killed ----------------------------------------------------------------------------------------


def one(changes: list[ChangeLine], node: str, kind: str) -> str:
    """Name of the first change of a kind on a node."""
    return next(name for at, what, name, _ in changes if (at, what) == (node, kind))


def killed_run(lab: CloudLab, points: dict[str, tuple[str, str]]) -> None:
    """Run site.yml and kill the engine on nodes, each at its point: (``made`` or ``gone``, path)."""
    killers = {node: lab.start_script(node, KILLER, how, path) for node, (how, path) in points.items()}
    run = lab.site()
    for killer in killers.values():
        assert int(killer.result(timeout_s=320)) > 1
    assert run.rc != 0
    assert run.failures() == dict.fromkeys(points, "failed")
    for node in points:
        assert drift(lab, node), f"{node}: the engine was killed, and yet nothing is left to do"


def test_engines_killed_while_they_make_things_are_completed_by_the_next_run(
    lab: CloudLab, remembered: Remembered
) -> None:
    before = snapshots.take(lab, NODES)
    lab.layers = ("base", "internal2")
    foretold = lab.site("--check").must_be_well().changes()
    host = next(node for node, kind, _, verb in foretold if (kind, verb) == ("domain", "add"))
    namespace, disk = one(foretold, "network1", "netns"), one(foretold, host, "disk")
    remembered["killed at"] = host, namespace, one(foretold, host, "link")
    killed_run(
        lab,
        {
            "network1": ("made", f"/run/netns/{namespace}"),
            host: ("made", f"/var/lib/headworks/instances/{disk}/disk"),
        },
    )
    run = lab.site().must_be_well()
    assert {node for node, *_ in run.changes()} == {"network1", host}
    assert lab.site().must_be_well().changed_counts() == dict.fromkeys(NODES, 0)
    lab.learn()
    lab.wait_for_guests("vm3")
    assert lab.loses_nothing("vm3", "vm1")
    remembered["before the kills"] = before


def test_engines_killed_while_they_remove_things_are_completed_by_the_next_run(
    lab: CloudLab, remembered: Remembered
) -> None:
    lab.layers = ("base",)
    host, namespace, tap = remembered["killed at"]
    killed_run(
        lab,
        {"network1": ("gone", f"/run/netns/{namespace}"), host: ("gone", f"/sys/class/net/{tap}")},
    )
    lab.site().must_be_well()
    snapshots.must_be_the_same(lab, remembered["before the kills"])
    assert foreign.seen(lab) == remembered["foreign"]


# --- a power cut -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("node", ["network1", "compute1"])
def test_a_node_restores_itself_after_a_power_cut_without_ansible(
    lab: CloudLab, remembered: Remembered, node: str
) -> None:
    lab.learn()
    lasting = foreign.seen(lab, lasting=True)
    lab.playbook("playbooks/lab-restart.yml", "-e", f"node={node}").must_be_well()
    host = lab.node(node)
    eventually(
        lambda: host.run("systemctl show -p ActiveState --value headworks-restore.service").stdout.strip() == "active",
        f"headworks-restore.service on {node} has done its work",
        timeout_s=120,
    )
    assert drift(lab, node) == ""
    assert lab.node(node).run("systemctl is-failed 'headworks*'").stdout.count("failed\n") == 0
    lab.wait_for_guests("vm1", "vm2")
    assert lab.loses_nothing("vm1", "vm2")
    assert lab.loses_nothing("vm2", "vm1")
    assert lab.guest_from_outside("172.16.19.232").check_output("hostname") == "vm1"
    assert foreign.seen(lab, lasting=True) == lasting


def test_guests_came_back_only_after_their_network(lab: CloudLab) -> None:
    """The guest's tap was a port of br-int, with flows, before QEMU ran: libvirt's autostart is not used."""
    compute1 = lab.node("compute1")
    assert "instance-00000001" in compute1.check_output("virsh list --name")
    assert "instance" not in compute1.check_output("virsh list --all --autostart --name")
    started = float(compute1.check_output("stat -c %.Y /var/run/libvirt/qemu/instance-00000001.pid"))
    now, _, flows = compute1.check_output("date +%s.%N; ovs-ofctl --names dump-flows br-int table=0").partition("\n")
    tap = lab.summary["instances"]["vm1"]["nics"][0]["tap"]
    ages = [float(age) for age in re.findall(rf'duration=([\d.]+)s.*priority=9,in_port="?{tap}', flows)]
    assert len(ages) == 1
    assert ages[0] > float(now) - started


def test_in_the_end_everything_is_as_declared(lab: CloudLab) -> None:
    run = lab.site().must_be_well()
    assert run.changed_counts() == dict.fromkeys(NODES, 0)
    for node in NODES:
        assert drift(lab, node) == ""

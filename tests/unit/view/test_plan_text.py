"""The text of a plan, and the exit code of a run that only plans."""

from __future__ import annotations

from typing import Any

import pytest
from headworks.view.plan_text import GROUPED, lines
from headworks.view.verdict import NodeOutcome, plan_exit_code


def change(sign: str, kind: str, name: str, detail: str = "") -> dict[str, str]:
    return {"sign": sign, "kind": kind, "name": name, "detail": detail}


def node(*changes: tuple[str, str, str], state: str = "known", **more: Any) -> dict[str, Any]:
    entries = [{"verb": verb, "kind": kind, "name": name} for verb, kind, name in changes]
    return {"state": state, "reason": "", "changes": entries, "effects": [], "notes": [], **more}


def plan(*changes: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"cloud": "lab", "changes": list(changes), "removals": [], "behind": [], "nodes": {}, **more}


def texts(data: dict[str, Any], **options: bool) -> list[str]:
    return [text for _, text in lines(data, **options)]


def test_a_plan_without_changes_says_so() -> None:
    assert texts(plan(nodes={"n1": node()})) == ["Plan of cloud lab: nothing to change"]


def test_each_change_of_the_cloud_and_each_node_is_a_line() -> None:
    data = plan(
        change("+", "floating_ip", "172.16.19.1", "to vm1 10.0.0.3"),
        change("~", "router", "r1", "interfaces: +web"),
        nodes={"n1": node(("add", "link", "a"), ("add", "flow", "b"), ("add", "flow", "c"), ("remove", "domain", "d"))},
    )
    assert lines(data) == [
        ("", "Plan of cloud lab:"),
        ("+", "  + floating ip 172.16.19.1 (to vm1 10.0.0.3)"),
        ("~", "  ~ router r1 interfaces: +web"),
        ("~", "  n1: + 1 link, 2 flow; - 1 domain"),
    ]


def test_many_changes_of_one_kind_are_one_line_with_nodes_and_disks_unless_all_are_asked_for() -> None:
    names = [f"web{number:02}" for number in range(1, GROUPED + 2)]
    removals = [{"name": name, "node": f"n{1 + index % 3}", "disk_bytes": 1 << 30} for index, name in enumerate(names)]
    data = plan(*(change("-", "instance", name) for name in names), removals=removals)
    assert texts(data)[1:] == ["  - 11 instances: web[01:11], on n[1:3]: disks 11.0 GiB (-v lists them)"]
    assert texts(data, verbose=True)[1:] == [f"  - instance {name}" for name in names]


def test_a_node_that_cannot_tell_its_changes_is_not_nothing_to_change() -> None:
    shown = texts(plan(nodes={"n1": node(state="failed", reason="no libvirt")}))
    assert shown == ["Plan of cloud lab:", "  n1: its changes cannot be told: no libvirt"]


def test_a_node_that_cannot_tell_a_part_of_its_changes_names_the_part_beside_the_others() -> None:
    failures = [
        {"kind": "domain", "name": "", "text": "reading: is libvirtd running?"},
        {"kind": "nic", "name": "eth9", "text": "nic eth9: this node has no such interface"},
    ]
    nodes = {"n1": node(("add", "link", "a"), state="failed", reason="domain: …\nnic: …", failures=failures)}
    assert texts(plan(nodes=nodes))[1:] == [
        "  n1: + 1 link",
        "  n1: its changes of domain cannot be told: reading: is libvirtd running?",
        "  n1: will not be as declared: nic: nic eth9: this node has no such interface",
    ]


def test_the_plural_of_a_kind_is_a_word() -> None:
    many = [change("-", "qos_policy", f"p{number}") for number in range(GROUPED + 1)]
    assert texts(plan(*many))[1] == "  - 11 qos policies: p10, p[0:9] (-v lists them)"


def test_nodes_that_cannot_tell_their_changes_have_a_line_also_without_changes() -> None:
    nodes = {"n1": node(state="silent"), "n2": node(state="left out"), "n3": node(state="failed", reason="no libvirt")}
    assert [sign for sign, _ in lines(plan(nodes=nodes))] == ["", "!", "!", "!"]
    assert texts(plan(nodes=nodes))[3] == "  n3: its changes cannot be told: no libvirt"


def test_changes_of_a_node_that_missed_a_run_are_pending() -> None:
    data = plan(nodes={"n1": node(("add", "link", "tap1"))}, behind=["n1"])
    assert texts(data)[1] == "  n1: + 1 link (pending since an earlier run)"


def test_effects_are_always_told_and_other_notes_only_if_no_verdict_follows() -> None:
    effect = {"effect": "outage", "text": "it is shut down"}
    data = plan(nodes={"n1": node(effects=[effect], notes=["it is shut down", "a remark"])})
    assert texts(data)[1:] == ["  n1: it is shut down (outage)"]
    assert texts(data, notes=True)[1:] == ["  n1: it is shut down (outage)", "  n1: a remark"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"changes_planned": False, "planned": plan()}, 0),
        ({"changes_planned": True, "planned": plan()}, 2),
        ({"changes_planned": True, "planned": plan(nodes={"n1": node(state="silent")})}, 4),
        ({"changes_planned": True, "planned": plan(nodes={"n1": node(state="failed"), "n2": node(state="silent")})}, 1),
        ({"changes_planned": False, "planned": plan(refusal="would remove 3")}, 1),
    ],
)
def test_the_exit_code_of_a_run_that_only_plans(answer: dict[str, Any], code: int) -> None:
    assert plan_exit_code(answer, {})[0] == code


def test_a_node_that_was_lost_before_its_preview_counts_for_the_exit_code() -> None:
    lost = NodeOutcome()
    lost.failed("unreachable", "timed out")
    assert plan_exit_code({"changes_planned": True, "planned": plan()}, {"n1": lost})[0] == 4

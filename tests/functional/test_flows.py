"""FlowSubsystem with a real switch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from headworks.engine.converge import ConvergeError, Result, converge
from headworks.node.openflow import ofctl
from headworks.node.openflow.flows import FlowSubsystem
from headworks.node.openflow.ofctl import dump
from headworks.node.subsystem import Change
from headworks.state.openflow import COOKIE, LEARN_COOKIE, MODULE_COOKIE, Flow
from headworks.system import process
from shell import sh


@pytest.fixture
def bridge(unique: str) -> Iterator[str]:
    """A bridge of cloud ``unique`` with two ports, <bridge>1 and <bridge>2."""
    words = ["add-br", unique, "--", "set", "bridge", unique, "datapath_type=netdev", "fail_mode=secure"]
    sh("ovs-vsctl", *words, f"external_ids:headworks={unique}")
    for number in "12":
        add_port(unique, f"{unique}{number}")
    yield unique
    sh("ovs-vsctl", "--if-exists", "del-br", unique)


def add_port(bridge: str, name: str) -> None:
    sh("ovs-vsctl", "add-port", bridge, name, "--", "set", "interface", name, "type=internal")


def run(owner: str | None, *flows: Flow, check: bool = False, **options: Any) -> Result:
    return converge([(FlowSubsystem(owner, **options), {flow.name: flow for flow in flows})], check=check)


def labels(result: Result) -> list[str]:
    return [f"{change['verb']} {change['name'].partition(' ')[2]}" for change in result.changes]


def number(port: str) -> str:
    return sh("ovs-vsctl", "get", "interface", port, "ofport").strip()


def test_flows_are_written_with_our_cookie_and_port_numbers_and_a_second_run_changes_nothing(bridge: str) -> None:
    flows = (
        Flow(bridge, 0, 10, f"in_port={{{bridge}1}},tcp,tcp_dst=80", f"output:{{{bridge}2}}"),
        Flow(bridge, 23, 0, "", "drop"),
    )
    assert sorted(labels(run(bridge, *flows))) == [
        f"add table=0,priority=10,in_port={{{bridge}1}},tcp,tcp_dst=80",
        "add table=23,priority=0,any",
    ]
    first, second = number(f"{bridge}1"), number(f"{bridge}2")
    assert dump(bridge) == [
        f"cookie={COOKIE:#x}, priority=10,tcp,in_port={first},tp_dst=80 actions=output:{second}",
        f"cookie={COOKIE:#x}, table=23, priority=0 actions=drop",
    ]
    assert not run(bridge, *flows).changed


ARP_ANSWER = (
    "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],mod_dl_src:fa:16:3e:00:00:01,load:0x2->NXM_OF_ARP_OP[],"
    "move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],load:0xfa163e000001->NXM_NX_ARP_SHA[],load:0xa120001->NXM_OF_ARP_SPA[],in_port"
)
LEARN = (
    f"learn(table=20,cookie={LEARN_COOKIE:#x},priority=1,hard_timeout=300,NXM_OF_VLAN_TCI[0..11],"
    "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],"
    "output:NXM_OF_IN_PORT[]),output:1"
)
# Spellings of the wiring and of people. Each must be equal to itself after the switch has it.
SPELLINGS = [
    ("ip", "dec_ttl,output:1"),
    ("arp,dl_vlan=3,arp_tpa=10.0.0.1", ARP_ANSWER),
    ("ct_state=+new-est,ip,reg5=5", "ct(commit,zone=NXM_NX_REG6[0..15]),resubmit(,91)"),
    ("ip,ct_mark=1", "ct(commit,zone=5,exec(set_field:0x1->ct_mark)),normal"),
    ("ip,nw_src=10.0.0.1", "conjunction(7,1/2)"),
    ("dl_vlan=7", "strip_vlan,set_tunnel:0x12,output:1,output:2"),
    ("dl_vlan=8", "mod_vlan_vid:5,normal"),
    ("tun_id=9", "mod_vlan_vid:5,resubmit(,10)"),
    ("tun_id=10", "push_vlan:0x8100,set_field:4103->vlan_vid,NORMAL"),
    ("dl_vlan=9,dl_dst=fa:16:3e:00:00:01", "pop_vlan,set_field:18->tun_id,output:2"),
    ("vlan_tci=0x0000/0x1fff", "drop"),
    ("dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", "resubmit(,22)"),
    ("icmp6,icmp_type=136,nd_target=fe80::1", "goto_table:30"),
    ("tcp,tp_dst=0x50/0xfff0", "resubmit(,60)"),
    ("udp,udp_src=67,udp_dst=68", "mod_tp_dst:53,output:1"),
    ("ip,nw_dst=10.0.0.0/24", "set_field:10.0.0.1->ip_dst,mod_nw_src:10.0.0.2,output:1"),
    ("reg0=1", LEARN),
    ("reg0=2", "set_field:5->reg5,move:NXM_OF_VLAN_TCI[0..11]->NXM_NX_REG6[0..11],output:NXM_NX_REG5[]"),
    ("in_port=LOCAL", "all,flood,controller"),
]  # fmt: skip


def test_every_spelling_is_equal_to_itself_in_the_switch(bridge: str) -> None:
    flows = [Flow(bridge, 20, 100 + place, *spelling) for place, spelling in enumerate(SPELLINGS)]
    run(bridge, *flows)
    assert not run(bridge, *flows).changed


def test_every_spelling_is_recognised_when_another_flow_differs(bridge: str) -> None:
    flows = [Flow(bridge, 20, 100 + place, *spelling) for place, spelling in enumerate(SPELLINGS)]
    run(bridge, *flows)
    changed = [Flow(bridge, flow.table, flow.priority, flow.match, "resubmit(,77)") for flow in flows]
    assert {change["verb"] for change in run(bridge, *changed, check=True).changes} == {"change"}
    run(bridge, *changed)
    assert not run(bridge, *changed).changed


def test_a_changed_action_is_a_change_and_a_flow_no_longer_desired_is_removed(bridge: str) -> None:
    first, second = Flow(bridge, 0, 10, f"in_port={{{bridge}1}}", "drop"), Flow(bridge, 0, 11, "ip", "drop")
    run(bridge, first, second)
    changed = Flow(bridge, 0, 10, f"in_port={{{bridge}1}}", "NORMAL")
    result = run(bridge, changed)
    assert labels(result) == [
        f"change table=0,priority=10,in_port={{{bridge}1}}",
        "remove table=0,priority=11,ip",
    ]
    assert result.changes[0]["before"].endswith("actions=drop")
    assert dump(bridge) == [f"cookie={COOKIE:#x}, priority=10,in_port={number(f'{bridge}1')} actions=NORMAL"]


def test_foreign_and_learned_flows_stay(bridge: str) -> None:
    sh("ovs-ofctl", "add-flow", bridge, "cookie=0x77,table=3,priority=5,actions=drop")
    sh(
        "ovs-ofctl",
        "add-flow",
        bridge,
        f"cookie={LEARN_COOKIE:#x},table=20,priority=1,hard_timeout=300,dl_vlan=1,actions=1",
    )
    run(bridge, Flow(bridge, 0, 1, "", "drop"))
    assert not run(bridge, Flow(bridge, 0, 1, "", "drop")).changed
    run(bridge)
    assert len(dump(bridge)) == 2


def test_learned_flows_of_a_removed_vlan_are_removed(bridge: str) -> None:
    def learned(vlan: int, number: int = 1) -> str:
        match = f"table=20,priority=1,hard_timeout=300,vlan_tci={vlan}/0x0fff,dl_dst=fa:16:3e:00:00:0{number}"
        return f"cookie={LEARN_COOKIE:#x},{match},actions=output:1"

    flood = {vlan: Flow(bridge, 22, 1, f"dl_vlan={vlan}", f"pop_vlan,output:{{{bridge}1}}") for vlan in (2, 3)}
    known = Flow(bridge, 20, 2, "dl_vlan=2,dl_dst=fa:16:3e:00:00:09", f"pop_vlan,output:{{{bridge}1}}")
    run(bridge, *flood.values(), known)
    for text in (learned(2), learned(3), learned(3, 2)):
        sh("ovs-ofctl", "add-flow", bridge, text)
    run(bridge, *flood.values())  # a guest is removed, its network stays
    assert len(dump(bridge, f"cookie={LEARN_COOKIE:#x}/-1")) == 3
    run(bridge, flood[2])
    assert ["vlan_tci=0x0002" in line for line in dump(bridge, f"cookie={LEARN_COOKIE:#x}/-1")] == [True]


def test_a_foreign_flow_with_the_match_of_ours_is_replaced_and_shown(bridge: str) -> None:
    sh("ovs-ofctl", "add-flow", bridge, "cookie=0x77,table=3,priority=5,actions=drop")
    result = run(bridge, Flow(bridge, 3, 5, "", "drop"))
    assert result.changes[0]["before"].endswith("actions=drop cookie=0x77")
    assert dump(bridge) == [f"cookie={COOKIE:#x}, table=3, priority=5 actions=drop"]


def test_another_clouds_flows_stay(bridge: str) -> None:
    run(bridge, Flow(bridge, 0, 1, "", "drop"))
    assert not run(f"{bridge}-other").changed
    assert len(dump(bridge)) == 1


def test_flows_on_a_foreign_bridge_are_found_again_and_removed_with_their_mark(bridge: str) -> None:
    sh("ovs-vsctl", "remove", "bridge", bridge, "external_ids", "headworks")
    run(bridge, Flow(bridge, 0, 1, "", "NORMAL"))
    assert labels(run(bridge)) == ["remove table=0,priority=1,any"]
    assert dump(bridge) == []
    assert sh("ovs-vsctl", "get", "bridge", bridge, "external_ids").strip() == "{}"


def test_a_module_that_removes_its_flows_keeps_the_mark_of_the_cloud_on_a_foreign_bridge(bridge: str) -> None:
    sh("ovs-vsctl", "remove", "bridge", bridge, "external_ids", "headworks")
    run(bridge, Flow(bridge, 0, 1, "", "NORMAL"))
    purging: dict[str, Any] = {"cookie": MODULE_COOKIE, "prune": frozenset({bridge})}
    run(None, Flow(bridge, 0, 2, "ip", "drop"), **purging)
    run(None, **purging)
    assert labels(run(bridge)) == ["remove table=0,priority=1,any"]
    assert dump(bridge) == []


def test_a_port_with_a_new_number_gets_its_flows_rewritten(bridge: str) -> None:
    flows = (
        Flow(bridge, 0, 10, f"in_port={{{bridge}1}}", f"output:{{{bridge}2}}"),
        Flow(bridge, 0, 9, "ip", f"output:{{{bridge}1}}"),
    )
    run(bridge, *flows)
    old = number(f"{bridge}1")
    sh("ovs-vsctl", "set", "interface", f"{bridge}1", "ofport_request=77")
    assert number(f"{bridge}1") == "77"
    assert labels(run(bridge, *flows)) == [
        f"add table=0,priority=10,in_port={{{bridge}1}}",
        "change table=0,priority=9,ip",
        f"remove table=0,priority=10,in_port={old}",
    ]
    assert len(dump(bridge)) == 2
    assert not run(bridge, *flows).changed


def test_flows_of_ports_that_do_not_exist_are_missing_in_check_mode(bridge: str) -> None:
    flow = Flow(bridge, 0, 10, f"in_port={{{bridge}9}}", "drop")
    there = Flow(bridge, 0, 11, "ip", "drop")
    run(bridge, there)
    assert labels(run(bridge, flow, there, check=True)) == [f"add table=0,priority=10,in_port={{{bridge}9}}"]
    add_port(bridge, f"{bridge}9")
    assert len(labels(run(bridge, flow, there))) == 1


def test_a_port_that_is_never_created_is_reported_and_the_other_flows_are_added(bridge: str) -> None:
    with pytest.raises(ConvergeError, match=rf"flow: applying: flows of port {bridge}9: no such port"):
        run(bridge, Flow(bridge, 0, 10, f"in_port={{{bridge}9}}", "drop"), Flow(bridge, 0, 9, "ip", "drop"))
    assert len(dump(bridge)) == 1


def test_a_bundle_that_a_switch_refuses_stops_no_other_bridge(bridge: str) -> None:
    """The switch refuses an action for a table that comes before."""
    other = f"{bridge}o"
    sh("ovs-vsctl", "add-br", other, "--", "set", "bridge", other, "datapath_type=netdev", "fail_mode=secure")
    try:
        bad = [Flow(bridge, 5, 1, "", "goto_table:4"), Flow(bridge, 0, 1, "ip", "drop")]
        good = Flow(other, 0, 1, "ip", "drop")
        subsystem = FlowSubsystem(bridge)
        changes = [Change("flow", flow.name, None, flow) for flow in (*bad, good)]
        assert list(subsystem.apply(changes).failures) == [bridge]
        assert dump(bridge) == []
        assert len(dump(other)) == 1
    finally:
        sh("ovs-vsctl", "del-br", other)


def test_rules_that_are_taken_out_go_although_another_subsystem_cannot_be_read(bridge: str) -> None:
    old, new = Flow(bridge, 0, 10, "ip", "drop"), Flow(bridge, 0, 9, "arp", "drop")
    run(bridge, old)
    subsystem = FlowSubsystem(bridge)
    removal = Change("flow", old.name, old, None)
    assert subsystem.can_wait([removal], {new.name: new}) == []
    assert subsystem.can_wait([removal], {}) == [removal]


def test_a_match_without_its_prerequisites_is_reported_and_refused_in_check_mode_too(bridge: str) -> None:
    good = [Flow(bridge, 0, priority, "ip", "drop") for priority in range(1, 20)]
    for bad in (
        Flow(bridge, 0, 30, "tcp_dst=80", "drop"),
        Flow(bridge, 0, 30, f"in_port={{{bridge}9}},tcp_dst=8", "drop"),
    ):
        with pytest.raises(ConvergeError, match=r"priority=30,.*tcp_dst=8.*its match lacks the prerequisites of"):
            run(bridge, *good[:10], bad, *good[10:], check=True)
    assert dump(bridge) == []


def test_a_flow_that_cannot_be_parsed_is_quoted(bridge: str) -> None:
    with pytest.raises(ConvergeError, match=r"flow 'cookie=.*priority=2 actions=drp': unknown action drp"):
        run(bridge, Flow(bridge, 0, 1, "", "drop"), Flow(bridge, 0, 2, "", "drp"))


def test_flows_that_the_switch_lost_are_written_again(bridge: str) -> None:
    flows = [Flow(bridge, 0, priority, "ip", "drop") for priority in range(1, 20)]
    run(bridge, *flows)
    sh("ovs-ofctl", "del-flows", bridge)
    assert len(run(bridge, *flows).changes) == 19
    assert not run(bridge, *flows).changed


def test_flows_of_a_bridge_that_was_removed_meanwhile_can_be_removed_but_not_added(bridge: str) -> None:
    subsystem = FlowSubsystem(bridge)
    flow = Flow(bridge, 0, 1, "", "drop")
    run(bridge, flow)
    changes = subsystem.diff({}, subsystem.read({}))
    sh("ovs-vsctl", "del-br", bridge)
    subsystem.apply(changes)
    applied = subsystem.apply(subsystem.diff({flow.name: flow}, subsystem.read({})))
    assert applied.failures == {bridge: f"flows of {bridge}: ovs-vswitchd has no such bridge"}


def test_ten_thousand_flows_are_one_bundle_and_nothing_to_do_is_one_comparison(
    bridge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    real = process.run_both

    def counted(args: Any, **options: Any) -> Any:
        calls.append(args[-3:-1])
        return real(args, **options)

    monkeypatch.setattr(ofctl, "run_both", counted)
    flows = [
        Flow(
            bridge,
            60 + n % 9,
            1 + n % 3,
            f"ip,in_port={{{bridge}1}},nw_src=10.{n >> 16}.{n >> 8 & 255}.{n & 255}",
            "drop",
        )
        for n in range(10_000)
    ]
    run(bridge, *flows)
    assert [call for call in calls if "add-flows" in call] == [["add-flows", bridge]]
    calls.clear()
    assert not run(bridge, *flows).changed
    assert calls == [["diff-flows", bridge]]


def test_after_few_changes_among_many_flows_only_these_are_compared(
    bridge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flows = [Flow(bridge, 60, 1, f"ip,in_port={{{bridge}1}},nw_src=10.0.0.{n}", "drop") for n in range(200)]
    run(bridge, *flows)
    compared = []
    real = ofctl.differences

    def counted(source: str, lines: Any) -> Any:
        compared.append((source, len(lines)))
        return real(source, lines)

    monkeypatch.setattr(ofctl, "differences", counted)
    changed = [Flow(bridge, 60, 1, flows[0].match, "NORMAL"), *flows[1:-1]]
    changed.append(Flow(bridge, 60, 2, f"arp,in_port={{{bridge}1}},arp_op=0x1,dl_src=fa:16:3e:00:00:01", "drop"))
    assert sorted(labels(run(bridge, *changed)))[2].startswith("remove table=60,priority=1")
    assert [call for call in compared if call[0] == bridge] == [(bridge, 200)], (
        "all flows are compared before, few flows after"
    )
    assert not run(bridge, *changed).changed


@pytest.mark.parametrize("fault", ["mod-flows", "del-flows", "add-flow"])
def test_changes_that_the_switch_did_not_make_are_reported(
    bridge: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(bridge, Flow(bridge, 5, 1, "ip", "drop"), Flow(bridge, 5, 2, "ip", "drop"))
    real = ofctl.bundle

    def spoilt(name: str, lines: Any) -> None:
        real(name, lines)
        words = {
            "mod-flows": f"cookie={COOKIE:#x}/-1,table=5,ip,actions=NORMAL",
            "del-flows": "table=5,ip",
            "add-flow": f"cookie={COOKIE:#x},table=5,priority=2,ip,actions=drop",
        }
        sh("ovs-ofctl", fault, name, words[fault])

    monkeypatch.setattr(ofctl, "bundle", spoilt)
    with pytest.raises(ConvergeError, match=r"flow: \d difference\(s\) remain after applying"):
        run(bridge, Flow(bridge, 5, 1, "ip", "resubmit(,6)"))


def test_a_bundle_is_all_or_nothing(bridge: str) -> None:
    sh(
        "ovs-vsctl",
        "set",
        "bridge",
        bridge,
        "flow_tables:5=@t",
        "--",
        "--id=@t",
        "create",
        "Flow_Table",
        "flow_limit=1",
    )
    first = Flow(bridge, 0, 1, "", "drop")
    with pytest.raises(ConvergeError, match="add-flows"):
        run(bridge, first, Flow(bridge, 5, 1, "", "drop"), Flow(bridge, 5, 2, "", "drop"))
    assert dump(bridge) == []

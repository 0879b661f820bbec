"""Flows without a switch: spelling, ports by name, parsing of ovs-ofctl's output, comparison and diff."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from headworks.modules.ovs.flow_options import read_cookie, read_flows
from headworks.node.openflow import flows, ofctl
from headworks.node.openflow.compare import Comparison, Line, compare
from headworks.node.openflow.flows import FlowSubsystem
from headworks.node.openflow.switches import Switches
from headworks.node.openflow.syntax import modern, parse, ports_in, split_actions, write_head, write_ports
from headworks.node.subsystem import Cause, Change, Reading, Undone
from headworks.state.openflow import Flow
from headworks.state.ovs import OvsBridge, OvsPort
from headworks.system.process import ToolError

NUMBERS = {"tap-1": "7", "eth0.100": "8", "br0": "LOCAL"}


def test_names_of_ports_become_numbers() -> None:
    assert write_ports("in_port={tap-1},dl_vlan=3", NUMBERS) == "in_port=7,dl_vlan=3"
    assert write_ports("output:{eth0.100},output:{br0}", NUMBERS) == "output:8,output:LOCAL"
    assert write_ports("NORMAL", NUMBERS) == "NORMAL"
    assert ports_in("output:{a},{b}") == ["a", "b"]


def test_the_error_of_a_port_without_number_has_its_name() -> None:
    with pytest.raises(KeyError, match="tap-2"):
        write_ports("in_port={tap-2}", NUMBERS)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-priority=0 actions=NORMAL", ("-", 0, 0, "", 0, "", "NORMAL")),
        ("+table=3 tun_id=0x5 cookie=0x6b actions=drop", ("+", 3, 32768, "tun_id=0x5", 0x6B, "", "drop")),
        ("-table=1 priority=4,ip,in_port=LOCAL actions=output:7", ("-", 1, 4, "ip,in_port=LOCAL", 0, "", "output:7")),
        (" cookie=0x6b, table=3, priority=4,ip actions=a(b),c", (" ", 3, 4, "ip", 0x6B, "", "a(b),c")),
        ("-table=9  cookie=0x1 actions=drop", ("-", 9, 32768, "", 1, "", "drop")),
        ("-ip idle_timeout=5 check_overlap actions=", ("-", 0, 32768, "ip", 0, "idle_timeout=5 check_overlap", "")),
    ],
)  # fmt: skip
def test_a_line_of_diff_flows_is_parsed(line: str, expected: tuple[object, ...]) -> None:
    assert tuple(parse(line)) == expected


COOKIE = 0x6B
WANTED = [
    Flow("br0", 0, 10, "ip,in_port={tap1}", "drop"),
    Flow("br0", 5, 2, "", "NORMAL"),
    Flow("br0", 5, 3, "in_port={tap1},arp", "drop"),  # not in the switch's order
]
LINES = [
    Line(flow, f"{write_head(COOKIE, flow.table, flow.priority, flow.match.replace('{tap1}', '7'))} actions=x\n")
    for flow in WANTED
]
MISSING = ["+priority=10,ip,in_port=7 cookie=0x6b actions=x", "+table=5 priority=2 cookie=0x6b actions=x"]
RESPELLED = "+table=5 priority=3,arp,in_port=7 cookie={} actions=x"


class Ofctl:
    """Stands in for ``ofctl.differences``: it returns the answers that a test sets and records its calls in
    ``asked``."""

    def __init__(self, answers: Mapping[str, Sequence[str]]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, int]] = []

    def __call__(self, source: str, lines: Sequence[str]) -> list[str]:
        self.asked.append((source, len(lines)))
        return list(self.answers[source])


def compared(monkeypatch: pytest.MonkeyPatch, **answers: Sequence[str]) -> tuple[Comparison, list[tuple[str, int]]]:
    fake = Ofctl({{"null": "/dev/null"}.get(name, name): lines for name, lines in answers.items()})
    monkeypatch.setattr(ofctl, "differences", fake)
    return compare("br0", LINES, COOKIE), fake.asked


def test_missing_flows_are_recognised_by_their_text_without_another_call(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = compared(monkeypatch, br0=[*MISSING, "-table=5 priority=2 cookie=0x6b actions=drop"])
    assert found.differing == {WANTED[0].name: None, WANTED[1].name: Flow("br0", 5, 2, "", "drop")}
    assert (found.superfluous, asked) == ([], [("br0", 3)])


def test_flows_in_another_spelling_are_recognised_by_a_call_for_their_table_and_priority(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = [MISSING[0], RESPELLED.format("0x6b")]
    found, asked = compared(monkeypatch, br0=missing, null=[RESPELLED.format("0x1")])
    assert found.differing == {WANTED[0].name: None, WANTED[2].name: None}
    assert asked == [("br0", 3), ("/dev/null", 1)]


def test_on_a_bridge_without_flows_all_flows_are_missing_without_another_call(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = compared(monkeypatch, br0=[*MISSING, RESPELLED.format("0x6b")])
    assert found.differing == dict.fromkeys(flow.name for flow in WANTED)
    assert len(asked) == 1


def test_a_foreign_flow_in_the_place_of_a_desired_flow_is_reported_when_all_flows_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    foreign = "-table=5 priority=3,arp,in_port=7 cookie=0x1 actions=drop"
    missing = [*MISSING, RESPELLED.format("0x6b"), foreign]
    found, _ = compared(monkeypatch, br0=missing, null=[RESPELLED.format("0x1")])
    assert found.differing[WANTED[2].name] == Flow("br0", 5, 3, WANTED[2].match, "drop cookie=0x1")


def test_flows_with_the_cookie_that_are_not_desired_are_superfluous(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = ["-table=9 priority=1 cookie=0x6b actions=drop", "-table=9 priority=2 cookie=0x1 actions=drop"]
    found, _ = compared(monkeypatch, br0=extra)
    assert (found.differing, found.superfluous) == ({}, [Flow("br0", 9, 1, "", "drop")])


@pytest.mark.parametrize(
    ("match", "actions", "expected"),
    [
        ("", "resubmit(,25)", "resubmit(,25)"),
        ("dl_vlan=7", "strip_vlan,set_tunnel:0x12,output:1", "pop_vlan,set_field:0x12->tun_id,output:1"),
        ("dl_vlan=7", "mod_vlan_vid:5,NORMAL", "set_field:4101->vlan_vid,NORMAL"),
        ("tun_id=0x7", "mod_vlan_vid:5,NORMAL", "push_vlan:0x8100,set_field:4101->vlan_vid,NORMAL"),
        ("", "mod_vlan_vid:5,mod_vlan_pcp:1", "push_vlan:0x8100,set_field:4101->vlan_vid,set_field:1->vlan_pcp"),
        ("dl_vlan=7", "strip_vlan,mod_vlan_vid:5", "pop_vlan,push_vlan:0x8100,set_field:4101->vlan_vid"),
        ("arp", "mod_dl_src:fa:16:3e:00:00:01,IN_PORT", "set_field:fa:16:3e:00:00:01->eth_src,IN_PORT"),
        ("ip", "mod_nw_src:10.0.0.1,mod_nw_tos:4", "set_field:10.0.0.1->ip_src,set_field:1->ip_dscp"),
        ("udp", "mod_tp_dst:53", "set_field:53->udp_dst"),
        ("ip", "learn(table=1,a),ct(commit,nat(src=1)),strip_vlan", "learn(table=1,a),ct(commit,nat(src=1)),pop_vlan"),
    ],
)  # fmt: skip
def test_old_actions_are_rewritten_as_those_of_openflow_14(match: str, actions: str, expected: str) -> None:
    assert modern(match, actions) == expected


def test_actions_are_split_at_the_outermost_commas_only() -> None:
    assert split_actions("a,b(c,d(e,f)),g") == ["a", "b(c,d(e,f))", "g"]


def test_only_flows_that_differ_from_the_switch_are_changes() -> None:
    same, other, extra = (Flow("br0", 0, priority, "", "drop") for priority in (1, 2, 3))
    found = Flow("br0", 0, 2, "", "NORMAL")
    desired = {flow.name: flow for flow in (same, other)}
    reading = Reading(
        {same.name: same, other.name: found, extra.name: extra}, frozenset({same.name, other.name, extra.name})
    )
    changes = FlowSubsystem("lab").diff(desired, reading)
    assert [(change.verb, change.before, change.after) for change in changes] == [
        ("change", found, other),
        ("remove", extra, None),
    ]


def test_a_flow_that_the_switch_lacks_is_added() -> None:
    flow = Flow("br0", 0, 1, "in_port={tap1}", "drop")
    (change,) = FlowSubsystem("lab").diff({flow.name: flow}, Reading())
    assert change.label == "+ flow br0 table=0,priority=1,in_port={tap1}"


def test_load_refuses_an_unknown_field() -> None:
    with pytest.raises(ValueError, match=r"Flow: .*colour"):
        FlowSubsystem.load([{"bridge": "br0", "table": 0, "priority": 0, "match": "", "actions": "", "colour": "red"}])


def test_a_users_line_and_mapping_give_the_same_flow() -> None:
    line = "table=3, priority=10, in_port={eth2},tcp, tcp_dst=80 actions=output:{eth3}"
    mapping = {"table": 3, "priority": 10, "match": "in_port={eth2},tcp,tcp_dst=80", "actions": "output:{eth3}"}
    assert read_flows([line], "br0") == read_flows([mapping], "br0")
    assert list(read_flows(["actions=drop"], "br0").values()) == [Flow("br0", 0, 32768, "", "drop")]


@pytest.mark.parametrize(
    ("flow", "complaint"),
    [
        ("table=300,actions=drop", "table '300': must be a number from 0 to 254"),
        ("priority=x,actions=drop", "priority 'x'"),
        ("idle_timeout=3,actions=drop", "idle_timeout cannot be given"),
        ({"tabel": 3}, "unknown key 'tabel'"),
    ],
)
def test_a_malformed_flow_of_a_user_is_refused(flow: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_flows([flow], "br0")


def test_a_flow_given_twice_or_without_bridge_is_refused() -> None:
    with pytest.raises(ValueError, match="given twice"):
        read_flows(["ip,actions=drop", "ip actions=NORMAL"], "br0")
    with pytest.raises(ValueError, match="bridge is missing"):
        read_flows(["actions=drop"], None)


def test_a_cookie_must_be_a_number() -> None:
    assert read_cookie("0x10") == 16
    with pytest.raises(ValueError, match="cookie 'x'"):
        read_cookie("x")


def undone(*earlier: Change[Any]) -> Undone:
    """Return what the changes undo of two flows on br0 (the second names port p) and a flow on br1."""
    flows = [Flow("br0", 0, 1, "", "drop"), Flow("br0", 0, 2, "in_port={p}", "drop"), Flow("br1", 0, 1, "", "drop")]
    desired = {flow.name: flow for flow in flows}
    return FlowSubsystem("lab").undone_by(earlier, desired, Reading(desired, frozenset(desired)))


def test_flows_are_compared_again_after_a_bridge_or_port_was_changed() -> None:
    port, bridge, flow = OvsPort("p", "br0"), OvsBridge("br0"), Flow("br0", 0, 1, "", "drop")
    assert not undone(Change("ovs_port", "p", None, port), Change("link", "p", flow, flow)).read_again
    assert undone(Change("ovs_bridge", "br0", bridge, replace(bridge, mac="02:00:00:00:00:01"))).read_again
    assert undone(Change("ovs_port", "p", port, replace(port, tag=7))).read_again


@pytest.mark.parametrize("other", [{"datapath_type": "netdev"}, {"fail_mode": "standalone"}])
def test_a_bridge_of_another_datapath_type_or_fail_mode_loses_its_flows(other: dict[str, str]) -> None:
    bridge = OvsBridge("br0")
    unset, standalone = replace(bridge, fail_mode=""), replace(bridge, fail_mode="standalone")
    assert undone(Change("ovs_bridge", "br0", unset, standalone)).causes == {}
    found = undone(Change("ovs_bridge", "br0", bridge, replace(bridge, **other)))
    assert found.causes == {
        "br0 table=0,priority=1,any": Cause.BRIDGE_CLEARED,
        "br0 table=0,priority=2,in_port={p}": Cause.BRIDGE_CLEARED,
    }


@pytest.mark.parametrize(
    ("after", "cause"),
    [
        (OvsPort("p", "br0", type="internal"), None),
        (OvsPort("p", "br1"), None),
        (OvsPort("p", "br0"), Cause.DEVICE_RECREATED),
    ],
)
def test_a_port_that_gets_another_number_undoes_the_flows_that_name_it(after: OvsPort, cause: Cause | None) -> None:
    found = undone(Change("ovs_port", "p", OvsPort("p", "br0"), after, cause))
    assert found.causes == {"br0 table=0,priority=2,in_port={p}": Cause.PORT_RENUMBERED}


class Bundles:
    """Stands in for ``ofctl.bundle``: records the bridges, and refuses some of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *refused: str) -> None:
        self.sent: list[str] = []
        self.refused = refused
        bridges: dict[str, dict[str, str]] = {name: {} for name in ("br-ex", "br-int", "br-tun")}
        monkeypatch.setattr(flows, "await_ports", lambda *_: Switches(bridges, {}, {}))
        monkeypatch.setattr(ofctl, "bundle", self)

    def __call__(self, bridge: str, lines: Sequence[str]) -> None:
        self.sent.append(bridge)
        if bridge in self.refused:
            raise ToolError("ovs-ofctl: refused")

    def apply(self) -> Mapping[str, str]:
        wanted = [Flow(bridge, 0, 0, "", "NORMAL") for bridge in ("br-int", "br-tun", "br-ex")]
        changes = [Change("flow", flow.name, None, flow) for flow in sorted(wanted, key=lambda flow: flow.name)]
        return FlowSubsystem().apply(changes).failures


def test_br_int_gets_its_flows_last(monkeypatch: pytest.MonkeyPatch) -> None:
    bundles = Bundles(monkeypatch)
    assert bundles.apply() == {}
    assert bundles.sent == ["br-ex", "br-tun", "br-int"]


def test_br_int_gets_no_flows_if_another_bridge_refused_its_flows(monkeypatch: pytest.MonkeyPatch) -> None:
    bundles = Bundles(monkeypatch, "br-ex")
    assert bundles.apply() == {
        "br-ex": "flows of br-ex: ovs-ofctl: refused",
        "br-int": "flows of br-int: not changed, because the flows of br-ex are refused",
    }
    assert bundles.sent == ["br-ex", "br-tun"]

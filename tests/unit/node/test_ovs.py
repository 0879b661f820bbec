"""Bridges and ports without a switch: rows as records, comparison, and the mutations for a change."""

from __future__ import annotations

from typing import Any

import pytest
from headworks.node.ovs.bridges import OvsBridgeSubsystem
from headworks.node.ovs.ports import OvsPortSubsystem
from headworks.node.ovs.rows import NOT_TAKEN_UP, bridge_of, port_of, unserved
from headworks.node.subsystem import Reading
from headworks.state.ovs import OvsBridge, OvsPort
from headworks.system.ovsdb import map_mutations

EMPTY: list[Any] = ["set", []]


def port_row(**columns: Any) -> dict[str, Any]:
    plain = {"name": "p", "tag": EMPTY, "trunks": EMPTY, "vlan_mode": EMPTY, "external_ids": ["map", []]}
    return {**plain, "fake_bridge": False, **columns}


def interface_row(**columns: Any) -> dict[str, Any]:
    maps = {"options": ["map", []], "external_ids": ["map", []]}
    return {"name": "p", "type": "", **maps, "mtu_request": EMPTY, "mac": EMPTY, "error": EMPTY, "ofport": 3, **columns}


def verbs(subsystem: Any, desired: Any, *actual: Any, owned: tuple[str, ...] = ()) -> list[str]:
    reading = Reading({item.name: item for item in actual}, frozenset(owned))
    return [change.verb for change in subsystem.diff({item.name: item for item in desired}, reading)]


def test_a_port_row_becomes_a_record() -> None:
    row = port_row(tag=7, trunks=["set", [20, 10]], vlan_mode="trunk", external_ids=["map", [["a", "b"]]])
    interface = interface_row(
        type="vxlan", options=["map", [["remote_ip", "192.0.2.1"]]], mtu_request=1400, mac="02:00:00:00:00:01"
    )
    assert port_of(row, "br0", interface) == OvsPort(
        "p", "br0", "vxlan", 7, "trunk", (10, 20), "02:00:00:00:00:01", 1400, {"remote_ip": "192.0.2.1"}, {}, {"a": "b"}
    )


def test_the_type_of_a_system_interface_is_empty() -> None:
    assert port_of(port_row(), "br0", interface_row(type="system")).type == ""


def test_the_record_of_a_bond_has_no_interface_columns_and_no_error() -> None:
    assert port_of(port_row(tag=3), "br0", None) == OvsPort("p", "br0", tag=3)


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        ({"ofport": 1}, ""),
        ({"ofport": 65534}, ""),
        ({"ofport": -1, "error": "could not open network device p"}, "could not open network device p"),
        ({"ofport": -1}, "no port number"),
        ({"ofport": EMPTY}, NOT_TAKEN_UP),
    ],
)
def test_the_record_has_ovs_vswitchds_error_about_the_interface(columns: dict[str, Any], error: str) -> None:
    assert port_of(port_row(), "br0", interface_row(**columns)).error == error


def bridge_row(**columns: Any) -> dict[str, Any]:
    maps = {"other_config": ["map", []], "external_ids": ["map", []]}
    return {"name": "br0", "datapath_id": "0000", "datapath_type": "", "fail_mode": EMPTY, **maps, **columns}


def test_a_bridge_row_becomes_a_record() -> None:
    config = {"hwaddr": "02:00:00:00:00:01"}
    row = bridge_row(other_config=["map", list(map(list, config.items()))])
    assert bridge_of(row, None) == OvsBridge("br0", "system", "", "02:00:00:00:00:01", {}, config)


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        ({"datapath_type": ""}, "bridge br0 of datapath_type system: the kernel module openvswitch is missing"),
        ({"datapath_type": "netdev"}, "bridge br0 of datapath_type netdev: see the log of ovs-vswitchd"),
    ],
)
def test_the_error_of_a_bridge_that_is_not_served_says_why(columns: dict[str, Any], error: str) -> None:
    row = bridge_row(datapath_id=EMPTY, **columns)
    waiting = interface_row(ofport=EMPTY)
    assert error in bridge_of(row, waiting).error
    assert error in port_of(port_row(), "br0", waiting, unserved(row)).error
    assert unserved(bridge_row()) == ""


def test_a_port_s_own_error_comes_before_that_of_its_bridge() -> None:
    interface = interface_row(ofport=-1, error="could not open network device p")
    assert port_of(port_row(), "br0", interface, "not served").error == "could not open network device p"


def test_keys_of_other_programs_on_a_bridge_are_no_difference_and_not_in_the_diff() -> None:
    subsystem = OvsBridgeSubsystem("lab")
    actual = OvsBridge("br0", external_ids={"a": "1", "theirs": "x"}, other_config={"stp": "y"}, mac="02::")
    assert verbs(subsystem, [OvsBridge("br0", external_ids={"a": "1"})], actual) == []
    (change,) = subsystem.diff({"br0": OvsBridge("br0", external_ids={"a": "2"})}, Reading({"br0": actual}))
    assert change.before is not None
    assert change.before.external_ids == {"a": "1"}


def test_columns_that_the_desired_bridge_leaves_open_are_no_difference() -> None:
    actual = OvsBridge("br0", "netdev", "standalone", "02:00:00:00:00:01")
    assert verbs(OvsBridgeSubsystem("lab"), [OvsBridge("br0", "", "")], actual) == []
    assert verbs(OvsBridgeSubsystem("lab"), [OvsBridge("br0", "", "secure")], actual) == ["change"]


def test_options_of_a_port_are_compared_by_all_keys_and_external_ids_by_the_desired_keys() -> None:
    subsystem = OvsPortSubsystem("lab")
    wanted = OvsPort("p", "br0", "vxlan", options={"remote_ip": "192.0.2.1"}, external_ids={"iface-id": "x"})
    more_ids = OvsPort("p", "br0", "vxlan", options=wanted.options, external_ids={"iface-id": "x", "b": "c"})
    assert verbs(subsystem, [wanted], more_ids) == []
    more_options = OvsPort("p", "br0", "vxlan", options={**wanted.options, "key": "1"}, external_ids={"iface-id": "x"})
    assert verbs(subsystem, [wanted], more_options) == ["change"]


@pytest.mark.parametrize(
    "actual",
    [
        OvsPort("p", "br1", tag=5),
        OvsPort("p", "br0", tag=6),
        OvsPort("p", "br0"),
        OvsPort("p", "br0", "internal", tag=5),
        OvsPort("p", "br0", tag=5, mtu=1400),
        OvsPort("p", "br0", tag=5, vlan_mode="trunk"),
        OvsPort("p", "br0", tag=5, trunks=(1,)),
        OvsPort("p", "br0", tag=5, error="could not open network device p"),
    ],
)
def test_another_value_of_a_column_or_an_error_is_a_difference(actual: OvsPort) -> None:
    assert verbs(OvsPortSubsystem("lab"), [OvsPort("p", "br0", tag=5)], actual) == ["change"]


def test_order_of_trunks_and_case_of_the_mac_do_not_matter() -> None:
    wanted = OvsPort("p", "br0", trunks=(20, 10), mac="02:00:00:00:00:AA")
    assert verbs(OvsPortSubsystem("lab"), [wanted], OvsPort("p", "br0", trunks=(10, 20), mac="02:00:00:00:00:aa")) == []


def test_only_our_own_ports_are_removed() -> None:
    theirs, ours = OvsPort("theirs", "br0"), OvsPort("ours", "br0")
    changes = OvsPortSubsystem("lab").diff({}, Reading({"theirs": theirs, "ours": ours}, frozenset({"ours"})))
    assert [(change.verb, change.name) for change in changes] == [("remove", "ours")]


def test_in_exact_mode_a_key_that_is_not_desired_is_a_difference() -> None:
    subsystem = OvsPortSubsystem(exact=True)
    assert verbs(subsystem, [OvsPort("p", "br0")], OvsPort("p", "br0", external_ids={"a": "b"})) == ["change"]


def test_mutations_touch_only_the_keys_that_change() -> None:
    assert map_mutations("m", {"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9", "d": "4"}) == [
        ["m", "delete", ["set", ["b", "c", "d"]]],
        ["m", "insert", ["map", [["b", "9"], ["d", "4"]]]],
    ]
    assert map_mutations("m", {"a": "1"}, {"a": "1"}) == []

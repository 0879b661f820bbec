"""The option ``set`` of ovs_bridge and ovs_port: how its text is parsed, and which record it changes."""

from __future__ import annotations

import pytest
from headworks.modules.ovs.columns import OvsColumn
from headworks.modules.ovs.set_option import parse_set, with_set
from headworks.state.ovs import OvsBridge, OvsPort


def test_set_is_parsed_as_ovs_vsctl_in_a_shell_parses_it() -> None:
    text = """Interface eth0 options:remote_ip=192.0.2.1 external-ids:"a b"="c, d" external_ids:n='"5"' type=vxlan"""
    assert parse_set(text) == [
        OvsColumn("Interface", "eth0", "options", "remote_ip", "192.0.2.1"),
        OvsColumn("Interface", "eth0", "external_ids", "a b", "c, d"),
        OvsColumn("Interface", "eth0", "external_ids", "n", "5"),
        OvsColumn("Interface", "eth0", "type", "", "vxlan"),
    ]


def test_a_set_without_assignments_sets_nothing() -> None:
    assert parse_set("Interface eth6") == []
    assert parse_set("") == []


def test_the_name_of_a_table_may_be_in_any_case() -> None:
    texts = ["bridge br0 stp_enable=true", "PORT p tag=5", "Interface i type=internal"]
    assert [parse_set(text)[0].name for text in texts] == ["Bridge br0 stp_enable", "Port p tag", "Interface i type"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Interface", "must be TABLE RECORD"),
        ("Interface eth0 type", "must be COLUMN"),
        ('Interface eth0 type="vx', "a quote is not closed"),
        ("int eth0 type=vxlan", "the table must be Bridge, Port or Interface"),
        ("Open_vSwitch . external_ids:a=b", "the table must be Bridge, Port or Interface"),
        ("bridge br0 stp_enable=true -- set port p tag=5", "'--': must be COLUMN"),
        ("Interface eth0 options={remote_ip=192.0.2.1}", "set the keys of a map one by one"),
    ],
)
def test_a_set_that_cannot_be_parsed_is_refused_with_its_text(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=rf"^set: .*{complaint}"):
        parse_set(text)


def test_assignments_to_a_record_s_fields_change_the_record() -> None:
    port = OvsPort("p", "br0", options={"key": "flow"})
    words = [
        "Interface p type=vxlan options:remote_ip=192.0.2.1 mtu_request=1400",
        "port p trunks=3,1,2 external_ids:a=b",
    ]
    changed = OvsPort(
        "p",
        "br0",
        "vxlan",
        trunks=(1, 2, 3),
        mtu=1400,
        options={"key": "flow", "remote_ip": "192.0.2.1"},
        port_external_ids={"a": "b"},
    )
    assert with_set(port, words) == (changed, [])
    assert with_set(OvsBridge("b"), "bridge b fail_mode=standalone") == (OvsBridge("b", fail_mode="standalone"), [])


def test_an_empty_set_of_values_clears_a_field() -> None:
    port = OvsPort("p", "br0", "internal", tag=5, trunks=(1,), mtu=1400, vlan_mode="access")
    cleared, _ = with_set(port, ["Port p tag=[] trunks=[] vlan_mode=[]", "Interface p mtu_request=[] type=system"])
    assert cleared == OvsPort("p", "br0")


def test_assignments_to_other_columns_and_other_rows_are_records_of_their_own() -> None:
    port = OvsPort("p", "br0")
    words = "Interface p ofport_request=6"
    assert with_set(port, words) == (port, [OvsColumn("Interface", "p", "ofport_request", "", "6")])
    assert with_set(port, "Port q tag=5") == (port, [OvsColumn("Port", "q", "tag", "", "5")])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("Port p tag=five", "Port p tag=five: must be a number"),
        ("Port p tag:a=5", "must be COLUMN=VALUE"),
        ("Interface p options=a", "must be COLUMN:KEY=VALUE"),
    ],
)
def test_a_value_that_does_not_fit_its_field_is_refused(words: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        with_set(OvsPort("p", "br0"), words)

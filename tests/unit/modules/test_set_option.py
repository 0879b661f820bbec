"""The option ``set`` of ovs_bridge and ovs_port: how its text is parsed, and which record it changes."""

from __future__ import annotations

from typing import Any

import pytest
from headworks.modules.ovs.columns import OvsColumn, add_column
from headworks.modules.ovs.set_option import parse_set, with_set
from headworks.state.ovs import OvsBridge, OvsPort

MAP = {"key": "string", "value": "string", "min": 0, "max": "unlimited"}
TEXT = {"key": "string", "min": 0}
VLAN = {"type": "integer", "minInteger": 0, "maxInteger": 4095}
COLUMNS: dict[str, dict[str, Any]] = {
    "Bridge": {
        "name": "string",
        "status": MAP,
        "stp_enable": "boolean",
        "other_config": MAP,
        "external_ids": MAP,
        "datapath_type": "string",
        "ports": {"key": {"type": "uuid"}, "min": 0, "max": "unlimited"},
        "fail_mode": {"key": {"type": "string", "enum": ["set", ["secure", "standalone"]]}, "min": 0},
        "protocols": {"key": "string", "min": 0, "max": "unlimited"},
    },
    "Port": {
        "tag": {"key": VLAN, "min": 0},
        "trunks": {"key": VLAN, "min": 0, "max": 4096},
        "vlan_mode": TEXT,
        "external_ids": MAP,
        "other_config": MAP,
        "qos": {"key": {"type": "uuid"}, "min": 0},
    },
    "Interface": {
        "type": "string",
        "mac": TEXT,
        "mtu_request": {"key": "integer", "min": 0},
        "ofport_request": {"key": "integer", "min": 0},
        "external_ids": MAP,
        "options": MAP,
    },
    "IPFIX": {},
    "Open_vSwitch": {"external_ids": MAP},
}
SCHEMA = {
    table: {"columns": {name: {"type": kind, "mutable": name != "name"} for name, kind in columns.items()}}
    for table, columns in COLUMNS.items()
}


def names(given: Any) -> list[str]:
    return [column.name for column in parse_set(given, SCHEMA)]


def test_set_is_parsed_as_ovs_vsctl_in_a_shell_parses_it() -> None:
    text = """Interface eth0 options:remote_ip=192.0.2.1 external-ids:"a b"="c, d" external_ids:n='"5"' type=vxlan"""
    with pytest.raises(ValueError, match="must be COLUMN"):
        parse_set(text, SCHEMA)  # ovs-vsctl sees no quotes around "a b"
    assert parse_set(text.replace('"a b"', """'"a b"'"""), SCHEMA) == [
        OvsColumn("Interface", "eth0", "options", "remote_ip", "192.0.2.1"),
        OvsColumn("Interface", "eth0", "external_ids", "a b", "c, d"),
        OvsColumn("Interface", "eth0", "external_ids", "n", "5"),
        OvsColumn("Interface", "eth0", "type", "", ("vxlan",)),
    ]


@pytest.mark.parametrize("given", ["Interface eth6", "", None, [], ["", "Port p"]])
def test_a_set_without_assignments_sets_nothing(given: Any) -> None:
    assert parse_set(given, SCHEMA) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("bridge br0 stp_enable=true", "Bridge br0 stp_enable"),
        ("PORT p TAG=5", "Port p tag"),
        ("br br0 stp=true", "Bridge br0 stp_enable"),
        ("int i ofport-req=5", "Interface i ofport_request"),
        ("b br0 ext:a=b", "Bridge br0 external_ids:a"),
    ],
)
def test_names_of_tables_and_columns_may_be_abbreviated_and_in_any_case(text: str, name: str) -> None:
    assert names(text) == [name]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("Port p tag=5,Interface p type=internal", ["Port p tag", "Interface p type"]),
        ("Port p tag=5, Interface p", ["Port p tag"]),
        (["Port p tag=5", "Interface p type=internal"], ["Port p tag", "Interface p type"]),
        ("Port p trunks=1,2 tag=5", ["Port p trunks", "Port p tag"]),
        ("Bridge b protocols=OpenFlow10,OpenFlow13 stp=true", ["Bridge b protocols", "Bridge b stp_enable"]),
        ("""Port p other_config:note="see, port p now" tag=5""", ["Port p other_config:note", "Port p tag"]),
        ("""Port p other_config:note=see\\,port\\ q tag=5""", ["Port p other_config:note", "Port p tag"]),
    ],
)
def test_a_comma_separates_commands_only_before_a_table_and_a_record(given: Any, found: list[str]) -> None:
    assert names(given) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("{}", {}),
        ("{a=b}", {"a": "b"}),
        ("a=b,c=d", {"a": "b", "c": "d"}),
        ("""'{"a b"="c, d", e=f}'""", {"a b": "c, d", "e": "f"}),
        (r"{\"a=b\"=c}", {"a=b": "c"}),
        (r"""'{a="say \"hi\""}'""", {"a": 'say "hi"'}),
    ],
)
def test_a_whole_map_is_one_value(value: str, found: dict[str, str]) -> None:
    assert parse_set(f"Port p other_config={value}", SCHEMA) == [OvsColumn("Port", "p", "other_config", "", found)]


@pytest.mark.parametrize(
    ("value", "found"), [("5,3", (3, 5)), ("'[5, 3]'", (3, 5)), ("'5 3'", (3, 5)), ("[]", ()), ("1-3,7", (1, 2, 3, 7))]
)
def test_a_set_of_numbers_is_sorted(value: str, found: tuple[int, ...]) -> None:
    assert parse_set(f"Port p trunks={value}", SCHEMA) == [OvsColumn("Port", "p", "trunks", "", found)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Interface", "must be TABLE RECORD"),
        ("Interface eth0 type", "must be COLUMN"),
        ("Interface eth0 options:=b", "must be COLUMN"),
        ('Interface eth0 type="vx', "a quote is not closed"),
        ("i eth0 type=vxlan", "the table must be Bridge, Port or Interface"),
        ("Open_vSwitch . external_ids:a=b", "the table must be Bridge, Port or Interface"),
        ("bridge br0 stp_enable=true -- set port p tag=5", "write a list of sets"),
        ("Interface eth0 options={remote_ip=192.0.2.1", "must end with '}'"),
        ("Interface eth0 options={a=b}c", "must end with '}'"),
        ("Interface eth0 options=a", "'=' is missing after 'a'"),
        ("Interface eth0 options={a=b,a=c}", "has a key twice"),
        ("Interface eth0 options:a=", "a value is missing"),
        ("Port p tag=five", "'five' is not of type integer"),
        ("Port p tag=4096", "'4096' must be at least 0 and at most 4095"),
        ("Port p tag=5,6", "has 2 values: there must be at most 1"),
        ("Port p trunks=5,5", "has a value twice"),
        ("Port p trunks=9-5", "9 is greater than 5"),
        ("Port p tag:a=5", "column tag is no map"),
        ("Port p qos=@new", "references to other rows are not supported"),
        ("Port p other_config:a='\"b'", "a quote|double quote"),
        ("Bridge b fail_mode=open", "'open' is not one of secure, standalone"),
        ("Bridge b stp_enable=perhaps", "'perhaps' is not of type boolean"),
        ("Bridge b stp_enable=[]", "is not of type boolean|at least 1"),
        ("Bridge b st=true", "st is short for several columns: status, stp_enable"),
        ("Bridge b nonsense=1", "table Bridge has no column nonsense"),
        ("Bridge b name=c", "column name cannot be changed"),
        ("Bridge b ports=[]", "column ports is changed by the other options"),
        ([5], "must be a text or a list of texts"),
    ],
)
def test_a_set_that_cannot_be_parsed_is_refused_with_its_text(text: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=rf"^set: .*{complaint}"):
        parse_set(text, SCHEMA)


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
    assert with_set(port, words, SCHEMA) == (changed, [])
    bridge = OvsBridge("b", fail_mode="standalone")
    assert with_set(OvsBridge("b"), "bridge b fail_mode=standalone", SCHEMA) == (bridge, [])


def test_a_whole_map_replaces_a_field_s_keys() -> None:
    port = OvsPort("p", "br0", options={"key": "flow"})
    changed, _ = with_set(port, "Interface p options={a=b} options:c=d", SCHEMA)
    assert changed.options == {"a": "b", "c": "d"}


def test_an_empty_set_of_values_clears_a_field() -> None:
    port = OvsPort("p", "br0", "internal", tag=5, trunks=(1,), mtu=1400, vlan_mode="access")
    words = ["Port p tag=[] trunks=[] vlan_mode=[]", "Interface p mtu_request=[] type=system"]
    assert with_set(port, words, SCHEMA) == (OvsPort("p", "br0"), [])


def test_a_column_that_an_empty_field_would_leave_as_it_is_is_cleared_by_itself() -> None:
    bridge, columns = with_set(OvsBridge("b", fail_mode="secure"), "Bridge b fail_mode=[]", SCHEMA)
    assert (bridge.fail_mode, columns) == ("", [OvsColumn("Bridge", "b", "fail_mode", "", ())])


def test_assignments_to_other_columns_and_other_rows_are_records_of_their_own() -> None:
    port = OvsPort("p", "br0")
    words = "Interface p ofport_request=6"
    assert with_set(port, words, SCHEMA) == (port, [OvsColumn("Interface", "p", "ofport_request", "", (6,))])
    assert with_set(port, "Port q tag=5", SCHEMA) == (port, [OvsColumn("Port", "q", "tag", "", (5,))])


def test_a_later_column_replaces_what_it_overlaps() -> None:
    columns: dict[str, OvsColumn] = {}
    for column in parse_set("Port p other_config:a=b other_config={c=d} other_config:e=f tag=5", SCHEMA):
        add_column(columns, column)
    assert list(columns.values()) == [
        OvsColumn("Port", "p", "other_config", "", {"c": "d", "e": "f"}),
        OvsColumn("Port", "p", "tag", "", (5,)),
    ]

"""Modules ovs_bridge, ovs_port, ovs_flows and ovs_info, run as Ansible runs them.

It also tests the known faults of the modules whose options these modules accept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from modules import run_module
from shell import sh


@pytest.fixture
def bridge(unique: str) -> Iterator[str]:
    yield unique
    for name in (unique, f"{unique}B"):
        sh("ovs-vsctl", "--if-exists", "del-br", name)


@pytest.fixture
def made(bridge: str) -> str:
    """Return the name of a bridge that was created by hand."""
    sh("ovs-vsctl", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev")
    return bridge


def ok(name: str, **options: Any) -> dict[str, Any]:
    answer = run_module(name, **options)
    assert not answer.get("failed"), answer["msg"]
    return answer


def changed(name: str, **options: Any) -> list[bool]:
    """Whether check mode said "changed", a run did, and a second run did: must be True, True, False for a change."""
    return [ok(name, check=True, **options)["changed"]] + [ok(name, **options)["changed"] for _ in range(2)]


def column(table: str, name: str, what: str) -> Any:
    value = json.loads(sh("ovs-vsctl", "--format=json", f"--columns={what}", "list", table, name))["data"][0][0]
    if isinstance(value, list) and value[0] == "map":
        return dict(value[1])
    return value[1] if isinstance(value, list) else value


CHANGE = [True, True, False]


# ovs_bridge


def test_a_bridge_is_added_changed_and_removed(bridge: str) -> None:
    assert changed("ovs_bridge", bridge=bridge, datapath_type="netdev", external_ids={"bridge-id": bridge}) == CHANGE
    assert column("bridge", bridge, "external_ids") == {"bridge-id": bridge}
    assert changed("ovs_bridge", bridge=bridge, fail_mode="secure", mac="02:00:00:00:00:05") == CHANGE
    assert column("bridge", bridge, "fail_mode") == "secure"
    assert column("bridge", bridge, "other_config") == {"hwaddr": "02:00:00:00:00:05"}
    assert changed("ovs_bridge", bridge=bridge, state="absent") == CHANGE
    assert bridge not in sh("ovs-vsctl", "list-br").split()


def test_omitted_options_of_a_bridge_are_no_change(made: str) -> None:
    sh(
        "ovs-vsctl",
        "set",
        "bridge",
        made,
        "fail_mode=secure",
        "external_ids:a=b",
        "other_config:hwaddr=02:00:00:00:00:05",
    )
    assert not ok("ovs_bridge", bridge=made)["changed"]
    assert column("bridge", made, "external_ids") == {"a": "b"}


def test_keys_are_added_removed_by_null_and_cleared_by_an_empty_mapping(made: str) -> None:
    ok("ovs_bridge", bridge=made, external_ids={"a": "with blank, comma = sign", "n": 5, "t": True})
    assert column("bridge", made, "external_ids") == {"a": "with blank, comma = sign", "n": "5", "t": "true"}
    assert changed("ovs_bridge", bridge=made, external_ids={"a": None, "b": "1"}) == CHANGE
    assert column("bridge", made, "external_ids") == {"b": "1", "n": "5", "t": "true"}
    assert changed("ovs_bridge", bridge=made, external_ids={}) == CHANGE
    assert column("bridge", made, "external_ids") == {}


def test_set_is_compared_on_an_existing_bridge_too(made: str) -> None:
    words = f"bridge {made} other_config:stp-priority=0x7800 stp_enable=true fail_mode=secure"
    assert changed("ovs_bridge", bridge=made, set=words) == CHANGE
    assert column("bridge", made, "stp_enable") is True
    assert column("bridge", made, "other_config") == {"stp-priority": "0x7800"}
    assert column("bridge", made, "fail_mode") == "secure"


def test_set_of_a_bridge_reaches_its_local_port_too(bridge: str) -> None:
    words = f"interface {bridge} mtu_request=1400"
    assert changed("ovs_bridge", bridge=bridge, datapath_type="netdev", set=words) == CHANGE
    assert column("interface", bridge, "mtu_request") == 1400


def test_a_fake_bridge_is_a_vlan_of_its_parent(made: str, bridge: str) -> None:
    fake = f"{bridge}f"
    assert changed("ovs_bridge", bridge=fake, parent=made, vlan=405, external_ids={"who": "me"}) == CHANGE
    assert sh("ovs-vsctl", "br-to-parent", fake).strip() == made
    assert sh("ovs-vsctl", "br-to-vlan", fake).strip() == "405"
    assert sh("ovs-vsctl", "br-get-external-id", fake).strip() == "who=me"
    assert not ok("ovs_bridge", bridge=fake)["changed"]
    assert changed("ovs_bridge", bridge=fake, parent=made, vlan=406) == CHANGE
    assert changed("ovs_port", bridge=fake, port=f"{bridge}p", type="internal") == CHANGE
    assert column("port", f"{bridge}p", "tag") == 406
    assert changed("ovs_port", bridge=fake, port=f"{bridge}p", state="absent") == CHANGE
    ok("ovs_port", bridge=fake, port=f"{bridge}p", type="internal")
    assert changed("ovs_bridge", bridge=fake, state="absent") == CHANGE
    assert sh("ovs-vsctl", "list-ports", made).split() == []


def test_bridges_in_one_call_inherit_the_options_at_the_top(bridge: str) -> None:
    wanted = [{"bridge": bridge}, {"bridge": f"{bridge}B", "fail_mode": "secure"}]
    assert changed("ovs_bridge", datapath_type="netdev", bridges=wanted) == CHANGE
    assert column("bridge", bridge, "datapath_type") == "netdev"
    assert column("bridge", f"{bridge}B", "fail_mode") == "secure"


def test_a_diff_shows_the_changed_columns(made: str) -> None:
    answer = ok("ovs_bridge", bridge=made, fail_mode="secure", check=True, diff=True)
    (difference,) = answer["diff"]
    assert difference["before_header"] == f"ovs_bridge {made}"
    assert "fail_mode" not in difference["before"]
    assert '"fail_mode": "secure"' in difference["after"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"parent": "{b}"}, "a fake bridge needs one from 0 to 4095"),
        ({"vlan": 5}, "vlan is only for a fake bridge"),
        ({"set": "bridge {b} nonsense"}, " nonsense: must be COLUMN"),
        ({"set": "bridge {b} nonsense=1"}, "table Bridge has no column nonsense"),
        ({"set": "bridge {b} stp_enable=perhaps"}, "'perhaps' is not of type boolean"),
        ({"database_socket": "unix:/nonexistent.sock"}, None),
    ],
)
def test_bad_options_of_a_bridge_are_refused_by_name(made: str, options: dict[str, Any], complaint: str | None) -> None:
    given: dict[str, Any] = {
        key: value.replace("{b}", made) if isinstance(value, str) else value for key, value in options.items()
    }
    name = f"{made}f" if "parent" in options else made
    answer = run_module("ovs_bridge", bridge=name, **given)
    assert answer.get("failed")
    assert complaint is None or complaint in answer["msg"]


# ovs_port


def test_an_access_port_is_added_changed_and_removed(made: str) -> None:
    port = f"{made}1"
    assert changed("ovs_port", bridge=made, port=port, type="internal", tag=10) == CHANGE
    assert changed("ovs_port", bridge=made, port=port, tag=11, mtu=1400) == CHANGE
    assert (column("port", port, "tag"), column("interface", port, "mtu_request")) == (11, 1400)
    assert not ok("ovs_port", bridge=made, port=port)["changed"], "an omitted tag is no change"
    assert changed("ovs_port", bridge=made, port=port, state="absent") == CHANGE


def test_the_documented_attached_mac_example_is_idempotent(made: str) -> None:
    ids = {"iface-id": "node-vif", "attached-mac": "00:00:5E:00:53:23", "vm-id": "node", "iface-status": "active"}
    options = {"bridge": made, "port": f"{made}1", "type": "internal", "external_ids": ids}
    assert changed("ovs_port", **options) == CHANGE
    assert column("port", f"{made}1", "external_ids") == ids
    assert changed("ovs_port", **{**options, "external_ids": {"vm-id": None}}) == CHANGE
    assert "vm-id" not in column("port", f"{made}1", "external_ids")


def test_set_on_an_existing_port_is_applied(made: str) -> None:
    port = f"{made}1"
    ok("ovs_port", bridge=made, port=port, set=[f"Interface {port} type=vxlan options:remote_ip=192.0.2.1"])
    words = [f"Interface {port} options:remote_ip=192.0.2.2", f'port {port} other_config:note="a, b"']
    assert changed("ovs_port", bridge=made, port=port, set=words) == CHANGE
    assert column("interface", port, "options") == {"remote_ip": "192.0.2.2"}
    assert column("port", port, "other_config") == {"note": "a, b"}


def test_set_may_be_one_string_with_commas_and_nothing_to_set(made: str) -> None:
    port = f"{made}1"
    ok("ovs_port", bridge=made, port=port, type="internal")
    assert not ok("ovs_port", bridge=made, port=port, set=f"Interface {port}")["changed"]
    assert changed("ovs_port", bridge=made, port=port, set=f"port {port} trunks=1,2,3 vlan_mode=trunk") == CHANGE
    assert column("port", port, "trunks") == [1, 2, 3]


def test_a_changed_tunnel_end_is_applied_in_place(made: str) -> None:
    tunnel = {"bridge": made, "port": f"{made}1", "type": "vxlan", "key": "flow", "local_ip": "192.0.2.1"}
    assert changed("ovs_port", **tunnel, remote_ip="192.0.2.2", options={"df_default": True}) == CHANGE
    uuid = column("interface", f"{made}1", "_uuid")
    assert changed("ovs_port", **tunnel, remote_ip="192.0.2.3") == CHANGE
    assert column("interface", f"{made}1", "_uuid") == uuid
    assert column("interface", f"{made}1", "options") == {
        "df_default": "true",
        "key": "flow",
        "local_ip": "192.0.2.1",
        "remote_ip": "192.0.2.3",
    }


def test_a_patch_pair_and_a_trunk_in_one_call(made: str, bridge: str) -> None:
    ok("ovs_bridge", bridge=f"{bridge}B", datapath_type="netdev")
    ports = [
        {"bridge": made, "port": f"{made}1", "type": "patch", "peer": f"{made}2"},
        {"bridge": f"{bridge}B", "port": f"{made}2", "type": "patch", "peer": f"{made}1"},
        {"bridge": made, "port": f"{made}3", "type": "internal", "vlan_mode": "trunk", "trunks": [20, 10]},
    ]
    assert changed("ovs_port", ports=ports) == CHANGE
    assert column("port", f"{made}3", "trunks") == [10, 20]
    assert changed("ovs_port", bridge=made, ports=[{"port": f"{made}{n}", "state": "absent"} for n in "13"]) == CHANGE


def test_a_port_on_another_bridge_is_not_removed_but_is_moved_if_it_is_desired_here(made: str, bridge: str) -> None:
    ok("ovs_bridge", bridge=f"{bridge}B", datapath_type="netdev")
    ok("ovs_port", bridge=made, port=f"{made}1", type="internal")
    assert not ok("ovs_port", bridge=f"{bridge}B", port=f"{made}1", state="absent")["changed"]
    assert changed("ovs_port", bridge=f"{bridge}B", port=f"{made}1") == CHANGE
    assert sh("ovs-vsctl", "port-to-br", f"{made}1").strip() == f"{bridge}B"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "bridge is missing"),
        ({"bridge": "{b}", "tag": 5000}, "tag 5000: must be from 0 to 4095"),
        ({"bridge": "{b}", "type": "patch"}, "type patch needs peer"),
        ({"bridge": "{b}", "type": "vxlan"}, "type vxlan needs remote_ip"),
        ({"bridge": "{b}no", "type": "internal"}, "no does not exist"),
        ({"bridge": "{b}"}, "No such device"),
    ],
)
def test_bad_options_of_a_port_are_refused_by_name(made: str, options: dict[str, Any], complaint: str) -> None:
    given: dict[str, Any] = {
        key: value.replace("{b}", made) if isinstance(value, str) else value for key, value in options.items()
    }
    answer = run_module("ovs_port", port=f"{made}1", **given)
    assert answer.get("failed")
    assert complaint in answer["msg"]
    assert f"{made}1" in answer["msg"]


# ovs_flows and ovs_info


def test_flows_are_added_changed_and_removed(made: str) -> None:
    ok("ovs_port", bridge=made, port=f"{made}1", type="internal")
    lines = [f"table=3,priority=10,in_port={{{made}1}},tcp,tcp_dst=80,actions=drop", {"table": 4, "actions": "NORMAL"}]
    assert changed("ovs_flows", bridge=made, flows=lines) == CHANGE
    assert len(ok("ovs_info", bridges=[made], flows=True)["flows"][made]) == 3
    assert changed("ovs_flows", bridge=made, flows=[{"table": 4, "actions": "drop"}]) == CHANGE
    assert changed("ovs_flows", bridge=made, flows=[{"table": 4}], state="absent") == CHANGE
    assert len(ok("ovs_info", bridges=[made], flows=True)["flows"][made]) == 2


def test_purge_removes_only_other_flows_of_its_cookie(made: str) -> None:
    ok("ovs_flows", bridge=made, flows=["table=3,priority=1,actions=drop", "table=3,priority=2,actions=drop"])
    sh("ovs-ofctl", "add-flow", made, "cookie=0x5,table=3,priority=3,actions=drop")
    options = {"bridge": made, "flows": ["table=3,priority=1,actions=drop"], "purge": True}
    assert changed("ovs_flows", **options) == CHANGE
    left = ok("ovs_info", bridges=[made], flows=True)["flows"][made]
    assert len(left) == 3, "with the bridge's own, in table 0"
    assert not any("priority=2 " in line for line in left)


def test_info_returns_the_existing_bridges_and_ports(made: str) -> None:
    ok("ovs_port", bridge=made, port=f"{made}1", type="internal", tag=3)
    answer = ok("ovs_info", bridges=[made])
    assert [bridge["name"] for bridge in answer["bridges"]] == [made]
    assert [(port["name"], port["tag"], port["error"]) for port in answer["ports"]] == [
        (made, None, ""),
        (f"{made}1", 3, ""),
    ]
    assert not answer["changed"]


def test_on_a_node_without_open_vswitch_info_is_empty_and_check_mode_reports_changes() -> None:
    nowhere = {"database_socket": "unix:/nonexistent.sock"}
    assert ok("ovs_info", **nowhere)["bridges"] == []
    assert ok("ovs_bridge", bridge="br0", check=True, **nowhere)["changed"]
    assert ok("ovs_flows", bridge="br0", flows=["actions=drop"], check=True, **nowhere)["changed"]

"""OvsBridgeSubsystem with the real database and switch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from headworks.engine.converge import ConvergeError, Result, converge
from headworks.node.ovs.bridges import OvsBridgeSubsystem
from headworks.node.ovs.ports import OvsPortSubsystem
from headworks.state.ovs import OvsBridge, OvsPort
from headworks.system import ovsdb
from shell import sh


@pytest.fixture
def bridge(unique: str) -> Iterator[str]:
    yield unique
    sh("ovs-vsctl", "--if-exists", "del-br", unique)


def run(owner: str | None, *bridges: OvsBridge, ports: tuple[OvsPort, ...] = (), check: bool = False) -> Result:
    steps: list[Any] = [
        (OvsBridgeSubsystem(owner), {bridge.name: bridge for bridge in bridges}),
        (OvsPortSubsystem(owner), {port.name: port for port in ports}),
    ]
    return converge(steps, check=check)


def labels(result: Result) -> list[str]:
    return [f"{change['verb']} {change['kind']} {change['name']}" for change in result.changes]


def get(bridge: str, column: str) -> str:
    return sh("ovs-vsctl", "get", "bridge", bridge, column).strip()


def exists(bridge: str) -> bool:
    return bridge in sh("ovs-vsctl", "list-br").split()


def netdev(name: str, **fields: Any) -> OvsBridge:
    return OvsBridge(name, "netdev", **fields)


def test_a_bridge_is_created_with_its_mark_and_a_second_run_changes_nothing(unique: str, bridge: str) -> None:
    wanted = netdev(bridge, mac="02:11:22:33:44:55", external_ids={"note": "a b, c=d"}, other_config={"x": "y"})
    assert labels(run(unique, wanted)) == [f"add ovs_bridge {bridge}"]
    assert get(bridge, "fail_mode") == "secure"
    assert get(bridge, "datapath_type") == "netdev"
    assert get(bridge, "external_ids:headworks").strip('"') == unique
    assert get(bridge, "external_ids:note") == '"a b, c=d"'
    assert "02:11:22:33:44:55" in sh("ip", "link", "show", bridge)
    assert not run(unique, wanted).changed


def test_check_mode_reports_the_change_and_creates_nothing(unique: str, bridge: str) -> None:
    assert labels(run(unique, netdev(bridge), check=True)) == [f"add ovs_bridge {bridge}"]
    assert not exists(bridge)


def test_a_bridge_is_changed_in_place_and_foreign_keys_stay(unique: str, bridge: str) -> None:
    run(unique, netdev(bridge, external_ids={"a": "1"}))
    sh("ovs-vsctl", "set", "bridge", bridge, "external_ids:theirs=x", "other_config:mac-aging-time=30")
    uuid = get(bridge, "_uuid")
    changed = netdev(bridge, fail_mode="standalone", external_ids={"a": "2"}, other_config={"b": "3"})
    assert labels(run(unique, changed)) == [f"change ovs_bridge {bridge}"]
    assert (get(bridge, "_uuid"), get(bridge, "fail_mode")) == (uuid, "standalone")
    assert get(bridge, "external_ids") == f'{{a="2", headworks={unique}, theirs=x}}'
    assert get(bridge, "other_config") == '{b="3", mac-aging-time="30"}'
    assert not run(unique, changed).changed


def test_a_bridge_that_is_no_longer_desired_is_removed_and_a_bridge_of_another_cloud_stays(
    unique: str, bridge: str
) -> None:
    run(unique, netdev(bridge))
    assert not run(f"{unique}-other").changed
    assert labels(run(unique)) == [f"remove ovs_bridge {bridge}"]
    assert not exists(bridge)


def test_a_foreign_bridge_with_a_desired_name_is_used_but_neither_marked_nor_removed(unique: str, bridge: str) -> None:
    sh("ovs-vsctl", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev", "external_ids:op=1")
    assert labels(run(unique, netdev(bridge))) == [f"change ovs_bridge {bridge}"]
    assert (get(bridge, "fail_mode"), get(bridge, "external_ids")) == ("secure", '{op="1"}')
    assert not run(unique).changed
    assert exists(bridge)


def test_a_bridge_with_foreign_ports_stays_and_is_reported_until_they_are_removed(unique: str, bridge: str) -> None:
    port = OvsPort(f"{unique}p", bridge, "internal")
    run(unique, netdev(bridge), ports=(port,))
    sh("ovs-vsctl", "add-port", bridge, f"{unique}f", "--", "set", "interface", f"{unique}f", "type=internal")
    result = run(unique)
    assert labels(result) == [f"remove ovs_port {unique}p"]
    assert [note.text for note in result.notes] == [
        f"ovs_bridge {bridge} is no longer desired but stays: it has ports that are not ours ({unique}f)"
    ]
    sh("ovs-vsctl", "del-port", f"{unique}f")
    assert labels(run(unique)) == [f"remove ovs_bridge {bridge}"]


def test_a_bridge_that_the_switch_cannot_create_is_a_failure_with_the_reason(unique: str, bridge: str) -> None:
    with pytest.raises(ConvergeError, match=rf"ovs_bridge {bridge}: .*no-such-type"):
        run(unique, OvsBridge(bridge, "no-such-type"))


def test_without_open_vswitch_no_bridge_is_found_and_no_run_fails(unique: str) -> None:
    bridges = OvsBridgeSubsystem(unique, endpoint="unix:/nonexistent/db.sock")
    assert bridges.read({}).objects == {}
    assert labels(converge([(bridges, {"br0": netdev("br0")})], check=True)) == ["add ovs_bridge br0"]


def test_if_open_vswitch_is_installed_but_does_not_run_a_check_says_so(
    unique: str, bridge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(unique, netdev(bridge))
    monkeypatch.setattr(ovsdb, "ENDPOINT", "unix:/nonexistent/db.sock")
    bridges = OvsBridgeSubsystem(unique, endpoint=ovsdb.ENDPOINT)
    with pytest.raises(ConvergeError, match=r"ovs_bridge: reading: .* is ovsdb-server running\?"):
        converge([(bridges, {"br0": netdev("br0")})], check=True)


def test_if_open_vswitch_was_never_started_a_check_lists_all_as_new(
    unique: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    schema = "/usr/share/openvswitch/vswitch.ovsschema"
    sh("ovsdb-tool", "create", str(tmp_path / "conf.db"), schema)
    monkeypatch.setattr(ovsdb, "ENDPOINT", "unix:/nonexistent/db.sock")
    monkeypatch.setattr(ovsdb, "FILES", (tmp_path / "none.db", tmp_path / "conf.db"))
    bridges = OvsBridgeSubsystem(unique, endpoint=ovsdb.ENDPOINT)
    assert labels(converge([(bridges, {"br0": netdev("br0")})], check=True)) == ["add ovs_bridge br0"]
    (tmp_path / "conf.db").write_text("torn")
    with pytest.raises(ConvergeError, match=r"is ovsdb-server running\?"):
        converge([(bridges, {"br0": netdev("br0")})], check=True)


def test_a_hundred_bridges_and_ports_need_few_connections(unique: str, bridge: str) -> None:
    ports = tuple(OvsPort(f"{unique}{number}", bridge, "internal") for number in range(100))
    run(unique, netdev(bridge), ports=ports)
    before = os.times().children_user
    run(unique, netdev(bridge), ports=ports)
    assert os.times().children_user == before, "no processes are started"

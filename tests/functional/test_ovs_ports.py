"""OvsPortSubsystem with the real database and switch."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from headworks.engine.converge import ConvergeError, Result, converge
from headworks.node.ovs.ports import OvsPortSubsystem
from headworks.node.subsystem import Applied, Change, Reading, Scope, Subsystem
from headworks.state.links import Link
from headworks.state.ovs import OvsPort
from headworks.system.ovsdb import Ovsdb, OvsdbError
from shell import sh


@pytest.fixture
def bridges(unique: str) -> Iterator[tuple[str, str]]:
    names = (f"{unique}A", f"{unique}B")
    for name in names:
        sh("ovs-vsctl", "add-br", name, "--", "set", "bridge", name, "datapath_type=netdev")
    yield names
    for name in names:
        sh("ovs-vsctl", "--if-exists", "del-br", name)


@pytest.fixture
def device(unique: str) -> Iterator[str]:
    """Return the name of a veth that the test may create."""
    yield f"{unique}v"
    sh("ip", "link", "delete", f"{unique}v", check=False)


def make_device(name: str) -> None:
    sh("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p")


def run(owner: str | None, *ports: OvsPort, check: bool = False) -> Result:
    return converge([(OvsPortSubsystem(owner), {port.name: port for port in ports})], check=check)


def labels(result: Result) -> list[str]:
    return [f"{change['verb']} {change['name']}" for change in result.changes]


def column(table: str, name: str, what: str) -> Any:
    """Return a column's value as JSON data: a map is a dict, a set is a list."""
    text = sh("ovs-vsctl", "--format=json", f"--columns={what}", "list", table, name)
    value = json.loads(text)["data"][0][0]
    if isinstance(value, list) and value[0] == "map":
        return dict(value[1])
    return value[1] if isinstance(value, list) else value


def test_every_column_is_written_to_the_database_and_a_second_run_changes_nothing(
    unique: str, bridges: tuple[str, str]
) -> None:
    br1, br2 = bridges
    ports = (
        OvsPort(f"{unique}1", br1, "internal", 7, "", (), "02:00:00:00:00:07", 1400, external_ids={"iface-id": "a,b"}),
        OvsPort(f"{unique}2", br1, "internal", vlan_mode="trunk", trunks=(20, 10)),
        OvsPort(f"{unique}3", br1, "vxlan", options={"remote_ip": "192.0.2.9", "local_ip": "192.0.2.1", "key": "flow"}),
        OvsPort(f"{unique}4", br1, "patch", options={"peer": f"{unique}5"}),
        OvsPort(f"{unique}5", br2, "patch", options={"peer": f"{unique}4"}),
        OvsPort(f"{unique}6", br1, "gre", options={"remote_ip": "192.0.2.10"}),
        OvsPort(f"{unique}7", br1, "geneve", options={"remote_ip": "192.0.2.11", "key": "7"}),
    )  # fmt: skip
    assert labels(run(unique, *ports)) == [f"add {port.name}" for port in ports]
    assert column("port", f"{unique}1", "tag") == 7
    assert column("interface", f"{unique}1", "external_ids") == {"iface-id": "a,b"}
    assert column("port", f"{unique}1", "external_ids") == {"headworks": unique}
    assert column("port", f"{unique}2", "trunks") == [10, 20]
    assert column("interface", f"{unique}3", "options") == ports[2].options
    assert "02:00:00:00:00:07" in sh("ip", "link", "show", f"{unique}1")
    assert "mtu 1400" in sh("ip", "link", "show", f"{unique}1")
    assert sh("ovs-vsctl", "list-ports", br2).split() == [f"{unique}5"]
    assert not run(unique, *ports).changed


def test_changed_columns_are_changed_in_place(unique: str, bridges: tuple[str, str]) -> None:
    name = f"{unique}1"
    before = OvsPort(name, bridges[0], "vxlan", tag=5, options={"remote_ip": "192.0.2.9", "key": "1"})
    run(unique, before)
    sh("ovs-vsctl", "set", "interface", name, "external_ids:theirs=x")
    uuids = column("port", name, "_uuid"), column("interface", name, "_uuid")
    after = OvsPort(name, bridges[0], "vxlan", options={"remote_ip": "192.0.2.10"}, external_ids={"iface-id": "y"})
    assert labels(run(unique, after)) == [f"change {name}"]
    assert (column("port", name, "_uuid"), column("interface", name, "_uuid")) == uuids
    assert column("interface", name, "options") == {"remote_ip": "192.0.2.10"}
    assert column("interface", name, "external_ids") == {"iface-id": "y", "theirs": "x"}
    assert column("port", name, "tag") == []
    assert not run(unique, after).changed


def test_a_port_moves_to_another_bridge_as_the_same_row(unique: str, bridges: tuple[str, str]) -> None:
    name = f"{unique}1"
    run(unique, OvsPort(name, bridges[0], "internal"))
    uuid = column("port", name, "_uuid")
    assert labels(run(unique, OvsPort(name, bridges[1], "internal"))) == [f"change {name}"]
    assert sh("ovs-vsctl", "port-to-br", name).strip() == bridges[1]
    assert column("port", name, "_uuid") == uuid
    assert not run(unique, OvsPort(name, bridges[1], "internal")).changed


def test_only_our_ports_are_removed(unique: str, bridges: tuple[str, str]) -> None:
    for name, mark in (("f", []), ("n", ["external_ids:headworks-nic=1", f"external_ids:headworks={unique}"])):
        words = [
            "add-port",
            bridges[0],
            f"{unique}{name}",
            "--",
            "set",
            "interface",
            f"{unique}{name}",
            "type=internal",
        ]
        sh("ovs-vsctl", *words)
        if mark:
            sh("ovs-vsctl", "set", "port", f"{unique}{name}", *mark)
    run(unique, OvsPort(f"{unique}1", bridges[0], "internal"))
    assert not run(f"{unique}-other").changed
    assert labels(run(unique)) == [f"remove {unique}1"]
    assert set(sh("ovs-vsctl", "list-ports", bridges[0]).split()) == {f"{unique}f", f"{unique}n"}


def test_a_foreign_port_with_a_desired_name_is_changed_but_not_marked(unique: str, bridges: tuple[str, str]) -> None:
    name = f"{unique}1"
    sh("ovs-vsctl", "add-port", bridges[0], name, "--", "set", "interface", name, "type=internal")
    assert labels(run(unique, OvsPort(name, bridges[0], "internal", tag=9))) == [f"change {name}"]
    assert column("port", name, "tag") == 9
    assert not run(unique).changed


def test_a_port_without_its_device_is_a_failure_that_names_it_until_the_device_exists(
    unique: str, bridges: tuple[str, str], device: str
) -> None:
    wanted = OvsPort(device, bridges[0])
    with pytest.raises(ConvergeError, match=rf"ovs_port {device}: .*No such device"):
        run(unique, wanted)
    make_device(device)
    run(unique, wanted)
    assert column("interface", device, "ofport") > 0
    assert not run(unique, wanted).changed


def test_a_port_whose_device_was_recreated_works_again(unique: str, bridges: tuple[str, str], device: str) -> None:
    make_device(device)
    run(unique, OvsPort(device, bridges[0]))
    sh("ip", "link", "delete", device)
    make_device(device)
    run(unique, OvsPort(device, bridges[0]))
    assert column("interface", device, "error") == []
    assert not run(unique, OvsPort(device, bridges[0])).changed


def test_a_missing_bridge_is_reported_and_the_ports_of_the_others_are_added(
    unique: str, bridges: tuple[str, str]
) -> None:
    ports = (OvsPort(f"{unique}1", bridges[0], "internal"), OvsPort(f"{unique}2", f"{unique}no", "internal"))
    with pytest.raises(ConvergeError, match=rf"port {unique}2: bridge {unique}no does not exist"):
        run(unique, *ports)
    assert sh("ovs-vsctl", "list-ports", bridges[0]).split() == [f"{unique}1"]


def test_check_mode_reports_exactly_the_changes_of_a_run(unique: str, bridges: tuple[str, str]) -> None:
    run(unique, OvsPort(f"{unique}1", bridges[0], "internal"), OvsPort(f"{unique}2", bridges[0], "internal"))
    wanted = (OvsPort(f"{unique}2", bridges[0], "internal", tag=3), OvsPort(f"{unique}3", bridges[0], "internal"))
    promised = labels(run(unique, *wanted, check=True))
    assert promised == [f"change {unique}2", f"add {unique}3", f"remove {unique}1"]
    assert column("port", f"{unique}2", "tag") == []
    assert labels(run(unique, *wanted)) == promised


def test_a_row_left_by_a_killed_run_is_completed(unique: str, bridges: tuple[str, str]) -> None:
    """The killed run has committed its transaction, but has not waited for ovs-vswitchd."""
    name = f"{unique}1"
    sh("ovs-vsctl", "--no-wait", "add-port", bridges[0], name, "--", "set", "interface", name, "type=internal",
       "--", "set", "port", name, f"external_ids:headworks={unique}")  # fmt: skip
    run(unique, OvsPort(name, bridges[0], "internal", tag=4))
    assert column("port", name, "tag") == 4
    assert column("interface", name, "ofport") > 0
    assert not run(unique, OvsPort(name, bridges[0], "internal", tag=4)).changed


def test_three_hundred_ports_are_one_transaction(
    unique: str, bridges: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = []
    real = Ovsdb.commit

    def counted(self: Ovsdb, operations: Any, *rest: Any) -> Any:
        commits.append(len(operations))
        return real(self, operations, *rest)

    monkeypatch.setattr(Ovsdb, "commit", counted)
    ports = [OvsPort(f"{unique}{number}", bridges[0], "internal", tag=1 + number % 20) for number in range(300)]
    run(unique, *ports)
    run(unique, *ports)
    assert commits == [601]
    assert len(sh("ovs-vsctl", "list-ports", bridges[0]).split()) == 300


def test_the_error_of_a_refused_transaction_names_the_operation(unique: str, bridges: tuple[str, str]) -> None:
    row = {"name": f"{unique}1", "interfaces": ["named-uuid", "i"], "tag": 5000}
    with Ovsdb() as database, pytest.raises(OvsdbError, match=rf"^insert Port {unique}1: .*5000"):
        database.commit(
            [
                {"op": "insert", "table": "Interface", "uuid-name": "i", "row": {"name": f"{unique}1"}},
                {"op": "insert", "table": "Port", "row": row},
            ]
        )


class Links(Subsystem[Link]):
    """A stand-in for the subsystem of links. ``apply`` recreates the veth of each change."""

    kind = "link"
    record = Link

    def __init__(self, stop: int) -> None:
        super().__init__("cloud")
        self.stop = stop
        self.end = "elsewhere"

    def read(self, desired: Mapping[str, Link], scope: Scope | None = None) -> Reading[Link]:
        return Reading({name: replace(link, peer=self.end) for name, link in desired.items()})

    def apply(self, changes: Sequence[Change[Link]]) -> Applied:
        os.kill(self.stop, signal.SIGSTOP)  # like a busy switch, which only sees that a device of this name exists
        try:
            for change in changes:
                assert change.after is not None
                sh("ip", "link", "delete", change.name)
                plug(change.name, change.after.peer_netns)
                self.end = change.after.peer
        finally:
            os.kill(self.stop, signal.SIGCONT)
        return Applied()


def plug(name: str, netns: str) -> None:
    number = 1 + int(name[-1], 16) % 2
    peer = ["peer", "name", "e", "address", f"02:00:00:00:00:0{number}", "netns", netns]
    sh("ip", "link", "add", name, "up", "type", "veth", *peer)
    sh("ip", "-n", netns, "address", "add", f"10.77.0.{number}/24", "dev", "e")
    sh("ip", "-n", netns, "link", "set", "e", "up")


@pytest.mark.parametrize("tag", [None, 5], ids=["nothing else changes", "the VLAN changes, too"])
def test_packets_flow_again_through_a_port_whose_device_is_recreated_unnoticed_by_the_switch(
    unique: str, bridges: tuple[str, str], tag: int | None
) -> None:
    pid = int(Path("/run/openvswitch/ovs-vswitchd.pid").read_text())
    names = [f"{unique}0", f"{unique}1"]
    ports = {name: OvsPort(name, bridges[0], external_ids={"iface-id": name}) for name in names}
    try:
        for name in names:
            sh("ip", "netns", "add", name)
            plug(name, name)
        converge([(OvsPortSubsystem(unique), ports)])
        sh("ovs-vsctl", "set", "interface", names[0], "external_ids:theirs=x")
        sh("ping", "-c5", "-i0.3", "-W1", "10.77.0.1", netns=names[1])
        wanted = {names[0]: Link(names[0], "veth", peer="e", peer_netns=names[0])}
        ports = {name: replace(port, tag=tag) for name, port in ports.items()}
        result = converge([(Links(pid), wanted), (OvsPortSubsystem(unique), ports)])
        recreated = ["link", "ovs_port"] if tag is None else ["link", "ovs_port", "ovs_port"]
        assert [change["kind"] for change in result.changes] == recreated
        sh("ping", "-c5", "-i0.3", "-W1", "10.77.0.1", netns=names[1])
        assert column("interface", names[0], "external_ids") == {"iface-id": names[0], "theirs": "x"}
        assert not converge([(OvsPortSubsystem(unique), ports)]).changed
    finally:
        for name in names:
            sh("ip", "netns", "delete", name, check=False)
            sh("ip", "link", "delete", name, check=False)

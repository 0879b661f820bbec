"""Modules ovs_bridge and ovs_port: what differs from the collection openvswitch.openvswitch on purpose (the table in
docs/modules.md), calls that fail as a whole, ports that wait for a device, and bridges that nobody serves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ovs_twins import Side, prepared
from ovs_upstream_cases import STAGE
from shell import sh


@pytest.fixture
def ours(unique: str) -> Iterator[Side]:
    with prepared(STAGE, unique) as (side,):
        yield side


# What differs on purpose: the table in docs/modules.md.

DIFFERENT = [
    # (what, module, options, part of the message; "" if the options are valid)
    ("parent needs vlan", "ovs_bridge", {"bridge": "@g", "parent": "@b0"}, "needs one from 0 to 4095"),
    ("vlan needs parent", "ovs_bridge", {"bridge": "@b0", "vlan": 5}, "vlan is only for a fake bridge"),
    ("the parent stays", "ovs_bridge", {"bridge": "@f", "parent": "@b1", "vlan": 405}, "its parent is @b0"),
    ("a real bridge has no parent", "ovs_bridge", {"bridge": "@b1", "parent": "@b0", "vlan": 4}, "is a real bridge"),
    (
        "a chain",
        "ovs_port",
        {"bridge": "@b0", "port": "@p", "set": "port @p tag=1 -- set port @p tag=2"},
        "list of sets",
    ),
    ("another table", "ovs_port", {"bridge": "@b0", "port": "@p", "set": "open . external_ids:a=b"}, "table must be"),
    ("structure", "ovs_bridge", {"bridge": "@b0", "set": "bridge @b0 ports=[]"}, "column ports is changed by"),
    ("references", "ovs_port", {"bridge": "@b0", "port": "@p", "set": "port @p qos=@new"}, "references to other rows"),
    ("a missing bridge", "ovs_port", {"bridge": "@no", "port": "@p", "state": "absent"}, ""),
    ("True", "ovs_bridge", {"bridge": "@b0", "set": "bridge @b0 stp_enable=True"}, ""),
    ("a parent's port", "ovs_port", {"bridge": "@b0", "port": "@q"}, ""),
    ("a local port", "ovs_port", {"bridge": "@b0", "port": "@b0", "tag": 7}, ""),
    ("its type", "ovs_port", {"bridge": "@b0", "port": "@b0", "type": "vxlan"}, "local port of a bridge is internal"),
]


@pytest.mark.parametrize(("what", "name", "options", "complaint"), DIFFERENT, ids=[one[0] for one in DIFFERENT])
def test_the_documented_differences_are_as_documented(
    what: str, name: str, options: dict[str, Any], complaint: str, ours: Side
) -> None:
    before = ours.rows()
    for check in (True, False):
        answer = ours.module(name, options, check=check)
        assert bool(answer.get("failed")) == bool(complaint), answer
        assert ours.named(complaint) in answer.get("msg", "")
    if complaint:
        assert ours.rows() == before
    else:
        assert not ours.module(name, options)["changed"], "a second run"


def test_a_port_of_another_bridge_is_moved_and_a_note_says_so(ours: Side) -> None:
    options = {"bridge": "@f", "port": "@r"}
    for check in (True, False):
        (note,) = ours.module("ovs_port", options, check=check)["notes"]
        assert note == ours.named("port @r: moves from bridge @b1 to bridge @f")
    assert ours.vsctl("port-to-br @r") == ""
    assert ours.rows()["Port"]["@r"]["tag"] == 405
    assert not ours.module("ovs_port", options)["changed"]


def test_two_fake_bridges_of_one_call_cannot_have_the_same_vlan(ours: Side) -> None:
    bridges = [{"bridge": "@g"}, {"bridge": "@h"}]
    answer = ours.module("ovs_bridge", {"parent": "@b0", "vlan": 6, "bridges": bridges}, check=True)
    assert ours.named("@h: vlan 6: bridge @b0 already has the fake bridge @g") in answer["msg"]


def test_a_bridge_and_its_fake_bridge_are_made_in_one_call(ours: Side) -> None:
    bridges = [
        {"bridge": "@n", "datapath_type": "netdev", "set": ["bridge @n stp=true", "interface @n mtu_request=1400"]},
        {"bridge": "@g", "parent": "@n", "vlan": 6, "set": "port @g other_config:a=b"},
    ]
    for changed in (True, False):
        assert ours.module("ovs_bridge", {"bridges": bridges})["changed"] is changed
    rows = ours.rows()
    assert rows["Bridge"]["@n"]["stp_enable"] is True
    assert rows["Interface"]["@n"]["mtu_request"] == 1400
    assert rows["Port"]["@g"]["other_config"] == ["map", [["a", "b"]]]


@pytest.mark.parametrize(
    ("name", "options", "known_beforehand"),
    [
        ("ovs_bridge", {"bridge": "@n", "set": "bridge @n protocols=OpenFlow99"}, True),
        ("ovs_bridge", {"bridges": [{"bridge": "@n"}, {"bridge": "@o", "set": "bridge @o stp_enable=perhaps"}]}, True),
        ("ovs_bridge", {"bridges": [{"bridge": "@n"}, {"bridge": "@o", "set": "port @none tag=5"}]}, False),
        ("ovs_bridge", {"bridges": [{"bridge": "@n"}, {"bridge": "@g", "parent": "@none", "vlan": 7}]}, False),
        ("ovs_bridge", {"bridge": "@n", "fail_mode": "secure", "set": "bridge @n nonsense=1"}, True),
        ("ovs_port", {"bridge": "@b0", "port": "@n", "type": "internal", "set": "port @n tag=5000"}, True),
        (
            "ovs_port",
            {"bridge": "@b0", "ports": [{"port": "@n", "type": "internal"}, {"port": "@o", "tag": "x"}]},
            True,
        ),
        (
            "ovs_port",
            {"type": "internal", "ports": [{"bridge": "@b0", "port": "@n"}, {"bridge": "@no", "port": "@o"}]},
            False,
        ),
    ],
)
def test_a_call_that_fails_leaves_nothing_half_made(
    name: str, options: dict[str, Any], known_beforehand: bool, ours: Side
) -> None:
    """What another task may still make (a bridge, a row) is not known in check mode."""
    before = ours.rows()
    assert bool(ours.module(name, options, check=True).get("failed")) == known_beforehand
    assert ours.module(name, options)["failed"]
    assert ours.rows() == before


def test_a_port_may_wait_for_its_device(ours: Side) -> None:
    options = {"bridge": "@b0", "port": "@late", "allow_missing_device": True}
    answers = [ours.module("ovs_port", options) for _ in range(2)]
    assert [answer["changed"] for answer in answers] == [True, False]
    assert all("its device does not exist yet" in answer["notes"][0] for answer in answers)
    ours.prepare("device @late")
    ours.vsctl("wait-until interface @late ofport!=-1")
    assert ours.module("ovs_port", options) == {**answers[1], "notes": []}
    assert ours.module("ovs_port", {**options, "port": "@never", "allow_missing_device": False})["failed"]


@pytest.mark.skipif(Path("/sys/module/openvswitch").exists(), reason="the kernel has the module openvswitch")
def test_an_unserved_bridge_names_the_missing_kernel_module(ours: Side) -> None:
    answer = ours.module("ovs_bridge", {"bridge": "@n"})
    assert answer["failed"]
    assert "kernel module openvswitch is missing" in answer["msg"]
    answer = ours.module("ovs_port", {"bridge": "@n", "port": "@np", "type": "internal"})
    assert ours.named("does not serve bridge @n of datapath_type system") in answer["msg"]


def test_a_second_socket_of_the_database(ours: Side, tmp_path: Path) -> None:
    socket = f"{tmp_path}/second.sock"
    sh("ovs-appctl", "-t", "ovsdb-server", "ovsdb-server/add-remote", f"punix:{socket}")
    try:
        options = {"database_socket": f"unix:{socket}", "bridge": "@b0", "port": "@eth2", "state": "present"}
        assert ours.module("ovs_port", options)["changed"]
        options = {"database_socket": f"unix:{socket}", "bridge": "@n", "datapath_type": "netdev"}
        assert ours.module("ovs_bridge", options)["changed"]
    finally:
        sh("ovs-appctl", "-t", "ovsdb-server", "ovsdb-server/remove-remote", f"punix:{socket}")
    assert "@eth2" in ours.rows()["Bridge"]["@b0"]["ports"]

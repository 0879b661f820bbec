"""The report of the demo: proofs from answers, leases and states, and the tables."""

from __future__ import annotations

from typing import Any

import pytest
from headworks_lab.demo import Proof, cloud_lines, lease_proofs, proof_lines, proofs_of, state_proofs, table

SUMMARY: dict[str, Any] = {
    "nodes": {"c1": {"roles": ["compute"], "management_ip": "192.0.2.1", "tunnel_ip": "198.51.100.1"}},
    "networks": {"net": {"type": "gre", "segmentation_id": 7, "subnets": ["10.0.0.0/24"], "mtu": 1458}},
    "routers": {"r1": {"node": "n1", "networks": ["net"], "external_network": "ext", "external_ips": ["203.0.113.1"]}},
    "floating_ips": {"203.0.113.5": {"fixed": "10.0.0.3", "instance": "vm1"}},
    "instances": {
        "vm1": {
            "domain": "instance-00000001",
            "node": "c1",
            "state": "running",
            "nics": [{"mac": "fa:16:3e:00:00:01", "addresses": ["10.0.0.3"]}],
            "floating_ips": ["203.0.113.5"],
        }
    },
}


@pytest.mark.parametrize(
    ("line", "ok"),
    [
        ("1795284717 fa:16:3e:00:00:01 10.0.0.3 vm1 01:fa:16:3e:00:00:01", True),
        ("1795284717 fa:16:3e:00:00:02 10.0.0.3 vm1 *", False),
        ("1795284717 fa:16:3e:00:00:01 10.0.0.4 vm1 *", False),
        ("", False),
    ],
)
def test_a_lease_proves_only_its_own_mac_and_address(line: str, ok: bool) -> None:
    assert [proof.ok for proof in lease_proofs(SUMMARY, line)] == [ok]


@pytest.mark.parametrize(("states", "ok"), [({"vm1": "running"}, True), ({"vm1": "stopped"}, False), ({}, False)])
def test_the_proof_of_a_state_holds_only_for_the_declared_state(states: dict[str, str], ok: bool) -> None:
    assert [proof.ok for proof in state_proofs(SUMMARY, states)] == [ok]


def test_an_answer_becomes_a_proof_with_the_expected_line_or_the_failure() -> None:
    answers = [
        {"name": "a", "ok": True, "shown": "0% packet loss", "rc": 0, "stdout": "…", "stderr": ""},
        {"name": "b", "ok": False, "shown": "", "rc": 1, "stdout": "x\ny\n", "stderr": "no route\n"},
    ]
    assert proofs_of(answers) == [Proof("a", True, "0% packet loss"), Proof("b", False, "exit 1: x / y /  / no route")]


def test_the_line_of_a_failed_proof_begins_with_fail() -> None:
    assert proof_lines([Proof("a", True, "x"), Proof("longer", False)]) == [
        (True, "ok    a       x"),
        (False, "FAIL  longer"),
    ]


def test_the_table_of_the_cloud_has_a_line_for_each_object() -> None:
    assert cloud_lines(SUMMARY, {"vm1": "running"}) == [
        "node         c1           compute  192.0.2.1              tunnels at 198.51.100.1",
        "network      net          gre 7    10.0.0.0/24            mtu 1458",
        "router       r1           on n1    net                    outside: ext 203.0.113.1",
        "floating IP  203.0.113.5  to vm1   10.0.0.3",
        "guest        vm1          on c1    10.0.0.3, 203.0.113.5  running",
    ]


def test_columns_are_aligned() -> None:
    assert table([("a", "bb"), ("ccc", "d")]) == ["a    bb", "ccc  d"]

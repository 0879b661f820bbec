"""Links: which differences count, which need a recreation, and the ``ip`` commands that create a link."""

from __future__ import annotations

from dataclasses import replace

import pytest
from headworks.node.links.links import LinkSubsystem, _adjustments, _conflicts, _create, _must_recreate
from headworks.node.subsystem import Reading
from headworks.state.links import Link

VETH = Link("tap1", "veth", 1450, peer="qr-1", peer_netns="qrouter-1", peer_mac="fa:16:3e:00:00:01", tx_checksum=False)


def same(desired: Link, actual: Link) -> bool:
    return LinkSubsystem("cloud").same(desired, actual)


def test_fields_that_the_plan_leaves_open_are_not_compared() -> None:
    assert same(Link("nic", "existing", 0), Link("nic", "existing", 9000, mac="00:11:22:33:44:55"))
    assert same(replace(VETH, mac=""), replace(VETH, mac="00:11:22:33:44:55"))


@pytest.mark.parametrize(
    "actual",
    [
        replace(VETH, mtu=1500),
        replace(VETH, up=False),
        replace(VETH, tx_checksum=True),
        replace(VETH, master="br0"),
        replace(VETH, peer="?"),
        replace(VETH, peer_netns="?"),
        replace(VETH, kind="bridge"),
        replace(VETH, closed=False),
    ],
)
def test_each_other_difference_counts(actual: Link) -> None:
    assert not same(VETH, actual)


@pytest.mark.parametrize(
    ("change", "recreated"),
    [
        ({"mtu": 9}, False),
        ({"up": False}, False),
        ({"master": "x"}, False),
        ({"peer": "?"}, True),
        ({"kind": "tap"}, True),
    ],
)
def test_a_link_is_recreated_only_for_its_kind_and_its_peer(change: dict[str, object], recreated: bool) -> None:
    assert _must_recreate(VETH, replace(VETH, **change)) == recreated  # type: ignore[arg-type]


def test_mac_addresses_are_compared_without_regard_to_case() -> None:
    assert _adjustments(replace(VETH, mac="FA:16:3E:AA:00:01"), replace(VETH, mac="fa:16:3e:aa:00:01")) == []


def test_a_veth_is_created_with_its_mark_and_peer_and_without_ipv6_before_it_is_up() -> None:
    assert _create(VETH, " group 26743") == [
        "link add name tap1 mtu 1450 group 26743 type veth"
        " peer name qr-1 mtu 1450 address fa:16:3e:00:00:01 netns qrouter-1",
        "link set dev tap1 arp off addrgenmode none",
        "link set dev tap1 up",
    ]


def test_an_open_link_is_closed_without_being_recreated() -> None:
    assert _adjustments(VETH, replace(VETH, closed=False)) == ["arp off addrgenmode none"]
    assert not _must_recreate(VETH, replace(VETH, closed=False))


def test_a_foreign_link_is_a_conflict_for_a_cloud_but_not_for_a_module() -> None:
    links = {"tap1": VETH}
    (conflict,) = _conflicts(links, links, ours=frozenset())
    assert "tap1 exists and is not ours" in conflict.text
    assert _conflicts(links, links, ours=None) == ()
    assert LinkSubsystem().diff(links, Reading(links)) == []


def test_an_existing_nic_must_exist_unless_it_is_the_peer_of_a_desired_veth() -> None:
    port = Link("qvb1", "existing", 0, master="qbr1")
    (conflict,) = _conflicts({"qvb1": port}, {}, ours=frozenset())
    assert "qvb1: this node has no such interface" in conflict.text
    pair = Link("qvo1", "veth", peer="qvb1")
    assert _conflicts({"qvb1": port, "qvo1": pair}, {}, ours=frozenset()) == ()
    changes = LinkSubsystem("cloud").diff({"qvb1": port, "qvo1": pair}, Reading())
    assert [change.name for change in changes] == ["qvb1", "qvo1"]


@pytest.mark.parametrize("name", ["", "sixteen-letters-", "a b", "a/b", "a\nlink delete eth0"])
def test_a_name_that_the_kernel_would_refuse_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="link"):
        Link(name, "tap")

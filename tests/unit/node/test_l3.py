"""The ``ip`` lines for a difference of two configurations, and their order; addresses and frames as bytes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from headworks.node.l3.gratuitous_arp import frame
from headworks.node.l3.ip_lines import lines_for
from headworks.state.l3 import Device, NamespaceConfig, Route, canonical

DEVICE = Device("qr-1", "fa:16:3e:00:00:01", 1450, ("10.0.0.1/24",))
CONFIG = NamespaceConfig("r", (DEVICE,), (Route("default", "10.0.0.254", "qr-1"),))


def with_addresses(*addresses: str) -> NamespaceConfig:
    return replace(CONFIG, devices=(replace(DEVICE, addresses=addresses),))


def test_equal_configurations_need_no_lines() -> None:
    assert lines_for(CONFIG, CONFIG) == []


def test_a_namespace_without_configuration_gets_all_lines() -> None:
    bare = NamespaceConfig("r", (Device("qr-1", "00:00:00:00:00:02", 1500, up=False),), lo_up=False)
    assert lines_for(CONFIG, bare) == [
        "link set dev lo up",
        "link set dev qr-1 address fa:16:3e:00:00:01 mtu 1450 up",
        "address add 10.0.0.1/24 dev qr-1 broadcast +",
        "route replace default proto static via 10.0.0.254 dev qr-1",
    ]


def test_an_address_is_added_before_another_is_deleted_and_routes_are_replaced_last() -> None:
    lines = lines_for(with_addresses("10.0.0.2/24"), CONFIG)
    assert lines == [
        "address add 10.0.0.2/24 dev qr-1 broadcast +",
        "address delete 10.0.0.1/24 dev qr-1",
        "route replace default proto static via 10.0.0.254 dev qr-1",
    ]


def test_only_the_new_address_is_added() -> None:
    assert lines_for(with_addresses("10.0.0.1/24", "172.16.0.5/32"), CONFIG) == ["address add 172.16.0.5/32 dev qr-1"]


def test_a_wrong_route_is_replaced_and_an_undesired_route_is_deleted() -> None:
    actual = replace(CONFIG, routes=(Route("default", "10.0.0.253", "qr-1"), Route("10.9.0.0/16", "10.0.0.3", "qr-1")))
    assert lines_for(CONFIG, actual) == [
        "route replace default proto static via 10.0.0.254 dev qr-1",
        "route delete 10.9.0.0/16",
    ]


def test_a_route_without_a_device_matches_any_device() -> None:
    assert lines_for(replace(CONFIG, routes=(Route("default", "10.0.0.254"),)), CONFIG) == []


def test_several_next_hops_are_one_route() -> None:
    two = replace(CONFIG, routes=(Route("10.9.0.0/16", "10.0.0.3"), Route("10.9.0.0/16", "10.0.0.4")))
    assert lines_for(two, replace(CONFIG, routes=two.routes[:1])) == [
        "route replace 10.9.0.0/16 proto static nexthop via 10.0.0.3 nexthop via 10.0.0.4"
    ]
    assert lines_for(two, replace(two, routes=two.routes[::-1])) == []


def test_default_routes_of_ipv4_and_ipv6_are_separate_routes() -> None:
    both = replace(CONFIG, routes=(*CONFIG.routes, Route("::/0", "2001:db8::1", "qr-1")))
    assert lines_for(both, CONFIG) == ["route replace default proto static via 2001:db8::1 dev qr-1"]
    assert lines_for(CONFIG, both) == ["route delete ::/0"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("10.0.0.1/24", "10.0.0.1/24"),
        ("2001:DB8:0:0::1/64", "2001:db8::1/64"),
        ("2001:DB8::", "2001:db8::"),
        ("default", "default"),
        ("", ""),
    ],
)
def test_addresses_are_written_as_the_kernel_does(written: str, expected: str) -> None:
    assert canonical(written) == expected


@pytest.mark.parametrize("bad", ["10.0.0", "10.0.0.1 dev eth0", "nonsense", "2001:db8::1/64\nlink delete eth0"])
def test_a_text_that_is_not_an_address_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="appear"):
        Device("qr-1", addresses=(bad,))


def test_a_default_route_written_as_a_cidr_becomes_default() -> None:
    assert Route("0.0.0.0/0", "10.0.0.1").destination == "default"
    assert Route("::/0", "fe80::1").destination == "default"


def test_a_gratuitous_arp_frame_asks_for_its_own_address() -> None:
    mac = bytes.fromhex("fa163e000001")
    data = frame(mac, "172.16.0.5", 1)
    assert data[:14].hex() == "ffffffffffff" + mac.hex() + "0806"
    assert data[14:22].hex() == "0001080006040001"
    sender, target = data[22:32], data[32:42]
    assert sender == mac + bytes([172, 16, 0, 5])
    assert target == bytes(6) + bytes([172, 16, 0, 5])

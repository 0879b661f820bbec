"""NICs in bridges: whose they are, what is carried over, and in what order."""

from __future__ import annotations

import pytest
from headworks.node.subsystem import Reading
from headworks.node.underlay import carry
from headworks.node.underlay.carry import Address, Carried, gather, to_finish, to_first
from headworks.node.underlay.dhcp_client import leases_for, rewritten
from headworks.node.underlay.nics import UnderlaySubsystem, conflicts
from headworks.node.underlay.rollback import is_management
from headworks.state.underlay import NicAttachment

ADDRESSES = """[{"addr_info": [
  {"family": "inet", "local": "192.0.2.5", "prefixlen": 24, "broadcast": "192.0.2.255", "scope": "global"},
  {"family": "inet6", "local": "2001:db8::5", "prefixlen": 64, "scope": "global"},
  {"family": "inet6", "local": "2001:db8::abc", "prefixlen": 64, "scope": "global", "dynamic": true},
  {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"}]}]"""
ROUTES4 = """default via 192.0.2.1 proto static metric 100 linkdown
192.0.2.0/24 proto kernel scope link src 192.0.2.5
198.51.100.0/24 scope link
203.0.113.0/24 via 192.0.2.9 table 77
local 192.0.2.5 table local proto kernel scope host src 192.0.2.5
"""
ROUTES6 = """2001:db8::/64 proto kernel metric 256 pref medium
default via fe80::9 proto ra metric 1024 expires 1790sec pref medium
multicast ff00::/8 table local proto kernel metric 256 pref medium
"""


@pytest.fixture
def nic(monkeypatch: pytest.MonkeyPatch) -> Carried:
    def run(args: list[str]) -> str:
        return ADDRESSES if "address" in args else ROUTES4 if "-4" in args else ROUTES6

    monkeypatch.setattr(carry, "run", run)
    return gather("eth0")


def test_what_somebody_configured_is_carried_and_what_the_kernel_made_is_not(nic: Carried) -> None:
    assert nic.addresses == (Address("192.0.2.5/24", "broadcast 192.0.2.255"), Address("2001:db8::5/64", "nodad"))
    assert nic.routes == (
        "198.51.100.0/24 scope link",
        "default via 192.0.2.1 proto static metric 100",
        "203.0.113.0/24 via 192.0.2.9 table 77",
    )


def test_the_bridge_has_the_addresses_before_the_nic_loses_them(nic: Carried) -> None:
    assert to_first(nic, "br-ex", also_up="eth0") == [
        "link set dev eth0 up",
        "link set dev br-ex up",
        "address replace 192.0.2.5/24 broadcast 192.0.2.255 dev br-ex",
        "address replace 2001:db8::5/64 nodad dev br-ex",
    ]
    lines = to_finish(nic, "eth0", "br-ex")
    assert lines[:3] == [f"route replace {route} dev br-ex" for route in nic.routes]
    assert lines[3:] == ["address flush dev eth0 to 192.0.2.5/24", "address flush dev eth0 to 2001:db8::5/64"]


def test_a_nic_without_addresses_carries_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry, "run", lambda args: '[{"addr_info": []}]' if "address" in args else "x dev y\n")
    assert gather("eth2") == Carried()


@pytest.mark.parametrize(
    ("connection", "routes", "managed"),
    [
        ("198.51.100.1 4000 192.0.2.5 22", (), True),
        ("198.51.100.1 4000 203.0.113.5 22", (), False),
        ("", ("default via 192.0.2.1",), True),
        ("", ("198.51.100.0/24 via 192.0.2.1",), False),
    ],
)
def test_the_way_by_which_the_node_is_managed_is_known(
    connection: str, routes: tuple[str, ...], managed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", connection)
    assert is_management(Carried((Address("192.0.2.5/24"),), routes)) == managed


def test_an_unsettled_nic_is_a_change() -> None:
    wanted = NicAttachment("eth2", "br-ex")
    subsystem = UnderlaySubsystem("cloud")
    settled = Reading({"eth2": wanted}, frozenset({"eth2"}))
    half = Reading(
        {"eth2": NicAttachment("eth2", "br-ex", unsettled="addresses are still on eth2")}, frozenset({"eth2"})
    )
    assert subsystem.diff({"eth2": wanted}, settled) == []
    assert [one.verb for one in subsystem.diff({"eth2": wanted}, half)] == ["change"]


def test_a_nic_in_somebody_elses_bridge_is_an_error() -> None:
    desired, there = {"eth2": NicAttachment("eth2", "br-ex")}, {"eth2": NicAttachment("eth2", "br-theirs")}
    (conflict,) = conflicts(desired, there, owned=())
    assert "eth2 is a port of bridge br-theirs" in conflict.text
    assert conflicts(desired, there, owned={"eth2"}) == ()


@pytest.mark.parametrize("name", ["", "eth0 up", "eth0\nlink delete eth1", "sixteen-letters-"])
def test_a_name_that_the_kernel_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a link name"):
        NicAttachment(name, "br-ex")


def test_a_dhcp_client_is_started_for_the_other_device_with_files_of_its_own() -> None:
    arguments = [
        "/sbin/dhclient",
        "-1",
        "-4",
        "-v",
        "-pf",
        "/run/dhclient.eth0.pid",
        "-lf",
        "/var/lib/dhcp/eth0.leases",
    ]
    assert rewritten([*arguments, "-cf", "/etc/dhclient-eth01.conf", "eth0"], "eth0", "br-ex") == [
        "dhclient",
        "-nw",
        "-4",
        "-v",
        "-pf",
        "/run/dhclient.br-ex.pid",
        "-lf",
        "/var/lib/dhcp/br-ex.leases",
        "-cf",
        "/etc/dhclient-eth01.conf",
        "br-ex",
    ]


def test_a_lease_is_carried_to_the_other_device() -> None:
    lease = 'lease {\n  interface "eth0";\n  fixed-address 192.0.2.5;\n}\nlease {\n  interface "eth01";\n}\n'
    assert leases_for(lease, "eth0", "br-ex") == lease.replace('"eth0"', '"br-ex"')

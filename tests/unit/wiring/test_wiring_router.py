"""A router's namespace and its nftables table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from clouds import identity, s1_cloud
from headworks.plan.cloud import FloatingIp
from states import Sections, sections

QG = f"qg-{identity('port ext 172.16.19.1')[:11]}"
QR1 = f"qr-{identity('port internal 10.18.0.1')[:11]}"
QR2 = f"qr-{identity('port internal2 10.22.22.1')[:11]}"
NETNS = f"qrouter-{identity('router r1')}"


def with_router(**changes: Any) -> Sections:
    """Return the sections of network1, with a changed router of S1."""
    cloud = s1_cloud()
    router = replace(cloud.routers["r1"], **changes)
    return sections(replace(cloud, routers={"r1": router}), "network1")


def config(found: Sections) -> dict[str, Any]:
    """Return the router's L3 configuration."""
    return next(config for config in found["l3"] if config["name"] == NETNS)


def table(found: Sections) -> dict[str, Any]:
    """Return the router's nftables table."""
    return next(table for table in found["nft"] if table["name"] == NETNS)


def rules(found: Sections, chain: str) -> list[str]:
    """Return the rules of a chain of the router's table; empty if the chain does not exist."""
    return next((list(record["rules"]) for record in table(found)["chains"] if record["name"] == chain), [])


def test_devices_have_the_gateway_addresses_and_the_floating_ips(s1: Callable[[str], Sections]) -> None:
    devices = {device["name"]: device for device in config(s1("network1"))["devices"]}
    assert set(devices) == {QG, QR1, QR2, "lo"}
    assert devices[QR1]["addresses"] == ["10.18.0.1/24"]
    assert devices[QR2]["addresses"] == ["10.22.22.1/24"]
    assert devices[QG]["addresses"] == ["172.16.19.1/16", "172.16.19.232/32"]
    assert devices["lo"] == {"name": "lo", "mtu": 65536, "addresses": ["169.254.169.254/32"]}
    assert devices[QR1]["mtu"] == 1458
    assert {name for name, device in devices.items() if device.get("announce")} == {QG, QR1, QR2}


def test_default_route_uses_the_external_subnets_gateway(s1: Callable[[str], Sections]) -> None:
    assert config(s1("network1"))["routes"] == [{"destination": "default", "via": "172.16.0.1", "device": QG}]


def test_extra_routes_use_the_device_whose_subnet_has_the_next_hop() -> None:
    found = with_router(
        routes=(("10.99.0.0/16", "10.22.22.9"), ("10.98.0.0/16", "172.16.5.5"), ("0.0.0.0/0", "10.18.0.9"))
    )
    assert config(found)["routes"] == [
        {"destination": "10.98.0.0/16", "via": "172.16.5.5", "device": QG},
        {"destination": "10.99.0.0/16", "via": "10.22.22.9", "device": QR2},
        {"destination": "default", "via": "10.18.0.9", "device": QR1},
    ]


def test_sysctls(s1: Callable[[str], Sections]) -> None:
    found = config(s1("network1"))["sysctls"]
    assert found["ipv4/ip_forward"] == "1"
    assert found["ipv4/conf/all/arp_ignore"] == "1"
    assert found["ipv4/conf/all/arp_announce"] == "2"
    assert found["netfilter/nf_conntrack_tcp_be_liberal"] == "1"
    assert found[f"ipv4/conf/{QG}/rp_filter"] == "1"
    assert found[f"ipv4/conf/{QR1}/rp_filter"] == "2"
    assert found["ipv6/conf/all/disable_ipv6"] == "1"


def test_values_that_a_node_may_have_for_itself_are_set_for_all_and_for_each_device(
    s1: Callable[[str], Sections],
) -> None:
    found = config(s1("network1"))["sysctls"]
    for device in ("all", QG, QR1, QR2):
        assert found[f"ipv4/conf/{device}/arp_ignore"] == "1"
        assert found[f"ipv4/conf/{device}/proxy_arp"] == "0"
        assert found[f"ipv4/conf/{device}/send_redirects"] == "0"
        assert f"ipv4/conf/{device}/rp_filter" in found


def test_no_sysctl_of_the_root_namespace_is_set(s1: Callable[[str], Sections]) -> None:
    for node in ("controller1", "network1", "compute1", "compute2"):
        assert all(namespace["name"].startswith(("qrouter-", "qdhcp-")) for namespace in s1(node)["l3"])


def test_floating_ips_are_map_elements(s1: Callable[[str], Sections]) -> None:
    found = table(s1("network1"))
    assert {nft_map["name"]: nft_map["elements"] for nft_map in found["maps"]} == {
        "floating_dnat": {"172.16.19.232": "10.18.0.3"},
        "floating_snat": {"10.18.0.3": "172.16.19.232"},
    }
    assert found["floating_maps"] == ["floating_dnat"]


def test_rules_do_not_grow_with_floating_ips(s1: Callable[[str], Sections]) -> None:
    many = tuple(
        FloatingIp(f"172.16.20.{n}", "ext", f"10.18.0.{n}", f"vm{n}", identity(str(n))) for n in range(10, 110)
    )
    assert table(with_router(floating_ips=many))["chains"] == table(s1("network1"))["chains"]


def test_of_two_floating_ips_of_an_address_both_are_translated_inwards_and_the_lower_outwards() -> None:
    two = tuple(FloatingIp(f"172.16.20.{n}", "ext", "10.18.0.3", "vm1", identity(str(n))) for n in (5, 6))
    maps = {nft_map["name"]: nft_map["elements"] for nft_map in table(with_router(floating_ips=two))["maps"]}
    assert maps["floating_dnat"] == {"172.16.20.5": "10.18.0.3", "172.16.20.6": "10.18.0.3"}
    assert maps["floating_snat"] == {"10.18.0.3": "172.16.20.5"}


def test_source_nat_rules_in_order(s1: Callable[[str], Sections]) -> None:
    assert rules(s1("network1"), "postrouting") == [
        f'oifname != "{QG}" meta mark 0x00000002 accept',
        f'oifname != "{QG}" ct status ! dnat accept',
        "snat to ip saddr map @floating_snat",
        f'oifname "{QG}" snat to 172.16.19.1 fully-random',
        "ct status dnat snat to 172.16.19.1 fully-random",
    ]


def test_without_source_nat_floating_ips_work_and_the_networks_are_open() -> None:
    found = with_router(enable_snat=False)
    assert f'oifname "{QG}" snat to 172.16.19.1 fully-random' not in rules(found, "postrouting")
    assert "snat to ip saddr map @floating_snat" in rules(found, "postrouting")
    assert rules(found, "forward") == ["ct state invalid drop"]


def test_router_without_gateway_has_no_nat_and_no_default_route() -> None:
    found = with_router(gateway=None, floating_ips=())
    assert {chain["name"] for chain in table(found)["chains"]} == {"input", "forward"}
    assert "maps" not in table(found)
    assert "routes" not in config(found)
    assert {device["name"] for device in config(found)["devices"]} == {QR1, QR2, "lo"}

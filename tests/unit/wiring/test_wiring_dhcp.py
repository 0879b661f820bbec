"""DHCP services and their namespaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from clouds import identity, provider_cloud, s1_cloud
from headworks.plan.cloud import Cloud
from states import Sections, sections


def service(found: Sections, network: str) -> dict[str, Any]:
    """Return the DHCP service of a network."""
    return next(service for service in found["dhcp"] if service["name"] == identity(f"network {network}"))


def with_subnet(cloud: Cloud, network: str, **changes: Any) -> Cloud:
    """Return the cloud with a changed subnet of a network."""
    found = cloud.networks[network]
    changed = replace(found, subnets=(replace(found.subnets[0], **changes),))
    return replace(cloud, networks={**cloud.networks, network: changed})


def test_service_runs_on_the_dhcp_ports_device(s1: Callable[[str], Sections]) -> None:
    found = service(s1("network1"), "internal")
    assert found["netns"] == f"qdhcp-{identity('network internal')}"
    assert found["interface"] == f"ns-{identity('port internal 10.18.0.2')[:11]}"
    assert found["mtu"] == 1458


def test_every_guest_of_the_network_has_its_lease_wherever_it_runs(s1: Callable[[str], Sections]) -> None:
    assert service(s1("network1"), "internal")["hosts"] == [
        {"mac": "fa:16:3e:12:00:03", "address": "10.18.0.3", "hostname": "vm1"},
        {"mac": "fa:16:3e:12:00:04", "address": "10.18.0.4", "hostname": "vm2"},
    ]


def test_routed_subnet_gets_its_gateway_and_no_metadata_route(s1: Callable[[str], Sections]) -> None:
    assert service(s1("network1"), "internal")["subnets"] == [
        {
            "tag": f"subnet-{identity('subnet internal')}",
            "cidr": "10.18.0.0/24",
            "server": "10.18.0.2",
            "gateway": "10.18.0.1",
        }
    ]


def test_isolated_subnet_gets_a_route_to_metadata_by_the_server(provider: Sections) -> None:
    (subnet,) = service(provider, "flat")["subnets"]
    assert subnet["routes"] == [{"destination": "169.254.169.254/32", "nexthop": "192.168.3.100"}]
    assert subnet["gateway"] == "192.168.3.1"
    (local,) = service(provider, "loc")["subnets"]
    assert "gateway" not in local


def test_name_servers_and_host_routes_come_from_the_subnet() -> None:
    cloud = with_subnet(provider_cloud(), "prov", host_routes=(("10.0.0.0/8", "192.168.0.9"),))
    (subnet,) = service(sections(cloud, "all1"), "prov")["subnets"]
    assert subnet["dns"] == ["192.168.0.53", "192.168.1.53"]
    assert subnet["routes"] == [
        {"destination": "10.0.0.0/8", "nexthop": "192.168.0.9"},
        {"destination": "169.254.169.254/32", "nexthop": "192.168.12.1"},
    ]


def test_subnet_whose_gateway_is_not_a_router_counts_as_isolated() -> None:
    found = sections(with_subnet(s1_cloud(), "internal", gateway_ip="10.18.0.254"), "network1")
    (subnet,) = service(found, "internal")["subnets"]
    assert subnet["routes"] == [{"destination": "169.254.169.254/32", "nexthop": "10.18.0.2"}]


def test_namespace_has_the_servers_address_and_on_isolated_networks_the_metadata_address(
    s1: Callable[[str], Sections],
) -> None:
    def addresses(found: Sections, network: str) -> list[str]:
        name = f"qdhcp-{identity(f'network {network}')}"
        (device,) = next(config for config in found["l3"] if config["name"] == name)["devices"]
        return list(device["addresses"])

    assert addresses(s1("network1"), "internal") == ["10.18.0.2/24"]
    assert addresses(sections(provider_cloud(), "all1"), "flat") == ["169.254.169.254/32", "192.168.3.100/24"]


def test_namespace_forwards_nothing(s1: Callable[[str], Sections]) -> None:
    for config in s1("network1")["l3"]:
        if config["name"].startswith("qdhcp-"):
            assert config["sysctls"]["ipv4/ip_forward"] == "0"
            assert {key for key in config["sysctls"] if key.endswith("proxy_arp")} == {
                f"ipv4/conf/{name}/proxy_arp" for name in ("all", config["devices"][0]["name"])
            }
            assert "routes" not in config


def test_subnet_without_dhcp_is_not_served() -> None:
    found = service(sections(with_subnet(s1_cloud(), "internal", enable_dhcp=False), "network1"), "internal")
    assert found.get("subnets", []) == []
    assert found.get("hosts", []) == []


def dhcp_table(found: Sections, network: str) -> dict[str, Any]:
    """Return the nft table of a network's DHCP namespace."""
    return next(table for table in found["nft"] if table["name"] == f"qdhcp-{identity(f'network {network}')}")


def test_a_guest_speaks_to_the_dhcp_server_only_about_its_own_mac(s1: Callable[[str], Sections]) -> None:
    clients, relays = dhcp_table(s1("network1"), "internal")["maps"]
    assert list(clients["elements"]) == [
        "fa:16:3e:12:00:03 . 0xfa163e120003",
        "fa:16:3e:12:00:04 . 0xfa163e120004",
    ]
    assert not relays.get("elements")


def test_a_guest_without_port_security_may_be_a_relay() -> None:
    cloud = s1_cloud()
    vm1 = cloud.instances["vm1"]
    vm1 = replace(vm1, ports=(replace(vm1.ports[0], port_security=False),))
    found = sections(replace(cloud, instances={**cloud.instances, "vm1": vm1}), "network1")
    assert list(dhcp_table(found, "internal")["maps"][1]["elements"]) == ["fa:16:3e:12:00:03"]
    assert not dhcp_table(found, "internal2")["maps"][1].get("elements")

"""The wiring's records of namespaces, links, bridges, ports and NICs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from clouds import identity, s1_cloud
from headworks.wiring.mechanism.openvswitch import names
from states import Sections, sections

VM2 = identity("port internal 10.18.0.4")
QR = identity("port internal 10.18.0.1")


def by_name(records: list[dict[str, object]]) -> dict[object, dict[str, object]]:
    """Return the records by their name."""
    return {record["name"]: record for record in records}


def test_network_node_has_a_namespace_per_router_and_dhcp_network(s1: Callable[[str], Sections]) -> None:
    wanted = {f"qrouter-{identity('router r1')}"}
    wanted |= {f"qdhcp-{identity(f'network {name}')}" for name in ("internal", "internal2")}
    assert {namespace["name"] for namespace in s1("network1")["netns"]} == wanted


def test_guest_gets_a_tap_with_the_mtu_of_its_network(s1: Callable[[str], Sections]) -> None:
    assert s1("compute1")["links"] == [
        {"name": f"tap{identity('port internal 10.18.0.3')[:11]}", "kind": "tap", "mtu": 1458}
    ]


def test_router_device_is_created_in_its_namespace_with_the_ports_mac(s1: Callable[[str], Sections]) -> None:
    assert by_name(s1("network1")["links"])[f"tap{QR[:11]}"] == {
        "name": f"tap{QR[:11]}",
        "kind": "veth",
        "mtu": 1458,
        "peer": f"qr-{QR[:11]}",
        "peer_netns": f"qrouter-{identity('router r1')}",
        "peer_mac": "fa:16:3e:12:00:01",
        "tx_checksum": False,
    }


def test_checksums_are_offloaded_on_the_kernel_datapath_only() -> None:
    def without(datapath: str) -> set[object]:
        found = sections(s1_cloud(datapath), "network1")
        devices = [device for config in found["l3"] for device in config["devices"] if device["name"] != "lo"]
        return {device.get("tx_checksum", True) for device in [*found["links"], *devices]}

    assert without("netdev") == {False}
    assert without("system") == {True}


def test_bridges_are_fail_secure_and_have_the_nodes_datapath(s1: Callable[[str], Sections]) -> None:
    found = {
        bridge["name"]: (bridge["datapath_type"], bridge.get("fail_mode", "secure"))
        for bridge in s1("network1")["ovs_bridges"]
    }
    assert found == {
        "br-ex": ("netdev", "secure"),
        "br-int": ("netdev", "secure"),
        "br-phy": ("netdev", "standalone"),
        "br-tun": ("netdev", "secure"),
    }


def test_kernel_datapath_does_not_touch_the_tunnel_nic() -> None:
    found = sections(s1_cloud("system"), "network1")
    assert {bridge["name"] for bridge in found["ovs_bridges"]} == {"br-ex", "br-int", "br-tun"}
    assert found["underlay"] == [{"name": "eth2", "bridge": "br-ex"}]


def test_userspace_node_has_its_nics_in_bridges(s1: Callable[[str], Sections]) -> None:
    assert s1("network1")["underlay"] == [
        {"name": "eth1", "bridge": "br-phy", "datapath_type": "netdev"},
        {"name": "eth2", "bridge": "br-ex", "datapath_type": "netdev"},
    ]


def test_each_nic_has_the_rollback_seconds_of_its_node() -> None:
    cloud = s1_cloud()
    node = replace(cloud.nodes["network1"], rollback_seconds=300)
    found = sections(replace(cloud, nodes={**cloud.nodes, "network1": node}), "network1")
    assert [(nic["name"], nic["rollback_seconds"]) for nic in found["underlay"]] == [("eth1", 300), ("eth2", 300)]


def test_userspace_node_with_unknown_tunnel_nic_has_no_underlay_section() -> None:
    cloud = s1_cloud()
    node = replace(cloud.nodes["network1"], tunnel_interface="")
    found = sections(replace(cloud, nodes={**cloud.nodes, "network1": node}), "network1")
    assert "underlay" not in found
    assert "br-phy" in {bridge["name"] for bridge in found["ovs_bridges"]}


def test_tunnel_nic_that_is_a_provider_nic_stays_in_the_provider_bridge() -> None:
    cloud = s1_cloud()
    node = replace(cloud.nodes["network1"], tunnel_interface="eth2")
    found = sections(replace(cloud, nodes={**cloud.nodes, "network1": node}), "network1")
    assert [(nic["name"], nic["bridge"]) for nic in found["underlay"]] == [("eth2", "br-ex")]
    assert "br-phy" not in {bridge["name"] for bridge in found["ovs_bridges"]}


def test_tunnels_go_only_to_nodes_that_share_a_network(s1: Callable[[str], Sections]) -> None:
    found = {
        node: {port["name"] for port in s1(node)["ovs_ports"] if port.get("type") == "gre"}
        for node in ("compute1", "compute2", "network1")
    }
    assert found == {
        "compute1": {"gre-0a000115", "gre-0a000120"},
        "compute2": {"gre-0a000115", "gre-0a00011f"},
        "network1": {"gre-0a00011f", "gre-0a000120"},
    }
    cloud = s1_cloud()
    alone = replace(cloud, instances={name: instance for name, instance in cloud.instances.items() if name != "vm2"})
    assert {port["name"] for port in sections(alone, "compute1")["ovs_ports"] if port.get("type")} == {
        "patch-tun",
        "patch-int",
        "gre-0a000115",
    }, "without vm2, compute1 and compute2 share nothing"


def test_tunnel_port_has_neutrons_options(s1: Callable[[str], Sections]) -> None:
    assert by_name(s1("compute1")["ovs_ports"])["gre-0a000120"] == {
        "name": "gre-0a000120",
        "bridge": "br-tun",
        "type": "gre",
        "options": {
            "df_default": "true",
            "in_key": "flow",
            "local_ip": "10.0.1.31",
            "out_key": "flow",
            "remote_ip": "10.0.1.32",
        },
    }


def test_guest_port_has_its_networks_vlan_and_its_identity(s1: Callable[[str], Sections]) -> None:
    assert by_name(s1("compute2")["ovs_ports"])[f"tap{VM2[:11]}"] == {
        "name": f"tap{VM2[:11]}",
        "bridge": "br-int",
        "tag": 1,
        "mtu": 1458,
        "external_ids": {
            "attached-mac": "fa:16:3e:12:00:04",
            "iface-id": VM2,
            "iface-status": "active",
            "vm-uuid": identity("instance vm2"),
        },
    }


def test_provider_bridge_is_patched_to_br_int(provider: Sections) -> None:
    ports = by_name(provider["ovs_ports"])
    for bridge in ("br-eth0", "br-flat"):
        assert (ports[f"int-{bridge}"]["bridge"], ports[f"int-{bridge}"]["options"]) == (
            "br-int",
            {"peer": f"phy-{bridge}"},
        )
        assert (ports[f"phy-{bridge}"]["bridge"], ports[f"phy-{bridge}"]["options"]) == (
            bridge,
            {"peer": f"int-{bridge}"},
        )
    assert provider["underlay"] == [{"name": "eth1", "bridge": "br-eth0"}], "br-flat's NIC is the operator's"


@pytest.mark.parametrize("bridge", ["br-ex", "br-provider1", "br-provider-network-1", "br-provider-network-2"])
def test_patch_names_fit_an_interface_name(bridge: str) -> None:
    assert len(names.int_patch(bridge)) <= 15
    assert names.int_patch(bridge).startswith("int-br-")
    assert names.phy_patch(bridge).startswith("phy-br-")


def test_shortened_patch_names_of_similar_bridges_differ() -> None:
    assert names.int_patch("br-ex") == "int-br-ex"
    assert names.int_patch("br-provider-network-1") != names.int_patch("br-provider-network-2")


def test_a_provider_bridge_with_the_nodes_own_addresses_switches_without_flows() -> None:
    def fail_mode(addressed: bool) -> str:
        cloud = s1_cloud("system")
        node = cloud.nodes["network1"]
        mappings = tuple(replace(mapping, addressed=addressed) for mapping in node.mappings)
        nodes = {**cloud.nodes, "network1": replace(node, mappings=mappings)}
        (bridge,) = [
            one for one in sections(replace(cloud, nodes=nodes), "network1")["ovs_bridges"] if one["name"] == "br-ex"
        ]
        return str(bridge.get("fail_mode", "secure"))

    assert fail_mode(addressed=False) == "secure"
    assert fail_mode(addressed=True) == "standalone"

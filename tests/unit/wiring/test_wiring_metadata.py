"""Metadata: the namespaces that answer, and the tree that an instance reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from clouds import DIGEST, identity, provider_cloud, s1_cloud
from headworks.plan.cloud import Cloud
from headworks.wiring.metadata_tree import MetadataTree
from states import Sections, sections


def files(name: str, cloud: Cloud | None = None) -> dict[str, str]:
    """Return the tree of an instance of S1."""
    cloud = cloud or s1_cloud()
    return MetadataTree(cloud).files(cloud.instances[name])


def test_routed_networks_are_served_in_the_routers_namespace(s1: Callable[[str], Sections]) -> None:
    assert s1("network1")["metadata_proxies"] == [
        {
            "name": f"qrouter-{identity('router r1')}",
            "networks": [
                {"network_id": identity("network internal"), "cidr": "10.18.0.0/24"},
                {"network_id": identity("network internal2"), "cidr": "10.22.22.0/24"},
            ],
        }
    ]


def test_isolated_networks_are_served_in_their_dhcp_namespace(provider: Sections) -> None:
    assert {proxy["name"]: [net["cidr"] for net in proxy["networks"]] for proxy in provider["metadata_proxies"]} == {
        f"qdhcp-{identity('network prov')}": ["192.168.0.0/16"],
        f"qdhcp-{identity('network flat')}": ["192.168.3.0/24"],
        f"qdhcp-{identity('network loc')}": ["10.5.0.0/24"],
    }


def test_instances_are_known_by_network_and_address_where_they_are_served(s1: Callable[[str], Sections]) -> None:
    found = {(entry["network_id"], entry["address"]): entry["instance_id"] for entry in s1("network1")["metadata"]}
    assert found == {
        (identity("network internal"), "10.18.0.3"): identity("instance vm1"),
        (identity("network internal"), "10.18.0.4"): identity("instance vm2"),
        (identity("network internal2"), "10.22.22.3"): identity("instance vm3"),
    }
    assert s1("compute1")["metadata"] == []


def test_two_dhcp_servers_both_serve_an_isolated_networks_instances() -> None:
    cloud = provider_cloud()
    first = cloud.dhcp_ports["loc"][0]
    other = replace(cloud.nodes["all1"], name="all2", management_ip="10.0.0.12", tunnel_ip="10.0.1.12")
    second = replace(
        first, id=identity("second"), nodes=("all2",), fixed_ips=(replace(first.fixed_ips[0], address="10.5.0.3"),)
    )
    both = replace(
        cloud,
        nodes={**cloud.nodes, "all2": other},
        dhcp_ports={**cloud.dhcp_ports, "loc": (first, second)},
    )
    for node in ("all1", "all2"):
        assert "10.5.0.9" in {entry["address"] for entry in sections(both, node)["metadata"]}


def test_tree_has_what_ec2_guests_ask_for() -> None:
    base = "2009-04-04/meta-data"
    found = {path.removeprefix(f"{base}/"): text for path, text in files("vm1").items() if path.startswith(base)}
    assert found == {
        "ami-id": f"ami-{DIGEST[:8]}",
        "ami-launch-index": "0",
        "ami-manifest-path": "(unknown)",
        "block-device-mapping/ami": "vda",
        "block-device-mapping/root": "/dev/vda",
        "hostname": "vm1",
        "instance-action": "none",
        "instance-id": "i-0000001e",
        "instance-type": "m1.nano",
        "local-hostname": "vm1",
        "local-ipv4": "10.18.0.3",
        "placement/availability-zone": "nova",
        "public-hostname": "vm1",
        "public-ipv4": "172.16.19.232",
        "public-keys/": "0=ops",
        "public-keys/0/openssh-key": "ssh-ed25519 AAAA ops",
        "reservation-id": f"r-{identity('instance vm1')[:8]}",
        "security-groups": "default",
    }


def test_latest_and_the_dated_openstack_tree_are_second_names(s1: Callable[[str], Sections]) -> None:
    assert s1("network1")["metadata"][0]["links"] == {
        "latest": "2009-04-04",
        "openstack/2018-08-27": "openstack/latest",
    }
    assert files("vm1")["openstack/"] == "2018-08-27\nlatest"


def test_without_keys_there_is_no_directory_for_them() -> None:
    assert not [path for path in files("vm2") if "public-keys" in path]


def test_user_data_is_there_only_if_given() -> None:
    given = {path for path in files("vm1") if path.endswith(("user-data", "user_data"))}
    assert given == {"2009-04-04/user-data", "openstack/latest/user_data"}
    assert files("vm1")["2009-04-04/user-data"] == "#!/bin/sh\n"
    assert not [path for path in files("vm2") if path.endswith(("user-data", "user_data"))]


def test_openstack_metadata_names_the_instance_and_its_keys() -> None:
    cloud = s1_cloud()
    vm1 = replace(cloud.instances["vm1"], metadata={"tier": "web"}, project="demo")
    found = json.loads(
        files("vm1", replace(cloud, instances={**cloud.instances, "vm1": vm1}))["openstack/latest/meta_data.json"]
    )
    assert found["uuid"] == identity("instance vm1")
    assert (found["name"], found["hostname"]) == ("vm1", "vm1")
    assert found["public_keys"] == {"ops": "ssh-ed25519 AAAA ops"}
    assert found["keys"] == [{"name": "ops", "type": "ssh", "data": "ssh-ed25519 AAAA ops"}]
    assert (found["meta"], found["project_id"]) == ({"tier": "web"}, "demo")


def test_network_data_says_dhcp_or_gives_the_address() -> None:
    cloud = s1_cloud()
    network = cloud.networks["internal"]
    static = replace(
        network, subnets=(replace(network.subnets[0], enable_dhcp=False, dns_nameservers=("10.18.0.53",)),)
    )
    port = identity("port internal 10.18.0.3")
    for changed, wanted in (
        (network, {"type": "ipv4_dhcp"}),
        (
            static,
            {
                "type": "ipv4",
                "ip_address": "10.18.0.3",
                "netmask": "255.255.255.0",
                "routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.18.0.1"}],
            },
        ),
    ):
        variant = replace(cloud, networks={**cloud.networks, "internal": changed})
        found = json.loads(files("vm1", variant)["openstack/latest/network_data.json"])
        common = {"id": "network0", "link": f"tap{port[:11]}", "network_id": identity("network internal")}
        assert found["networks"] == [common | wanted]
        assert found["links"][0]["ethernet_mac_address"] == "fa:16:3e:12:00:03"
        assert found["links"][0]["mtu"] == 1458
    assert found["services"] == [{"type": "dns", "address": "10.18.0.53"}]

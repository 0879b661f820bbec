"""The models take all that the design names, fill in OpenStack's defaults, and say what is wrong in their own words."""

from __future__ import annotations

from typing import Any

import pytest
from headworks.model.errors import PlanError
from headworks.model.inventory import Inventory, parse
from headworks.plan.resolve import resolve
from inventories import KEY, SHA, facts_of, node, s1
from refusals import in_cloud, messages_about


def parsed(cloud: dict[str, Any] | None = None, **others: Any) -> Inventory:
    return parse({"cloud": {"cloud_name": "c", **(cloud or {})}, "nodes": {}, "instances": {}, **others})


EVERYTHING = {
    "cloud_name": "lab",
    "cloud_l2_mechanism": "openvswitch",
    "cloud_firewall_driver": "openvswitch",
    "cloud_vlan_ranges": {"physnet1": ["2000:4094"]},
    "cloud_tunnel_id_range": "1:16777215",
    "cloud_dhcp_agents_per_network": 1,
    "cloud_allocations_file": "group_vars/all/allocations.yml",
    "cloud_allocations": {"version": 1},
    "cloud_networks": {
        "internal": {"type": "gre", "subnets": {"internal": {"cidr": "10.18.0.0/24"}}},
        "ext": {
            "type": "flat",
            "physical_network": "physnet1",
            "external": True,
            "subnets": {
                "ext": {
                    "cidr": "172.16.0.0/16",
                    "gateway_ip": "172.16.0.1",
                    "enable_dhcp": False,
                    "allocation_pools": [{"start": "172.16.19.1", "end": "172.16.19.254"}],
                }
            },
        },
        "rich": {
            "segmentation_id": 77,
            "mtu": 1400,
            "shared": True,
            "project": "demo",
            "port_security": False,
            "dns_domain": "example.org.",
            "qos_policy": "gold",
            "host_gateway": False,
            "subnets": {
                "four": {
                    "cidr": "10.30.0.0/24",
                    "gateway_ip": None,
                    "dns_nameservers": ["192.0.2.53"],
                    "host_routes": [{"destination": "192.0.2.0/24", "nexthop": "10.30.0.9"}],
                },
                "six": {"cidr": "2001:db8::/64", "ip_version": 6, "ipv6_mode": "slaac"},
            },
        },
    },
    "cloud_routers": {
        "r1": {
            "external_network": "ext",
            "external_ip": None,
            "enable_snat": True,
            "interfaces": ["internal"],
            "routes": [],
            "ha": False,
        }
    },
    "cloud_floating_ips": {"172.16.19.232": {"network": "ext", "instance": "vm1", "fixed_network": "internal"}},
    "cloud_security_groups": {
        "web": {
            "rules": [
                {"direction": "ingress", "protocol": "tcp", "ports": 80, "remote_cidr": "0.0.0.0/0"},
                {"protocol": "tcp", "ports": "8000:8080", "remote_group": "web"},
                {"protocol": "icmp", "icmp_type": 8},
                {"direction": "egress", "protocol": 47},
            ]
        }
    },
    "cloud_qos_policies": {"gold": {"egress_kbps": 10000, "ingress_kbps": 10000, "dscp": 26}},
    "cloud_flavors": {"m1.nano": {"vcpus": 1, "ram_mb": 64, "disk_gb": 0}},
    "cloud_images": {
        "nano": {
            "path": "/srv/nano.qcow2",
            "checksum": SHA,
            "format": "qcow2",
            "min_disk_gb": 0,
            "properties": {"os": 1},
        },
        "far": {"url": "https://example.org/far.qcow2", "checksum": "SHA512:" + "AB" * 64},
    },
    "cloud_keypairs": {"ops": KEY},
    "cloud_volumes": {"data1": {"size_gb": 1}},
    "cloud_affinity_groups": {"g": {"policy": "soft-anti-affinity"}},
    "cloud_load_balancers": {
        "lb": {
            "network": "internal",
            "listeners": {
                "web": {"protocol": "HTTP", "port": 80, "pool": {"members": [{"instance": "vm1", "port": 80}]}}
            },
        }
    },
    "cloud_projects": {"demo": {"quota": {"instances": 10, "vcpus": 20, "ram_mb": 51200, "floating_ips": 10}}},
}
VM1 = {
    "instance_flavor": "m1.nano",
    "instance_image": "nano",
    "instance_networks": [
        {
            "network": "internal",
            "subnet": "internal",
            "address": "10.18.0.10",
            "mac": "fa:16:3e:00:00:01",
            "security_groups": ["web"],
            "qos_policy": "gold",
            "allowed_address_pairs": [{"ip_address": "10.18.0.11"}],
            "port_security": True,
        },
        "rich",
    ],
    "instance_security_groups": ["default", "web"],
    "instance_keypair": "ops",
    "instance_user_data": "#!/bin/sh\n",
    "instance_metadata": {"role": "web"},
    "instance_config_drive": True,
    "instance_volumes": ["data1"],
    "instance_project": "demo",
    "instance_state": "running",
    "instance_host": "compute1",
    "instance_availability_zone": "nova",
    "instance_affinity_group": "g",
    "ansible_host": "10.18.0.10",
    "something_of_the_operators_own": 1,
}
COMPUTE1 = {
    "node_tunnel_ip": "10.92.0.21",
    "node_bridge_mappings": {"physnet1": {"bridge": "br-ex", "interface": "eth2"}},
    "node_datapath_type": "system",
    "node_virt_type": "auto",
    "node_availability_zone": "nova",
    "node_enabled": True,
    "node_cpu_allocation_ratio": 4.0,
    "node_ram_allocation_ratio": 1.0,
    "node_reserved_ram_mb": 512,
    "ansible_host": "10.92.0.21",
}


def test_everything_that_the_design_names_is_accepted_and_resolved() -> None:
    inventory = {
        "cloud": EVERYTHING,
        "nodes": {"compute1": {"groups": ["controller", "network", "compute", "web"], "vars": COMPUTE1}},
        "instances": {"vm1": {"groups": ["web"], "vars": VM1}},
    }
    cloud = resolve(inventory, None, facts_of(inventory)).cloud
    assert cloud.instances["vm1"].ports[0].fixed_ips[0].address == "10.18.0.10"
    assert cloud.networks["rich"].dns_domain == "example.org"


def test_defaults_are_openstacks() -> None:
    inventory = parsed(
        {"cloud_networks": {"n": {"subnets": {"s": {"cidr": "10.0.0.0/24"}}}}},
        nodes={"a": node("compute", ansible_host="10.0.0.1")},
        instances={"vm": {"vars": {"instance_flavor": "f", "instance_image": "i"}}},
    )
    network, instance, settings = inventory.cloud.networks["n"], inventory.instances["vm"], inventory.nodes["a"].model
    assert (network.type, network.port_security, network.external) == ("vxlan", True, False)
    assert (network.subnets["s"].enable_dhcp, network.subnets["s"].gateway) == (True, "10.0.0.1")
    assert (instance.security_groups, instance.state, instance.networks) == (["default"], "running", [])
    assert (settings.cpu_allocation_ratio, settings.ram_allocation_ratio, settings.reserved_ram_mb) == (4.0, 1.0, 512)
    assert settings.enabled


def test_a_gateway_can_be_none() -> None:
    subnets = {
        "unset": {"cidr": "10.0.0.0/24"},
        "null": {"cidr": "10.0.1.0/24", "gateway_ip": None},
        "empty": {"cidr": "10.0.2.0/24", "gateway_ip": ""},
        "tiny": {"cidr": "10.0.3.0/31"},
    }
    network = parsed({"cloud_networks": {"n": {"subnets": subnets}}}).cloud.networks["n"]
    assert [network.subnets[one].gateway for one in subnets] == ["10.0.0.1", "", "", ""]


def test_null_is_as_good_as_empty() -> None:
    inventory = parsed({"cloud_networks": None, "cloud_routers": {"r": {"interfaces": None}}, "cloud_projects": None})
    assert inventory.cloud.networks == {}
    assert inventory.cloud.routers["r"].interfaces == []


def test_addresses_and_macs_are_normalised() -> None:
    nic = {"network": "n", "address": "2001:DB8::0001", "mac": "FA-16-3E-AA-BB-CC"}
    vm = {"vars": {"instance_flavor": "f", "instance_image": "i", "instance_networks": [nic]}}
    found = parsed(instances={"vm": vm}).instances["vm"].networks[0]
    assert (found.address, found.mac) == ("2001:db8::1", "fa:16:3e:aa:bb:cc")


def test_absent_instances_are_left_out() -> None:
    vm = {"vars": {"instance_flavor": "f", "instance_image": "i", "instance_state": "absent"}}
    found = parsed(instances={"vm": vm})
    assert (dict(found.instances), found.absent) == ({}, frozenset({"vm"}))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"ports": 80}, "a rule with ports must have a protocol of tcp, udp, sctp, dccp, udplite"),
        ({"protocol": "tcp", "ports": "90:80"}, "must be a range whose first number is not above its last"),
        ({"protocol": "tcp", "ports": 65536}, "must be ports between 1 and 65535"),
        ({"protocol": "tpc"}, "must be any, a number up to 255, or one of ah, dccp"),
        ({"protocol": "tcp", "icmp_type": 8}, "a rule with icmp_type must have protocol icmp or icmpv6"),
        ({"remote_cidr": "10.0.0.0/8", "remote_group": "web"}, "a rule has remote_cidr or remote_group, not both"),
        ({"remote_cidr": "10.0.0.0/8", "ethertype": "IPv6"}, "is not of ethertype IPv6"),
        ({"direction": "in"}, "must be 'ingress' or 'egress'"),
    ],
)
def test_a_bad_rule_of_a_security_group_is_refused(rule: dict[str, Any], expected: str) -> None:
    said = messages_about(in_cloud("security_groups", {"web": {"rules": [rule]}}))
    assert len(said) == 1
    assert said[0].startswith("cloud_security_groups.web.rules.0")
    assert expected in said[0]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("qos_policies|q", {"dscp": 27}, "cloud_qos_policies.q.dscp: 27: must be a DSCP value"),
        ("qos_policies|q", {"egress_kbps": 0}, "cloud_qos_policies.q.egress_kbps: 0: must be at least 1"),
        ("volumes|v", {"size_gb": "big"}, "cloud_volumes.v.size_gb: 'big': must be a whole number"),
        (
            "projects|p",
            {"quota": {"cores": 1}},
            "cloud_projects.p.quota.cores: 1: is not a known key; known: floating_ips",
        ),
        ("affinity_groups|g", {"policy": "near"}, "cloud_affinity_groups.g.policy: 'near': must be 'affinity'"),
        ("dhcp_agents_per_network", 0, "cloud_dhcp_agents_per_network: 0: must be at least 1"),
        ("load_balancers|l", {"network": "nowhere"}, "cloud_load_balancers.l.network: 'nowhere': there is no network"),
        ("networks", ["internal"], "cloud_networks: ['internal']: must be a dictionary"),
        ("images|i", {"url": "https://u:p@h/i", "checksum": SHA}, "'https://…@h/i': must not carry a user name or"),
        ("images|i", {"url": "https:///i", "checksum": SHA}, "must name a host"),
        ("images|i", {"url": "file://host/i", "checksum": SHA}, "must be file:/// and an absolute path"),
        ("images|i", {"url": "https://example.org/a b", "checksum": SHA}, "must be a URL without blanks"),
        ("keypairs|k", "ssh-ed25519 !!!", "its second word is not base64"),
        ("keypairs|k", KEY.replace("ssh-ed25519", "ssh-rsa"), "its second word is not a key of type ssh-rsa"),
        ("keypairs|k", "hello", "must be a public ssh key on one line"),
    ],
)
def test_a_bad_value_is_refused_in_plain_words(path: str, value: Any, expected: str) -> None:
    said = messages_about(in_cloud(path, value))
    assert len(said) == 1, said
    assert expected in said[0]


def test_a_missing_cloud_name_is_said_without_a_value() -> None:
    inventory = s1()
    del inventory["cloud"]["cloud_name"]
    with pytest.raises(PlanError) as error:
        parse(inventory)
    assert error.value.messages == ("cloud_name: is required",)

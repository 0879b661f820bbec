"""The models accept every documented variable, fill in OpenStack's defaults, and refuse invalid values."""

from __future__ import annotations

from typing import Any

import pytest
from everything import everything
from headworks.model.errors import PlanError
from headworks.model.inventory import Inventory, parse, parse_run
from headworks.plan.resolve import resolve
from inventories import KEY, SHA, facts_of, node, s1
from refusals import in_cloud, messages_about


def parsed(cloud: dict[str, Any] | None = None, **others: Any) -> Inventory:
    return parse({"cloud": {"cloud_name": "c", **(cloud or {})}, "nodes": {}, "instances": {}, **others})


def test_an_inventory_with_every_documented_variable_is_accepted_and_resolved() -> None:
    inventory = everything()
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


def test_a_subnet_with_gateway_ip_null_has_no_gateway() -> None:
    subnets = {
        "unset": {"cidr": "10.0.0.0/24"},
        "null": {"cidr": "10.0.1.0/24", "gateway_ip": None},
        "empty": {"cidr": "10.0.2.0/24", "gateway_ip": ""},
        "tiny": {"cidr": "10.0.3.0/31"},
    }
    network = parsed({"cloud_networks": {"n": {"subnets": subnets}}}).cloud.networks["n"]
    assert [network.subnets[name].gateway for name in subnets] == ["10.0.0.1", "", "", ""]


def test_null_means_empty() -> None:
    inventory = parsed({"cloud_networks": None, "cloud_routers": {"r": {"interfaces": None}}, "cloud_projects": None})
    assert inventory.cloud.networks == {}
    assert inventory.cloud.routers["r"].interfaces == []


def test_addresses_and_macs_are_normalised() -> None:
    nic = {"network": "n", "address": "2001:DB8::0001", "mac": "FA-16-3E-AA-BB-CC"}
    vm = {"vars": {"instance_flavor": "f", "instance_image": "i", "instance_networks": [nic]}}
    parsed_nic = parsed(instances={"vm": vm}).instances["vm"].networks[0]
    assert (parsed_nic.address, parsed_nic.mac) == ("2001:db8::1", "fa:16:3e:aa:bb:cc")


def test_absent_instances_are_left_out() -> None:
    vm = {"vars": {"instance_flavor": "f", "instance_image": "i", "instance_state": "absent"}}
    inventory = parsed(instances={"vm": vm})
    assert (dict(inventory.instances), inventory.absent) == ({}, frozenset({"vm"}))


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
def test_an_invalid_rule_of_a_security_group_is_refused(rule: dict[str, Any], expected: str) -> None:
    messages = messages_about(in_cloud("security_groups", {"web": {"rules": [rule]}}))
    assert len(messages) == 1
    assert messages[0].startswith("cloud_security_groups.web.rules.0")
    assert expected in messages[0]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("qos_policies|q", {"dscp": 27}, "cloud_qos_policies.q.dscp: 27: must be a DSCP value"),
        ("qos_policies|q", {"egress_kbps": 0}, "cloud_qos_policies.q.egress_kbps: 0: must be at least 1"),
        ("volumes|v", {"size_gb": "big"}, "cloud_volumes.v.size_gb: 'big': must be a whole number"),
        (
            "projects|p",
            {"quota": {"processors": 1}},
            "cloud_projects.p.quota.processors: 1: is not a known key; known: floating_ips",
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
def test_an_invalid_value_is_refused_with_its_key_and_the_rule(path: str, value: Any, expected: str) -> None:
    messages = messages_about(in_cloud(path, value))
    assert len(messages) == 1, messages
    assert expected in messages[0]


def test_the_message_about_a_missing_variable_shows_no_value() -> None:
    inventory = s1()
    del inventory["instances"]["vm1"]["vars"]["instance_flavor"]
    with pytest.raises(PlanError) as error:
        parse(inventory)
    assert error.value.messages == ("instances.vm1.instance_flavor: is required",)


def test_the_default_name_of_a_cloud_is_cloud() -> None:
    inventory = s1()
    del inventory["cloud"]["cloud_name"]
    assert parse(inventory).cloud.name == "cloud"


def test_the_variables_of_a_run_may_be_text_as_the_command_line_gives_them() -> None:
    run = parse_run({"cloud_confirm_removal": "3", "cloud_accept_older": "true", "cloud_networks": "not looked at"})
    assert (run.confirm_removal, run.accept_older, run.plan_only, run.plan_file) == (3, True, False, "")
    assert parse_run({}).confirm_removal is None


def test_invalid_variables_of_a_run_are_refused_together() -> None:
    with pytest.raises(PlanError) as error:
        parse_run({"cloud_confirm_removal": "-1", "cloud_accept_older": "maybe", "cloud_plan_only": "false"})
    assert error.value.messages == (
        "cloud_confirm_removal: '-1': must be at least 0",
        "cloud_accept_older: 'maybe': must be true or false",
    )


def test_the_variables_of_a_run_do_not_describe_the_cloud() -> None:
    assert parsed({"cloud_confirm_removal": "3", "cloud_plan_only": True}).cloud == parsed().cloud


def only(value: Any) -> Any:
    """The one value of a dictionary."""
    (one,) = value.values()
    return one


@pytest.mark.parametrize(
    ("key", "ours", "openstacks"),
    [
        ("flavors", {"vcpus": 1, "ram_mb": 64, "disk_gb": 2}, {"vcpus": 1, "ram": 64, "disk": 2}),
        ("images", {"path": "/i", "min_disk_gb": 1, "min_ram_mb": 2}, {"path": "/i", "min_disk": 1, "min_ram": 2}),
        ("volumes", {"size_gb": 1}, {"size": 1}),
        (
            "networks",
            {"type": "vlan", "physical_network": "p", "segmentation_id": 7, "external": True, "port_security": False},
            {
                "provider:network_type": "vlan",
                "provider:physical_network": "p",
                "provider:segmentation_id": 7,
                "router:external": True,
                "port_security_enabled": False,
            },
        ),
        (
            "projects",
            {"quota": {"vcpus": 1, "ram_mb": 2, "volumes_gb": 3}},
            {"quota": {"cores": 1, "ram": 2, "gigabytes": 3}},
        ),
    ],
)
def test_openstacks_names_mean_the_same_as_ours(key: str, ours: dict[str, Any], openstacks: dict[str, Any]) -> None:
    mine, theirs = (getattr(parsed({f"cloud_{key}": {"x": value}}).cloud, key) for value in (ours, openstacks))
    assert only(mine) == only(theirs)


def test_a_field_under_two_names_is_refused() -> None:
    assert messages_about(in_cloud("flavors|f", {"vcpus": 1, "ram_mb": 64, "ram": 64})) == [
        "cloud_flavors.f.ram: 64: is another name of ram_mb, which is given as well; give one of them"
    ]


@pytest.mark.parametrize(
    ("ours", "openstacks"),
    [
        ({"protocol": "tcp", "ports": "80:90"}, {"protocol": "tcp", "port_range_min": 80, "port_range_max": 90}),
        ({"protocol": "tcp", "ports": 80}, {"protocol": "tcp", "port_range_min": "80", "port_range_max": "80"}),
        ({"protocol": "tcp"}, {"protocol": "tcp", "port_range_min": None, "port_range_max": None}),
        ({"protocol": "tcp"}, {"protocol": "tcp", "port_range_min": -1, "port_range_max": -1}),
        (
            {"protocol": "icmp", "icmp_type": 8, "icmp_code": 0},
            {"protocol": "icmp", "port_range_min": 8, "port_range_max": 0},
        ),
        ({"protocol": "icmp", "icmp_type": 8}, {"protocol": "icmp", "port_range_min": 8}),
        ({"remote_cidr": "10.0.0.0/8"}, {"remote_ip_prefix": "10.0.0.0/8"}),
    ],
)
def test_a_rule_may_be_written_as_openstack_has_it(ours: dict[str, Any], openstacks: dict[str, Any]) -> None:
    mine, theirs = (parsed({"cloud_security_groups": {"g": {"rules": [rule]}}}).cloud for rule in (ours, openstacks))
    assert mine.security_groups == theirs.security_groups


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"protocol": "tcp", "port_range_min": 80}, "a rule has both port_range_min and port_range_max, or none"),
        ({"protocol": "tcp", "port_range_min": 80, "port_range_max": 90, "ports": 80}, "or headworks' own names"),
        ({"protocol": "tcp", "port_range_min": 90, "port_range_max": 80}, "whose first number is not above its last"),
        ({"protocol": "tcp", "port_range_min": True, "port_range_max": 80}, "must be a range"),
        ({"port_range_min": 80, "port_range_max": 90}, "a rule with ports must have a protocol of"),
        ({"protocol": "icmp", "port_range_min": 8, "icmp_type": 8}, "or headworks' own names"),
    ],
)
def test_an_invalid_range_of_openstack_is_refused(rule: dict[str, Any], expected: str) -> None:
    (message,) = messages_about(in_cloud("security_groups", {"web": {"rules": [rule]}}))
    assert expected in message


def test_a_cidr_on_a_network_is_a_subnet_of_the_same_name() -> None:
    short = parsed({"cloud_networks": {"web": {"cidr": "10.0.0.0/24"}}}).cloud.networks
    assert short == parsed({"cloud_networks": {"web": {"subnets": {"web": {"cidr": "10.0.0.0/24"}}}}}).cloud.networks
    both = {"cidr": "10.0.0.0/24", "subnets": {"web": {"cidr": "10.0.0.0/24"}}}
    (message,) = messages_about(in_cloud("networks|web", both))
    assert message.endswith("a network has cidr or subnets, not both")
    (message,) = messages_about(in_cloud("networks|web", {"cidr": "10.0.0.1/24"}))
    assert message.startswith("cloud_networks.web.subnets.web.cidr: '10.0.0.1/24': has host bits set")


def test_a_list_with_one_item_may_be_written_without_brackets() -> None:
    subnet = {"cidr": "10.0.0.0/24", "dns_nameservers": "192.0.2.1", "host_routes": {"destination": "192.0.2.0/24",
              "nexthop": "10.0.0.9"}, "allocation_pools": {"start": "10.0.0.5", "end": "10.0.0.9"}}  # fmt: skip
    nic = {"network": "n", "allowed_address_pairs": "10.0.0.7", "security_groups": "web"}
    instance = {"flavor": "f", "image": "i", "networks": nic, "security_groups": "web", "volumes": "data"}
    found = parsed(
        {
            "cloud_vlan_ranges": {"physnet1": "2000:4094"},
            "cloud_networks": {"n": {"subnets": {"s": subnet}}},
            "cloud_routers": {"r": {"interfaces": "n"}},
            "cloud_security_groups": {"web": {"rules": {"protocol": "tcp", "ports": 80}}},
        },
        instances={"vm": {"vars": {f"instance_{name}": value for name, value in instance.items()}}},
    )
    cloud, vm = found.cloud, found.instances["vm"]
    assert cloud.vlan_ranges == {"physnet1": [(2000, 4094)]}
    parsed_subnet = cloud.networks["n"].subnets["s"]
    assert parsed_subnet.dns_nameservers == ["192.0.2.1"]
    assert [len(parsed_subnet.host_routes), len(parsed_subnet.allocation_pools)] == [1, 1]
    assert [interface.network for interface in cloud.routers["r"].interfaces] == ["n"]
    assert cloud.security_groups["web"].rules[0].ports == (80, 80)
    assert (vm.networks[0].security_groups, vm.security_groups, vm.volumes) == (["web"], ["web"], ["data"])
    assert vm.networks[0].allowed_address_pairs[0].ip_address == "10.0.0.7/32"

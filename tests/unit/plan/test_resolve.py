"""The resolved cloud of S1 and of variants of S1: defaults, ports, MTUs and metadata."""

from __future__ import annotations

import copy
import uuid
from typing import Any

import pytest
from headworks.plan.resolve import Resolution, resolve
from headworks.wiring.documents import wire
from inventories import SHA, facts_of, instance, node, s1, subnet


def resolved(inventory: dict[str, Any], **facts: Any) -> Resolution:
    return resolve(inventory, None, facts_of(inventory, **facts))


def test_s1_is_resolved_and_can_be_wired() -> None:
    cloud = resolved(s1()).cloud
    assert {name: guest.node for name, guest in cloud.instances.items()} == {
        "vm1": "compute1",
        "vm2": "compute2",
        "vm3": "compute1",
    }
    router = cloud.routers["r1"]
    assert router.gateway is not None
    assert [ip.address for ip in router.gateway.fixed_ips] == ["172.16.19.1"]
    assert [port.fixed_ips[0].address for port in router.interfaces] == ["10.18.0.1", "10.22.22.1"]
    assert [(floating.address, floating.fixed, floating.instance) for floating in router.floating_ips] == [
        ("172.16.19.232", "10.18.0.3", "vm1")
    ]
    assert not cloud.networks["internal"].isolated
    assert cloud.networks["ext"].isolated
    assert set(wire(cloud)) == {"controller1", "network1", "compute1", "compute2"}


def test_ids_are_uuid5_and_depend_only_on_names() -> None:
    first = resolved(s1()).cloud
    more = s1()
    more["instances"]["aaa"] = instance("internal")
    second = resolved(more).cloud
    assert first.instances["vm3"].id == second.instances["vm3"].id
    assert uuid.UUID(first.instances["vm3"].id).version == 5
    other = s1()
    other["cloud"]["cloud_name"] = "other"
    assert resolved(other).cloud.instances["vm3"].id != first.instances["vm3"].id
    assert first.instances["vm3"].ports[0].mac.startswith("fa:16:3e:")


def test_an_image_is_fetched_from_the_controllers_store() -> None:
    image = resolved(s1()).cloud.instances["vm1"].image
    assert image.checksum == SHA
    assert image.url == "https://10.91.0.10:9292/images/" + "ab" * 32
    assert image.ca == "/etc/headworks/ca.pem"


def test_an_instance_has_the_values_of_its_variables() -> None:
    inventory = s1()
    inventory["instances"]["vm3"]["vars"].update(
        instance_user_data="#!/bin/sh\necho hello\n",
        instance_metadata={"role": "db", "shard": 3, "primary": True},
        instance_state="paused",
    )
    guest = resolved(inventory).cloud.instances["vm3"]
    assert guest.user_data == "#!/bin/sh\necho hello\n"
    assert guest.metadata == {"primary": "true", "role": "db", "shard": "3"}
    assert guest.state == "paused"
    assert [name for name, _ in guest.keys] == ["ops"]
    assert guest.security_groups == ("default",)
    assert (guest.vcpus, guest.ram_mb, guest.disk_gb, guest.flavor) == (1, 64, 0, "m1.nano")


@pytest.mark.parametrize(("kind", "expected"), [("vxlan", 1450), ("geneve", 1450), ("gre", 1458), ("local", 1500)])
def test_the_mtu_is_that_of_the_nic_less_the_overhead_of_the_type(kind: str, expected: int) -> None:
    inventory = s1()
    inventory["cloud"]["cloud_networks"]["internal"]["type"] = kind
    assert resolved(inventory).cloud.networks["internal"].mtu == expected


def test_the_nic_with_the_smallest_mtu_decides_the_mtu_of_a_network() -> None:
    inventory = s1()
    facts = facts_of(inventory)
    for node_facts in facts.values():
        node_facts["nics"]["eth1"]["mtu"] = 9000
    facts["compute2"]["nics"]["eth1"]["mtu"] = 4000
    facts["network1"]["nics"]["eth2"]["mtu"] = 1400
    networks = resolve(inventory, None, facts).cloud.networks
    assert networks["internal"].mtu == 3950
    assert networks["ext"].mtu == 1400
    inventory["cloud"]["cloud_networks"]["internal"]["mtu"] = 1300
    assert resolve(inventory, None, facts).cloud.networks["internal"].mtu == 1300


def test_the_tunnel_nic_stays_known_when_the_node_reports_its_address_on_a_bridge() -> None:
    inventory = s1()
    first = resolved(inventory)
    assert first.cloud.nodes["compute1"].tunnel_interface == "eth1"
    facts = facts_of(inventory)
    nics = facts["compute1"]["nics"]
    nics["eth1"]["addresses"] = []
    nics["br-phy"] = {"mac": "02:00:00:00:00:01", "mtu": 1500, "addresses": ["10.92.0.21/24"], "bridge": ""}
    second = resolve(inventory, first.allocations, facts)
    assert second.cloud.nodes["compute1"].tunnel_interface == "eth1"


def test_a_single_node_can_have_all_roles() -> None:
    inventory = s1()
    everything = node("controller", "network", "compute", ansible_host="localhost")
    everything["vars"]["node_bridge_mappings"] = {"physnet1": {"bridge": "br-ex"}}
    inventory["nodes"] = {"aio": everything}
    for guest in inventory["instances"].values():
        guest["vars"].pop("instance_host", None)
    cloud = resolved(inventory).cloud
    assert {guest.node for guest in cloud.instances.values()} == {"aio"}
    assert cloud.nodes["aio"].tunnel_ip == ""
    assert cloud.nodes["aio"].local_vlans == {"internal": 1, "internal2": 2, "ext": 3}


def test_a_node_has_the_rollback_seconds_of_its_variable() -> None:
    inventory = s1()
    inventory["nodes"]["network1"]["vars"]["node_rollback_seconds"] = "120"
    nodes = resolved(inventory).cloud.nodes
    assert (nodes["network1"].rollback_seconds, nodes["compute1"].rollback_seconds) == (120, 60)


def test_virt_type_auto_is_kvm_on_a_node_with_usable_kvm() -> None:
    assert resolved(s1(), kvm=True).cloud.nodes["compute1"].virt_type == "kvm"
    assert resolved(s1(), kvm=False).cloud.nodes["compute1"].virt_type == "qemu"


def test_a_local_network_has_dhcp_on_every_node_with_members() -> None:
    inventory = s1()
    inventory["cloud"]["cloud_networks"]["here"] = {"type": "local", "subnets": {"s": subnet("10.50.0.0/24")}}
    for name in ("vm1", "vm2"):
        inventory["instances"][name]["vars"]["instance_networks"] = ["internal", "here"]
    cloud = resolved(inventory).cloud
    assert [port.nodes for port in cloud.dhcp_ports["here"]] == [("compute1",), ("compute2",)]
    assert [port.fixed_ips[0].address for port in cloud.dhcp_ports["here"]] == ["10.50.0.2", "10.50.0.3"]
    assert cloud.networks["here"].segmentation_id is None


def test_a_router_on_another_node_than_the_guests_of_a_local_network_is_warned_of() -> None:
    inventory = s1()
    inventory["cloud"]["cloud_networks"]["internal2"]["type"] = "local"
    inventory["cloud"]["cloud_firewall_driver"] = "none"
    assert resolved(inventory).warnings == (
        "cloud_routers.r1.interfaces.1: 'internal2': is a network of type local; the router is on network1, and guests "
        "on compute1 cannot reach it",
    )


def test_a_port_of_a_network_without_subnets_has_no_address() -> None:
    inventory = s1()
    inventory["cloud"]["cloud_networks"]["bare"] = {}
    inventory["instances"]["vm3"]["vars"]["instance_networks"] = ["bare"]
    cloud = resolved(inventory).cloud
    assert cloud.instances["vm3"].ports[0].fixed_ips == ()
    assert "bare" not in cloud.dhcp_ports


def test_a_port_of_a_network_with_both_ip_versions_has_an_address_of_each() -> None:
    inventory = s1()
    subnets = inventory["cloud"]["cloud_networks"]["internal"]["subnets"]
    subnets["six"] = subnet("2001:db8:1::/64", ipv6_mode="slaac")
    subnets["more"] = subnet("10.19.0.0/24")
    inventory["instances"]["vm1"]["vars"]["instance_networks"] = [{"network": "internal", "mac": "fa:16:3e:00:00:01"}]
    port = resolved(inventory).cloud.instances["vm1"].ports[0]
    assert [(ip.subnet, ip.address) for ip in port.fixed_ips] == [
        ("internal", "10.18.0.3"),
        ("six", "2001:db8:1:0:f816:3eff:fe00:1"),
    ]


def test_dhcpv6_addresses_are_allocated_from_the_pool() -> None:
    inventory = s1()
    inventory["cloud"]["cloud_networks"]["internal"]["subnets"]["six"] = subnet(
        "2001:db8:1::/64", ipv6_mode="dhcpv6-stateful"
    )
    cloud = resolved(inventory).cloud
    assert [ip.address for ip in cloud.dhcp_ports["internal"][0].fixed_ips] == ["10.18.0.2", "2001:db8:1::2"]
    assert [ip.address for ip in cloud.routers["r1"].interfaces[0].fixed_ips] == ["10.18.0.1", "2001:db8:1::1"]
    assert [ip.address for ip in cloud.instances["vm1"].ports[0].fixed_ips] == ["10.18.0.3", "2001:db8:1::3"]


def test_an_instance_with_two_nics_on_a_network_has_two_ports() -> None:
    inventory = s1()
    inventory["instances"]["vm3"]["vars"]["instance_networks"] = ["internal", "internal"]
    ports = resolved(inventory).cloud.instances["vm3"].ports
    assert len({port.id for port in ports}) == len({port.mac for port in ports}) == 2
    assert [port.fixed_ips[0].address for port in ports] == ["10.18.0.5", "10.18.0.6"]


def test_port_security_of_a_nic_overrides_that_of_its_network() -> None:
    inventory = s1()
    inventory["cloud"]["cloud_networks"]["internal"]["port_security"] = False
    inventory["instances"]["vm3"]["vars"]["instance_networks"] = [
        "internal",
        {
            "network": "internal",
            "port_security": True,
            "allowed_address_pairs": ["10.18.0.77", {"ip_address": "10.9.0.0/16", "mac_address": "02:00:00:00:00:07"}],
        },
    ]
    loose, guarded = resolved(inventory).cloud.instances["vm3"].ports
    assert not loose.port_security
    assert guarded.port_security
    assert guarded.allowed_pairs == (("", "10.18.0.77/32"), ("02:00:00:00:00:07", "10.9.0.0/16"))


def test_a_router_interface_can_have_another_address_than_the_gateway() -> None:
    inventory = s1()
    inventory["cloud"]["cloud_routers"]["r2"] = {
        "interfaces": [{"network": "internal", "subnet": "internal", "address": "10.18.0.254"}],
        "routes": [{"destination": "192.0.2.0/24", "nexthop": "10.18.0.1"}],
    }
    router = resolved(inventory).cloud.routers["r2"]
    assert router.gateway is None
    assert router.interfaces[0].fixed_ips[0].address == "10.18.0.254"
    assert router.routes == (("192.0.2.0/24", "10.18.0.1"),)


def test_a_floating_ip_is_served_by_the_router_of_its_instances_network() -> None:
    inventory = s1()
    inventory["cloud"]["cloud_routers"] = {
        "a": {"external_network": "ext", "interfaces": ["internal2"]},
        "b": {"external_network": "ext", "interfaces": ["internal"]},
    }
    inventory["cloud"]["cloud_floating_ips"] = {
        "172.16.19.232": {"network": "ext", "instance": "vm1"},
        "172.16.19.31": {"network": "ext", "instance": "vm2"},
        "172.16.19.33": {"network": "ext"},
    }
    routers = resolved(inventory).cloud.routers
    assert routers["a"].floating_ips == ()
    assert [floating.address for floating in routers["b"].floating_ips] == ["172.16.19.31", "172.16.19.232"]


def test_a_setting_that_is_not_acted_on_yet_is_accepted_with_a_warning() -> None:
    inventory = s1()
    inventory["cloud"]["cloud_qos_policies"] = {"gold": {"egress_kbps": 10000, "dscp": 26}}
    inventory["cloud"]["cloud_routers"]["r1"]["ha"] = True
    keys = [warning.split(":")[0] for warning in resolved(inventory).warnings]
    assert keys == ["cloud_firewall_driver", "cloud_qos_policies", "cloud_routers.*.ha"]
    plain = s1()
    plain["cloud"]["cloud_firewall_driver"] = "none"
    assert resolved(plain).warnings == ()


def test_resolve_does_not_change_its_input() -> None:
    inventory, facts = s1(), facts_of(s1())
    before = copy.deepcopy((inventory, facts))
    resolve(inventory, None, facts)
    assert (inventory, facts) == before


def test_a_declared_vlan_needs_no_ranges() -> None:
    inventory = s1()
    inventory["cloud"]["cloud_networks"]["v"] = {
        "type": "vlan",
        "physical_network": "physnet1",
        "segmentation_id": 2000,
        "subnets": {"v": {"cidr": "192.168.0.0/16"}},
    }
    assert resolved(inventory).cloud.networks["v"].segmentation_id == 2000

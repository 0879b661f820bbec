"""Allocations are sticky: adding or removing an object changes no other object, and a second run changes nothing."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from headworks.model.errors import PlanError
from headworks.plan.allocation.allocations import Allocations
from headworks.plan.resolve import Resolution, resolve
from inventories import facts_of, flock, instance, node, s1, subnet


def planned(inventory: dict[str, Any], before: Resolution | None = None) -> Resolution:
    """A plan with the allocations of an earlier plan, read from the text of their file."""
    allocations = json.loads(before.allocations.text()) if before else None
    return resolve(inventory, allocations, facts_of(inventory))


def allocated(allocations: Allocations) -> Iterator[tuple[str, Any]]:
    """Every allocated value, with a key that names its holder."""
    for name, network in allocations.networks.items():
        yield f"network/{name}", network.segment
        yield from ((f"dhcp/{name}/{host}", port) for host, port in network.dhcp.items())
    for name, router in allocations.routers.items():
        yield f"router/{name}", (router.node, router.gateway)
        yield from ((f"router/{name}/{label}", port) for label, port in router.ports.items())
    for name, guest in allocations.instances.items():
        yield f"instance/{name}", (guest.number, guest.node)
        yield from ((f"instance/{name}/{label}", port) for label, port in guest.ports.items())
    for host, vlans in allocations.vlans.items():
        yield from ((f"vlan/{host}/{name}", vlan) for name, vlan in vlans.items())


def assert_no_value_is_allocated_twice(result: Resolution) -> None:
    ports = [
        *(port for router in result.cloud.routers.values() for port in router.interfaces),
        *(router.gateway for router in result.cloud.routers.values() if router.gateway),
        *(port for guest in result.cloud.instances.values() for port in guest.ports),
        *(port for served in result.cloud.dhcp_ports.values() for port in served),
    ]
    networks = [network for network in result.cloud.networks.values() if network.segmentation_id is not None]
    for values in (
        [port.mac for port in ports],
        [port.id for port in ports],
        [(port.network, ip.address) for port in ports for ip in port.fixed_ips],
        [guest.number for guest in result.cloud.instances.values()],
        [(network.type, network.segmentation_id) for network in networks],
        *([*host.local_vlans.values()] for host in result.cloud.nodes.values()),
    ):
        assert len(values) == len(set(values))
    outside = {
        ip.address for router in result.cloud.routers.values() if router.gateway for ip in router.gateway.fixed_ips
    }
    floating = {ip.address for router in result.cloud.routers.values() for ip in router.floating_ips}
    assert not outside & floating


def _random_step(inventory: dict[str, Any], dice: random.Random, step: int) -> None:
    """Add or remove a random object."""
    cloud, instances = inventory["cloud"], inventory["instances"]
    networks = [name for name in cloud["cloud_networks"] if name != "ext"]
    match dice.choice(["come", "come", "go", "network", "no network", "router", "no router", "nic", "floating"]):
        case "come":
            for number in range(dice.randint(1, 4)):
                instances[f"i{step}-{number}"] = instance(
                    *dice.sample(networks, k=min(len(networks), dice.randint(0, 2)))
                )
        case "go" if instances:
            for name in dice.sample(sorted(instances), k=dice.randint(1, len(instances))):
                del instances[name]
        case "network":
            kind = dice.choice(["vxlan", "gre", "geneve", "local"])
            cloud["cloud_networks"][f"n{step}"] = {"type": kind, "subnets": {"s": subnet(f"10.{100 + step}.0.0/24")}}
        case "no network":
            gone = dice.choice(networks)
            del cloud["cloud_networks"][gone]
            for router in cloud["cloud_routers"].values():
                router["interfaces"] = [name for name in router["interfaces"] if name != gone]
            for guest in instances.values():
                nics = guest["vars"]["instance_networks"]
                guest["vars"]["instance_networks"] = [nic for nic in nics if nic != gone]
        case "router":
            routed = {name for router in cloud["cloud_routers"].values() for name in router["interfaces"]}
            free = [name for name in networks if name not in routed]
            cloud["cloud_routers"][f"r{step}"] = {"external_network": "ext", "interfaces": free[:2]}
        case "no router" if cloud["cloud_routers"]:
            del cloud["cloud_routers"][dice.choice(sorted(cloud["cloud_routers"]))]
        case "nic" if instances:
            dice.choice(list(instances.values()))["vars"]["instance_networks"].insert(0, dice.choice(networks))
        case "floating":
            cloud["cloud_floating_ips"][f"172.16.19.{100 + step}"] = {"network": "ext"}


@pytest.mark.parametrize("seed", range(8))
def test_random_additions_and_removals_change_no_other_allocation(seed: int) -> None:
    dice = random.Random(seed)
    inventory = s1()
    inventory["nodes"]["network2"] = copy.deepcopy(inventory["nodes"]["network1"])
    inventory["nodes"]["network2"]["vars"].update(ansible_host="10.92.0.12", node_tunnel_ip="10.92.0.12")
    inventory["cloud"]["cloud_floating_ips"] = {}
    inventory["cloud"]["cloud_dhcp_agents_per_network"] = 2
    result = planned(inventory)
    for step in range(30):
        before = dict(allocated(result.allocations))
        _random_step(inventory, dice, step)
        if not [name for name in inventory["cloud"]["cloud_networks"] if name != "ext"]:
            inventory["cloud"]["cloud_networks"]["back"] = {"subnets": {"s": subnet("10.99.0.0/24")}}
        result = planned(inventory, result)
        after = dict(allocated(result.allocations))
        assert {key: value for key, value in before.items() if key in after and after[key] != value} == {}
        assert_no_value_is_allocated_twice(result)
        same = planned(inventory, result)
        assert same.plan_changes == ()
        assert same.allocations == result.allocations
        assert same.cloud == result.cloud


def test_the_address_of_a_removed_instance_is_given_out_last_and_its_number_never() -> None:
    inventory = s1()
    pool = [{"start": "10.18.0.2", "end": "10.18.0.5"}]
    inventory["cloud"]["cloud_networks"]["internal"]["subnets"]["internal"]["allocation_pools"] = pool
    first = planned(inventory)
    gone = inventory["instances"].pop("vm2")
    second = planned(inventory, first)
    inventory["instances"]["new"] = gone
    third = planned(inventory, second)
    address = first.allocations.instances["vm2"].ports["internal"].addresses
    assert third.allocations.instances["new"].ports["internal"].addresses == ("10.18.0.5",) != address
    inventory["instances"]["newer"] = gone
    assert planned(inventory, third).allocations.instances["newer"].ports["internal"].addresses == address
    numbers = {guest.number for guest in first.allocations.instances.values()}
    assert third.allocations.instances["new"].number not in numbers


def test_a_stopped_instance_keeps_its_allocations_and_an_absent_instance_loses_them() -> None:
    inventory = s1()
    first = planned(inventory)
    inventory["instances"]["vm2"]["vars"]["instance_state"] = "stopped"
    stopped = planned(inventory, first)
    assert stopped.allocations.instances == first.allocations.instances
    assert stopped.cloud.instances["vm2"].state == "stopped"
    inventory["instances"]["vm2"]["vars"]["instance_state"] = "absent"
    assert "vm2" not in planned(inventory, stopped).cloud.instances


def test_instances_get_the_lowest_free_addresses_in_natural_order_of_their_names() -> None:
    cloud = planned(flock(12)).cloud
    guests = [cloud.instances[f"web{number}"] for number in range(1, 13)]
    # .1 is the gateway, .2 the DHCP port
    assert [guest.ports[0].fixed_ips[0].address for guest in guests] == [f"10.64.0.{last}" for last in range(3, 15)]
    assert [guest.number for guest in guests] == list(range(1, 13))


def test_declared_addresses_are_used_and_never_allocated_to_others() -> None:
    inventory = s1()
    inventory["instances"]["vm9"] = instance(
        {"network": "internal", "address": "10.18.0.2", "mac": "52:54:00:00:00:09"}
    )
    inventory["cloud"]["cloud_routers"]["r1"]["external_ip"] = "172.16.19.1"
    inventory["cloud"]["cloud_routers"]["r2"] = {"external_network": "ext"}
    inventory["cloud"]["cloud_floating_ips"]["172.16.19.2"] = {"network": "ext"}
    cloud = planned(inventory).cloud
    assert cloud.instances["vm9"].ports[0].fixed_ips[0].address == "10.18.0.2"
    assert cloud.instances["vm9"].ports[0].mac == "52:54:00:00:00:09"
    assert cloud.dhcp_ports["internal"][0].fixed_ips[0].address == "10.18.0.3"
    gateway = cloud.routers["r2"].gateway
    assert gateway is not None
    assert gateway.fixed_ips[0].address == "172.16.19.3"


def test_declaring_an_address_that_is_allocated_to_another_port_is_refused() -> None:
    inventory = s1()
    first = planned(inventory)
    taken = first.allocations.instances["vm2"].ports["internal"].addresses[0]
    inventory["instances"]["vm9"] = instance({"network": "internal", "address": taken})
    with pytest.raises(PlanError) as error:
        planned(inventory, first)
    assert error.value.messages == (
        f"instances.vm9.instance_networks.0.address: '{taken}': is already allocated to instance/vm2/internal; "
        "choose another address for instance/vm9/internal",
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda cloud: cloud["cloud_networks"].update(new={"segmentation_id": 1}),
            "cloud_networks.new.segmentation_id: 1: is already allocated to network internal",
        ),
        (
            lambda cloud: cloud["cloud_floating_ips"].update({"172.16.19.1": {"network": "ext"}}),
            "cloud_floating_ips.172.16.19.1: '172.16.19.1': is already allocated to router/r1/gateway",
        ),
        (
            lambda cloud: cloud["cloud_networks"]["internal"]["subnets"]["internal"].update(gateway_ip="10.18.0.3"),
            "cloud_routers.r1.interfaces.0: '10.18.0.3': is already allocated to instance/vm1/internal",
        ),
    ],
)
def test_a_later_declaration_of_an_allocated_value_is_refused(change: Any, expected: str) -> None:
    inventory = s1()
    first = planned(inventory)
    change(inventory["cloud"])
    with pytest.raises(PlanError) as error:
        planned(inventory, first)
    assert [message for message in error.value.messages if expected in message]


def test_declaring_a_mac_that_is_allocated_to_another_port_is_refused() -> None:
    inventory = s1()
    first = planned(inventory)
    mac = first.cloud.instances["vm1"].ports[0].mac
    inventory["instances"]["vm9"] = instance({"network": "internal", "mac": mac})
    message = f"instances.vm9.instance_networks.0.mac: '{mac}': is already allocated to instance/vm1"
    with pytest.raises(PlanError, match=message):
        planned(inventory, first)


def test_a_declared_mac_is_not_derived_for_another_port_and_the_replacement_is_sticky() -> None:
    inventory = s1()
    derived = planned(inventory).cloud.instances["vm2"].ports[0].mac
    inventory["instances"]["vm9"] = instance({"network": "internal", "mac": derived})
    first = planned(inventory)
    other = first.cloud.instances["vm2"].ports[0].mac
    assert other != derived
    del inventory["instances"]["vm9"]
    assert planned(inventory, first).cloud.instances["vm2"].ports[0].mac == other


def test_a_smaller_pool_changes_no_address_and_another_cidr_changes_all() -> None:
    inventory = s1()
    first = planned(inventory)
    declared = inventory["cloud"]["cloud_networks"]["internal"]["subnets"]["internal"]
    declared["allocation_pools"] = [{"start": "10.18.0.100", "end": "10.18.0.110"}]
    second = planned(inventory, first)
    assert second.allocations.instances == first.allocations.instances
    declared.update(cidr="10.28.0.0/24", allocation_pools=[])
    third = planned(inventory, second)
    assert third.allocations.instances["vm1"].ports["internal"].addresses == ("10.28.0.3",)
    assert third.allocations.instances["vm1"].ports["internal"].mac == first.cloud.instances["vm1"].ports[0].mac


def test_the_message_about_an_exhausted_pool_names_the_network_and_the_port() -> None:
    inventory = s1()
    inventory["cloud"]["cloud_networks"]["internal"]["subnets"]["internal"]["allocation_pools"] = [
        {"start": "10.18.0.10", "end": "10.18.0.11"}
    ]
    with pytest.raises(PlanError) as error:
        planned(inventory)
    assert error.value.messages == (
        "cloud_networks.internal.subnets: 'internal (10.18.0.0/24)': no address is free in the allocation pools for "
        "instance/vm2/internal",
    )


def test_freed_segments_and_vlans_are_not_reused_in_the_same_run() -> None:
    inventory = s1()
    first = planned(inventory)
    inventory["instances"].pop("vm3")
    inventory["cloud"]["cloud_routers"]["r1"]["interfaces"] = ["internal"]
    inventory["cloud"]["cloud_networks"]["other"] = inventory["cloud"]["cloud_networks"].pop("internal2")
    second = planned(inventory, first)
    assert second.allocations.networks["other"].segment == "vxlan/3"
    assert second.allocations.vlans["network1"]["other"] == 4
    inventory["cloud"]["cloud_networks"]["third"] = {"subnets": {"s": subnet("10.33.0.0/24")}}
    assert planned(inventory, second).allocations.networks["third"].segment == "vxlan/2"


def test_a_freed_tunnel_id_rests_in_the_run_that_frees_it() -> None:
    inventory = s1()
    inventory["cloud"]["cloud_tunnel_id_range"] = "5:6"
    first = planned(inventory)
    inventory["instances"].pop("vm3")
    inventory["cloud"]["cloud_routers"]["r1"]["interfaces"] = ["internal"]
    freed = inventory["cloud"]["cloud_networks"].pop("internal2")
    inventory["cloud"]["cloud_networks"]["other"] = freed
    with pytest.raises(PlanError, match="freed ids rest until all nodes have converged after their removal"):
        planned(inventory, first)
    del inventory["cloud"]["cloud_networks"]["other"]
    second = planned(inventory, first)
    inventory["cloud"]["cloud_networks"]["other"] = freed
    second = planned(inventory, second)
    assert second.allocations.networks["other"].segment == "vxlan/6"
    inventory["cloud"]["cloud_networks"]["third"] = {}
    message = r"cloud_networks.third: 'third': no segmentation id is free in cloud_tunnel_id_range"
    with pytest.raises(PlanError, match=message):
        planned(inventory, second)


def test_vlans_come_from_the_ranges_of_their_physical_network() -> None:
    inventory = s1()
    inventory["cloud"]["cloud_vlan_ranges"] = {"physnet1": ["2000:2001", "3000"]}
    vlan = {"type": "vlan", "physical_network": "physnet1"}
    inventory["cloud"]["cloud_networks"].update(a=vlan, b={**vlan, "segmentation_id": 2000}, c=vlan)
    networks = planned(inventory).cloud.networks
    assert [networks[name].segmentation_id for name in "abc"] == [2001, 2000, 3000]


def test_a_disabled_node_keeps_its_instances_and_gets_no_new_instance() -> None:
    inventory = s1()
    first = planned(inventory)
    inventory["nodes"]["compute1"]["vars"]["node_enabled"] = False
    inventory["instances"]["vm4"] = instance("internal")
    second = planned(inventory, first)
    assert second.cloud.instances["vm1"].node == "compute1"
    assert second.cloud.instances["vm4"].node == "compute2"


def test_a_node_with_instances_does_not_leave() -> None:
    inventory = s1()
    first = planned(inventory)
    gone = inventory["nodes"].pop("compute1")
    inventory["instances"]["vm1"]["vars"].pop("instance_host")
    with pytest.raises(PlanError, match=r"nodes\.compute1: is no longer in the inventory, but it has guests: vm1, vm3"):
        planned(inventory, first)
    inventory["nodes"]["compute1"] = {**gone, "groups": ["network"]}
    with pytest.raises(PlanError, match=r"nodes\.compute1: is no longer in group compute, but it has guests: vm1, vm3"):
        planned(inventory, first)


def test_a_node_leaves_after_its_instances() -> None:
    inventory = s1()
    first = planned(inventory)
    for name in ("vm1", "vm3"):
        del inventory["instances"][name]
    del inventory["cloud"]["cloud_floating_ips"]["172.16.19.232"]
    second = planned(inventory, first)
    del inventory["nodes"]["compute1"]
    third = planned(inventory, second)
    assert "compute1" not in third.allocations.vlans
    assert "- node compute1" in [change.label for change in third.plan_changes]


def test_changing_the_pin_of_an_instance_is_refused() -> None:
    inventory = s1()
    first = planned(inventory)
    inventory["instances"]["vm1"]["vars"]["instance_host"] = "compute2"
    message = r"instances\.vm1\.instance_host: 'compute2': instance vm1 is on compute1"
    with pytest.raises(PlanError, match=message):
        planned(inventory, first)


def test_a_node_that_does_not_answer_keeps_its_instances_and_services() -> None:
    inventory = s1()
    first = planned(inventory)
    facts = facts_of(inventory)
    for silent in ("compute1", "network1"):
        del facts[silent]
    second = resolve(inventory, first.allocations.dump(), facts)
    assert second.cloud == first.cloud
    assert second.allocations == first.allocations
    assert second.plan_changes == ()


def test_a_node_that_was_never_reached_gets_no_instance() -> None:
    inventory = s1()
    inventory["nodes"]["compute0"] = node("compute", tunnel="10.92.0.20")
    facts = facts_of(inventory)
    del facts["compute0"]
    assert resolve(inventory, None, facts).cloud.instances["vm3"].node == "compute1"


def test_services_spread_over_network_nodes_and_stay_there() -> None:
    inventory = s1()
    inventory["nodes"]["network2"] = copy.deepcopy(inventory["nodes"]["network1"])
    inventory["nodes"]["network2"]["vars"].update(ansible_host="10.92.0.12", node_tunnel_ip="10.92.0.12")
    inventory["cloud"]["cloud_routers"]["r2"] = {"external_network": "ext"}
    first = planned(inventory)
    assert {router.nodes for router in first.cloud.routers.values()} == {("network1",), ("network2",)}
    served = {port.nodes for ports in first.cloud.dhcp_ports.values() for port in ports}
    assert served == {("network1",), ("network2",)}
    inventory["nodes"]["network0"] = copy.deepcopy(inventory["nodes"]["network1"])
    inventory["nodes"]["network0"]["vars"].update(ansible_host="10.92.0.10", node_tunnel_ip="10.92.0.10")
    second = planned(inventory, first)
    assert second.cloud.routers == first.cloud.routers
    assert second.cloud.dhcp_ports == first.cloud.dhcp_ports


def test_small_changes_of_facts_do_not_change_the_allocations() -> None:
    inventory = s1()
    first = planned(inventory)
    facts = facts_of(inventory, ram_mb=4000, disk_gb=47)
    facts["compute1"]["nics"]["docker0"] = {"mac": "02:00:00:00:00:09", "mtu": 1400, "addresses": ["172.17.0.1/16"]}
    assert resolve(inventory, first.allocations, facts).allocations == first.allocations
    grown = resolve(inventory, first.allocations, facts_of(inventory, ram_mb=8192)).allocations
    assert grown.facts["compute1"].ram_mb == 8192


def test_allocations_of_another_cloud_are_refused() -> None:
    inventory = s1()
    first = planned(inventory)
    inventory["cloud"]["cloud_name"] = "other"
    with pytest.raises(PlanError, match="cloud_name: 'other': the allocations are those of cloud 'lab'"):
        planned(inventory, first)

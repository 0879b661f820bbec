"""What was given stays: whatever comes and goes moves nobody else, and a second run changes nothing."""

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


def again(inventory: dict[str, Any], before: Resolution | None = None) -> Resolution:
    """A run after another one, by way of the file."""
    allocations = json.loads(before.allocations.text()) if before else None
    return resolve(inventory, allocations, facts_of(inventory))


def given(allocations: Allocations) -> Iterator[tuple[str, Any]]:
    """Everything that was given, by who has it."""
    for name, network in allocations.networks.items():
        yield f"network/{name}", network.segment
        yield from ((f"dhcp/{name}/{host}", port) for host, port in network.dhcp.items())
    for name, router in allocations.routers.items():
        yield f"router/{name}", (router.node, router.gateway)
        yield from ((f"router/{name}/{label}", port) for label, port in router.ports.items())
    for name, one in allocations.instances.items():
        yield f"instance/{name}", (one.number, one.node)
        yield from ((f"instance/{name}/{label}", port) for label, port in one.ports.items())
    for host, vlans in allocations.vlans.items():
        yield from ((f"vlan/{host}/{name}", vlan) for name, vlan in vlans.items())


def assert_nothing_twice(result: Resolution) -> None:
    ports = [
        *(port for router in result.cloud.routers.values() for port in router.interfaces),
        *(router.gateway for router in result.cloud.routers.values() if router.gateway),
        *(port for one in result.cloud.instances.values() for port in one.ports),
        *(port for there in result.cloud.dhcp_ports.values() for port in there),
    ]
    for what in (
        [port.mac for port in ports],
        [port.id for port in ports],
        [(port.network, ip.address) for port in ports for ip in port.fixed_ips],
        [one.number for one in result.cloud.instances.values()],
        [(one.type, one.segmentation_id) for one in result.cloud.networks.values() if one.segmentation_id is not None],
        *([*one.local_vlans.values()] for one in result.cloud.nodes.values()),
    ):
        assert len(what) == len(set(what))
    outside = {
        ip.address for router in result.cloud.routers.values() if router.gateway for ip in router.gateway.fixed_ips
    }
    assert not outside & {one.address for router in result.cloud.routers.values() for one in router.floating_ips}


def _random_step(inventory: dict[str, Any], dice: random.Random, step: int) -> None:
    """Something comes, or something goes."""
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
                router["interfaces"] = [one for one in router["interfaces"] if one != gone]
            for one in instances.values():
                nics = one["vars"]["instance_networks"]
                one["vars"]["instance_networks"] = [nic for nic in nics if nic != gone]
        case "router":
            free = [one for one in networks if not any(one in r["interfaces"] for r in cloud["cloud_routers"].values())]
            cloud["cloud_routers"][f"r{step}"] = {"external_network": "ext", "interfaces": free[:2]}
        case "no router" if cloud["cloud_routers"]:
            del cloud["cloud_routers"][dice.choice(sorted(cloud["cloud_routers"]))]
        case "nic" if instances:
            dice.choice(list(instances.values()))["vars"]["instance_networks"].insert(0, dice.choice(networks))
        case "floating":
            cloud["cloud_floating_ips"][f"172.16.19.{100 + step}"] = {"network": "ext"}


@pytest.mark.parametrize("seed", range(8))
def test_whatever_comes_and_goes_the_others_keep_what_they_have(seed: int) -> None:
    dice = random.Random(seed)
    inventory = s1()
    inventory["nodes"]["network2"] = copy.deepcopy(inventory["nodes"]["network1"])
    inventory["nodes"]["network2"]["vars"].update(ansible_host="10.92.0.12", node_tunnel_ip="10.92.0.12")
    inventory["cloud"]["cloud_floating_ips"] = {}
    inventory["cloud"]["cloud_dhcp_agents_per_network"] = 2
    result = again(inventory)
    for step in range(30):
        before = dict(given(result.allocations))
        _random_step(inventory, dice, step)
        if not [one for one in inventory["cloud"]["cloud_networks"] if one != "ext"]:
            inventory["cloud"]["cloud_networks"]["back"] = {"subnets": {"s": subnet("10.99.0.0/24")}}
        result = again(inventory, result)
        after = dict(given(result.allocations))
        assert {name: one for name, one in before.items() if name in after and after[name] != one} == {}
        assert_nothing_twice(result)
        same = again(inventory, result)
        assert same.plan_changes == ()
        assert same.allocations == result.allocations
        assert same.cloud == result.cloud


def test_what_an_instance_held_is_free_again_when_it_goes() -> None:
    inventory = s1()
    first = again(inventory)
    gone = inventory["instances"].pop("vm2")
    second = again(inventory, first)
    inventory["instances"]["new"] = gone
    third = again(inventory, second)
    address = first.allocations.instances["vm2"].ports["internal"].addresses
    assert third.allocations.instances["new"].ports["internal"].addresses == address
    assert third.allocations.instances["new"].number not in {one.number for one in first.allocations.instances.values()}


def test_an_absent_instance_holds_nothing_and_a_stopped_one_keeps_all() -> None:
    inventory = s1()
    first = again(inventory)
    inventory["instances"]["vm2"]["vars"]["instance_state"] = "stopped"
    stopped = again(inventory, first)
    assert stopped.allocations.instances == first.allocations.instances
    assert stopped.cloud.instances["vm2"].state == "stopped"
    inventory["instances"]["vm2"]["vars"]["instance_state"] = "absent"
    assert "vm2" not in again(inventory, stopped).cloud.instances


def test_new_addresses_are_the_lowest_free_ones_in_the_order_in_which_people_count() -> None:
    cloud = again(flock(12)).cloud
    addresses = [cloud.instances[f"web{one}"].ports[0].fixed_ips[0].address for one in range(1, 13)]
    # .1 is the gateway, .2 the DHCP port
    assert addresses == [f"10.64.0.{one}" for one in range(3, 15)]
    assert [cloud.instances[f"web{one}"].number for one in range(1, 13)] == list(range(1, 13))


def test_explicit_addresses_are_respected_and_never_given_to_others() -> None:
    inventory = s1()
    inventory["instances"]["vm9"] = instance(
        {"network": "internal", "address": "10.18.0.2", "mac": "52:54:00:00:00:09"}
    )
    inventory["cloud"]["cloud_routers"]["r1"]["external_ip"] = "172.16.19.1"
    inventory["cloud"]["cloud_routers"]["r2"] = {"external_network": "ext"}
    inventory["cloud"]["cloud_floating_ips"]["172.16.19.2"] = {"network": "ext"}
    cloud = again(inventory).cloud
    assert cloud.instances["vm9"].ports[0].fixed_ips[0].address == "10.18.0.2"
    assert cloud.instances["vm9"].ports[0].mac == "52:54:00:00:00:09"
    assert cloud.dhcp_ports["internal"][0].fixed_ips[0].address == "10.18.0.3"
    gateway = cloud.routers["r2"].gateway
    assert gateway is not None
    assert gateway.fixed_ips[0].address == "172.16.19.3"


def test_an_address_in_use_cannot_be_wished_for_by_somebody_new() -> None:
    inventory = s1()
    first = again(inventory)
    taken = first.allocations.instances["vm2"].ports["internal"].addresses[0]
    inventory["instances"]["vm9"] = instance({"network": "internal", "address": taken})
    with pytest.raises(PlanError) as error:
        again(inventory, first)
    assert error.value.messages == (
        f"instances.vm9.instance_networks.0.address: '{taken}': is in use by instance/vm2/internal, to which it was "
        "given when it came; choose another address for instance/vm9/internal",
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda cloud: cloud["cloud_networks"].update(new={"segmentation_id": 1}),
            "cloud_networks.new.segmentation_id: 1: is in use by network internal",
        ),
        (
            lambda cloud: cloud["cloud_floating_ips"].update({"172.16.19.1": {"network": "ext"}}),
            "cloud_floating_ips.172.16.19.1: '172.16.19.1': is in use by router/r1/gateway",
        ),
        (
            lambda cloud: cloud["cloud_networks"]["internal"]["subnets"]["internal"].update(gateway_ip="10.18.0.3"),
            "cloud_routers.r1.interfaces.0: '10.18.0.3': is in use by instance/vm1/internal",
        ),
    ],
)
def test_what_is_in_use_is_not_taken_away_by_a_later_wish(change: Any, expected: str) -> None:
    inventory = s1()
    first = again(inventory)
    change(inventory["cloud"])
    with pytest.raises(PlanError) as error:
        again(inventory, first)
    assert [one for one in error.value.messages if expected in one]


def test_a_mac_in_use_cannot_be_wished_for_by_somebody_new() -> None:
    inventory = s1()
    first = again(inventory)
    mac = first.cloud.instances["vm1"].ports[0].mac
    inventory["instances"]["vm9"] = instance({"network": "internal", "mac": mac})
    with pytest.raises(PlanError, match=f"instances.vm9.instance_networks.0.mac: '{mac}': is in use by instance/vm1"):
        again(inventory, first)


def test_a_mac_that_somebody_wished_for_is_not_derived_for_another_and_what_came_of_it_stays() -> None:
    inventory = s1()
    derived = again(inventory).cloud.instances["vm2"].ports[0].mac
    inventory["instances"]["vm9"] = instance({"network": "internal", "mac": derived})
    first = again(inventory)
    other = first.cloud.instances["vm2"].ports[0].mac
    assert other != derived
    del inventory["instances"]["vm9"]
    assert again(inventory, first).cloud.instances["vm2"].ports[0].mac == other


def test_a_shrunken_pool_moves_nobody_and_a_moved_subnet_moves_all() -> None:
    inventory = s1()
    first = again(inventory)
    there = inventory["cloud"]["cloud_networks"]["internal"]["subnets"]["internal"]
    there["allocation_pools"] = [{"start": "10.18.0.100", "end": "10.18.0.110"}]
    second = again(inventory, first)
    assert second.allocations.instances == first.allocations.instances
    there.update(cidr="10.28.0.0/24", allocation_pools=[])
    third = again(inventory, second)
    assert third.allocations.instances["vm1"].ports["internal"].addresses == ("10.28.0.3",)
    assert third.allocations.instances["vm1"].ports["internal"].mac == first.cloud.instances["vm1"].ports[0].mac


def test_an_exhausted_pool_is_said_with_its_network() -> None:
    inventory = s1()
    inventory["cloud"]["cloud_networks"]["internal"]["subnets"]["internal"]["allocation_pools"] = [
        {"start": "10.18.0.10", "end": "10.18.0.11"}
    ]
    with pytest.raises(PlanError) as error:
        again(inventory)
    assert error.value.messages == (
        "cloud_networks.internal.subnets: 'internal (10.18.0.0/24)': no address is left in the allocation pools for "
        "instance/vm2/internal",
    )


def test_numbers_given_up_rest_for_one_run() -> None:
    inventory = s1()
    first = again(inventory)
    inventory["instances"].pop("vm3")
    inventory["cloud"]["cloud_routers"]["r1"]["interfaces"] = ["internal"]
    inventory["cloud"]["cloud_networks"]["other"] = inventory["cloud"]["cloud_networks"].pop("internal2")
    second = again(inventory, first)
    assert second.allocations.networks["other"].segment == "vxlan/3"
    assert second.allocations.vlans["network1"]["other"] == 4
    inventory["cloud"]["cloud_networks"]["third"] = {"subnets": {"s": subnet("10.33.0.0/24")}}
    assert again(inventory, second).allocations.networks["third"].segment == "vxlan/2"


def test_the_last_tunnel_ids_are_given_at_once_when_there_are_no_others() -> None:
    inventory = s1()
    inventory["cloud"]["cloud_tunnel_id_range"] = "5:6"
    first = again(inventory)
    inventory["instances"].pop("vm3")
    inventory["cloud"]["cloud_routers"]["r1"]["interfaces"] = ["internal"]
    inventory["cloud"]["cloud_networks"]["other"] = inventory["cloud"]["cloud_networks"].pop("internal2")
    second = again(inventory, first)
    assert second.allocations.networks["other"].segment == "vxlan/6"
    inventory["cloud"]["cloud_networks"]["third"] = {}
    with pytest.raises(PlanError, match=r"cloud_networks.third: 'third': no number is left in cloud_tunnel_id_range"):
        again(inventory, second)


def test_vlans_come_from_the_ranges_of_their_physical_network() -> None:
    inventory = s1()
    inventory["cloud"]["cloud_vlan_ranges"] = {"physnet1": ["2000:2001", "3000"]}
    vlan = {"type": "vlan", "physical_network": "physnet1"}
    inventory["cloud"]["cloud_networks"].update(a=vlan, b={**vlan, "segmentation_id": 2000}, c=vlan)
    networks = again(inventory).cloud.networks
    assert [networks[one].segmentation_id for one in "abc"] == [2001, 2000, 3000]


def test_an_instance_stays_on_a_disabled_node_and_new_ones_do_not_come() -> None:
    inventory = s1()
    first = again(inventory)
    inventory["nodes"]["compute1"]["vars"]["node_enabled"] = False
    inventory["instances"]["vm4"] = instance("internal")
    second = again(inventory, first)
    assert second.cloud.instances["vm1"].node == "compute1"
    assert second.cloud.instances["vm4"].node == "compute2"


def test_an_instance_of_a_node_that_is_gone_is_placed_anew_and_that_is_said() -> None:
    inventory = s1()
    first = again(inventory)
    assert first.cloud.instances["vm3"].node == "compute1"
    del inventory["nodes"]["compute1"]
    inventory["instances"]["vm1"]["vars"].pop("instance_host")
    second = again(inventory, first)
    assert second.cloud.instances["vm3"].node == "compute2"
    assert second.cloud.instances["vm3"].ports[0].mac == first.cloud.instances["vm3"].ports[0].mac
    assert "compute1" not in second.allocations.vlans
    labels = [one.label for one in second.plan_changes]
    assert "~ instance vm3 node: compute1 → compute2 (compute1 is no compute node any more)" in labels
    assert "- node compute1" in labels


def test_moving_a_pin_is_refused() -> None:
    inventory = s1()
    first = again(inventory)
    inventory["instances"]["vm1"]["vars"]["instance_host"] = "compute2"
    with pytest.raises(PlanError, match=r"instances\.vm1\.instance_host: 'compute2': instance vm1 is on compute1"):
        again(inventory, first)


def test_a_node_that_does_not_answer_keeps_its_place() -> None:
    inventory = s1()
    first = again(inventory)
    facts = facts_of(inventory)
    for silent in ("compute1", "network1"):
        del facts[silent]
    second = resolve(inventory, first.allocations.dump(), facts)
    assert second.cloud == first.cloud
    assert second.allocations == first.allocations
    assert second.plan_changes == ()


def test_a_node_that_was_never_reached_gets_nothing() -> None:
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
    first = again(inventory)
    assert {one.node for one in first.cloud.routers.values()} == {"network1", "network2"}
    assert {port.node for one in first.cloud.dhcp_ports.values() for port in one} == {"network1", "network2"}
    inventory["nodes"]["network0"] = copy.deepcopy(inventory["nodes"]["network1"])
    inventory["nodes"]["network0"]["vars"].update(ansible_host="10.92.0.10", node_tunnel_ip="10.92.0.10")
    second = again(inventory, first)
    assert second.cloud.routers == first.cloud.routers
    assert second.cloud.dhcp_ports == first.cloud.dhcp_ports


def test_steady_facts_do_not_rewrite_the_allocations() -> None:
    inventory = s1()
    first = again(inventory)
    facts = facts_of(inventory, ram_mb=4000, disk_gb=47)
    facts["compute1"]["nics"]["docker0"] = {"mac": "02:00:00:00:00:09", "mtu": 1400, "addresses": ["172.17.0.1/16"]}
    assert resolve(inventory, first.allocations, facts).allocations == first.allocations
    grown = resolve(inventory, first.allocations, facts_of(inventory, ram_mb=8192)).allocations
    assert grown.facts["compute1"].ram_mb == 8192


def test_allocations_of_another_cloud_are_refused() -> None:
    inventory = s1()
    first = again(inventory)
    inventory["cloud"]["cloud_name"] = "other"
    with pytest.raises(PlanError, match="cloud_name: 'other': the allocations are those of cloud 'lab'"):
        again(inventory, first)

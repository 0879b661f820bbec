"""Scheduling: each filter, the weigher, affinity, and the message when no host is valid."""

from __future__ import annotations

from typing import Any

import pytest
from headworks.model.errors import PlanError
from headworks.plan.resolve import resolve
from inventories import facts_of, flock, instance, s1


def nodes_of(inventory: dict[str, Any], **facts: Any) -> dict[str, str]:
    cloud = resolve(inventory, None, facts_of(inventory, **facts)).cloud
    return {name: guest.node for name, guest in cloud.instances.items()}


def refusal(inventory: dict[str, Any], **facts: Any) -> list[str]:
    with pytest.raises(PlanError) as error:
        resolve(inventory, None, facts_of(inventory, **facts))
    assert len(error.value.messages) == 1, error.value.messages
    return error.value.messages[0].splitlines()


def with_big_instance(**variables: Any) -> dict[str, Any]:
    """S1 with a further instance, ``vm99``, of flavor big."""
    inventory = s1()
    inventory["cloud"]["cloud_flavors"]["big"] = {"vcpus": 1, "ram_mb": 64}
    inventory["instances"]["vm99"] = instance("internal", flavor="big", **variables)
    return inventory


def test_an_instance_is_placed_on_the_node_with_the_most_free_memory() -> None:
    inventory = flock(6)
    inventory["nodes"]["compute2"]["vars"]["node_reserved_ram_mb"] = 512 + 128
    nodes = nodes_of(inventory)
    placed = [nodes[f"web{number}"] for number in range(1, 7)]
    assert placed == ["compute1"] * 3 + ["compute2", "compute1", "compute2"]


def test_the_table_shows_for_every_node_the_filter_the_wanted_and_the_available() -> None:
    inventory = with_big_instance()
    inventory["cloud"]["cloud_flavors"]["big"]["ram_mb"] = 4000
    inventory["nodes"]["compute2"]["vars"]["node_enabled"] = False
    inventory["instances"].pop("vm2")
    assert refusal(inventory) == [
        "instances.vm99: No valid host was found for instance vm99",
        "  node      filter   wanted   available",
        "  compute1  RAM      4000 MB  3456 MB",
        "  compute2  enabled  enabled  node_enabled: false",
    ]


@pytest.mark.parametrize(
    ("variables", "flavor", "row"),
    [
        ({}, {"vcpus": 17}, "compute1  vCPU    17 vCPU  14 vCPU"),
        ({}, {"disk_gb": 51}, "compute1  disk    51 GB   45 GB"),
        ({"host": "compute2", "availability_zone": "east"}, {}, "compute2  availability zone  east      nova"),
        ({"networks": ["ext"]}, {}, "compute1  physical network  physnet1  none mapped"),
    ],
)
def test_each_filter_has_its_row_in_the_table(variables: dict[str, Any], flavor: dict[str, Any], row: str) -> None:
    inventory = with_big_instance(**variables)
    inventory["cloud"]["cloud_flavors"]["big"].update(flavor)
    inventory["nodes"]["compute1"]["vars"]["node_availability_zone"] = "east"
    inventory["instances"].pop("vm3")
    inventory["instances"]["vm0"] = instance("internal", host="compute1")
    inventory["cloud"]["cloud_networks"]["internal2"]["subnets"] = {}
    inventory["cloud"]["cloud_routers"]["r1"]["interfaces"] = ["internal"]
    assert [line for line in refusal(inventory) if line.split() == row.split()]


def test_allocation_ratios_and_reserved_memory_change_the_capacity_of_a_node() -> None:
    inventory = with_big_instance(host="compute1")
    inventory["cloud"]["cloud_flavors"]["big"].update(ram_mb=5000, vcpus=30)
    settings = inventory["nodes"]["compute1"]["vars"]
    settings.update(node_ram_allocation_ratio=1.5, node_reserved_ram_mb=96, node_cpu_allocation_ratio=8)
    assert nodes_of(inventory)["vm99"] == "compute1"
    settings["node_ram_allocation_ratio"] = 1.25
    assert "compute1  RAM     5000 MB  4872 MB" in " ".join(refusal(inventory))


def test_an_instance_is_placed_on_a_node_that_maps_its_provider_network() -> None:
    inventory = with_big_instance(networks=["ext"])
    inventory["nodes"]["compute2"]["vars"]["node_bridge_mappings"] = {"physnet1": {"bridge": "br-ex"}}
    inventory["instances"]["vm9"] = instance("internal", host="compute2")
    assert nodes_of(inventory)["vm99"] == "compute2"


def test_the_disk_filter_uses_the_images_size_if_the_flavor_has_no_disk() -> None:
    inventory = flock(3)
    image = {"nano": {"virtual_size": 25 << 30}}
    facts = facts_of(inventory, disk_gb=54)
    with pytest.raises(PlanError, match="compute1  disk    25 GB   24 GB"):
        resolve(inventory, None, facts, image)


def test_pinned_instances_are_placed_before_others_can_fill_their_node() -> None:
    inventory = flock(3)
    inventory["instances"]["web3"]["vars"]["instance_host"] = "compute1"
    facts = facts_of(inventory, ram_mb=512 + 128)
    facts["compute1"]["ram_mb"] = 512 + 64
    cloud = resolve(inventory, None, facts).cloud
    assert cloud.instances["web3"].node == "compute1"


@pytest.mark.parametrize(
    ("policy", "count", "expected"),
    [
        ("anti-affinity", 2, {"compute1", "compute2"}),
        ("affinity", 4, {"compute1"}),
        ("soft-affinity", 4, {"compute1"}),
        ("soft-anti-affinity", 2, {"compute1", "compute2"}),
    ],
)
def test_affinity_policies_place_members_together_or_apart(policy: str, count: int, expected: set[str]) -> None:
    inventory = flock(count)
    inventory["cloud"]["cloud_affinity_groups"] = {"g": {"policy": policy}}
    for guest in inventory["instances"].values():
        guest["vars"]["instance_affinity_group"] = "g"
    # compute1 has twice as much memory, so without a policy every instance would be placed there.
    facts = facts_of(inventory)
    facts["compute1"]["ram_mb"] = 8192
    cloud = resolve(inventory, None, facts).cloud
    assert {guest.node for guest in cloud.instances.values()} == expected


def test_a_hard_policy_refuses_a_third_instance_on_two_nodes_and_a_soft_policy_places_it() -> None:
    inventory = flock(3)
    inventory["cloud"]["cloud_affinity_groups"] = {"g": {"policy": "anti-affinity"}}
    for guest in inventory["instances"].values():
        guest["vars"]["instance_affinity_group"] = "g"
    lines = refusal(inventory)
    assert lines[0] == "instances.web3: No valid host was found for instance web3"
    assert lines[2].split() == ["compute1", "affinity", "no", "other", "member", "of", "g", "has", "a", "member"]
    inventory["cloud"]["cloud_affinity_groups"]["g"]["policy"] = "soft-anti-affinity"
    assert len(nodes_of(inventory)) == 3


def test_many_instances_without_a_valid_host_are_reported_with_ten_tables_and_a_list() -> None:
    inventory = flock(300)
    inventory["cloud"]["cloud_flavors"]["m1.nano"]["ram_mb"] = 100_000
    with pytest.raises(PlanError) as error:
        resolve(inventory, None, facts_of(inventory))
    assert len(error.value.messages) == 11
    expected = "instances: No valid host was found for 290 more instances: web11, web12, "
    assert error.value.messages[-1].startswith(expected)


def test_an_overcommitted_node_keeps_its_instances_with_a_warning() -> None:
    inventory = flock(2)
    first = resolve(inventory, None, facts_of(inventory))
    inventory["cloud"]["cloud_flavors"]["m1.nano"]["ram_mb"] = 4000
    second = resolve(inventory, first.allocations, facts_of(inventory))
    assert "nodes.compute1: its instances need 416 MB more memory than it has" in second.warnings
    assert second.cloud.instances["web1"].node == "compute1"

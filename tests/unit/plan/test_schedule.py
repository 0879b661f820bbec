"""Scheduling: the filters one by one, the weigher, affinity, and what is said when no host is valid."""

from __future__ import annotations

from typing import Any

import pytest
from headworks.model.errors import PlanError
from headworks.plan.resolve import resolve
from inventories import facts_of, flock, instance, s1


def nodes_of(inventory: dict[str, Any], **facts: Any) -> dict[str, str]:
    cloud = resolve(inventory, None, facts_of(inventory, **facts)).cloud
    return {name: one.node for name, one in cloud.instances.items()}


def refusal(inventory: dict[str, Any], **facts: Any) -> list[str]:
    with pytest.raises(PlanError) as error:
        resolve(inventory, None, facts_of(inventory, **facts))
    assert len(error.value.messages) == 1, error.value.messages
    return error.value.messages[0].splitlines()


def one_big(**variables: Any) -> dict[str, Any]:
    """S1 with one more instance, ``vm99``, of flavor big."""
    inventory = s1()
    inventory["cloud"]["cloud_flavors"]["big"] = {"vcpus": 1, "ram_mb": 64}
    inventory["instances"]["vm99"] = instance("internal", flavor="big", **variables)
    return inventory


def test_instances_go_where_most_memory_is_free() -> None:
    inventory = flock(6)
    inventory["nodes"]["compute2"]["vars"]["node_reserved_ram_mb"] = 512 + 128
    nodes = nodes_of(inventory)
    assert [nodes[f"web{one}"] for one in range(1, 7)] == ["compute1"] * 3 + ["compute2", "compute1", "compute2"]


def test_the_table_shows_every_node_with_what_was_wanted_and_what_is_there() -> None:
    inventory = one_big()
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
        ({}, {"disk_gb": 51}, "compute1  disk    51 GB   50 GB"),
        ({"host": "compute2", "availability_zone": "east"}, {}, "compute2  availability zone  east      nova"),
        ({"networks": ["ext"]}, {}, "compute1  physical network  physnet1  none mapped"),
    ],
)
def test_each_filter_says_what_it_wanted(variables: dict[str, Any], flavor: dict[str, Any], row: str) -> None:
    inventory = one_big(**variables)
    inventory["cloud"]["cloud_flavors"]["big"].update(flavor)
    inventory["nodes"]["compute1"]["vars"]["node_availability_zone"] = "east"
    inventory["instances"].pop("vm3")
    inventory["instances"]["vm0"] = instance("internal", host="compute1")
    inventory["cloud"]["cloud_networks"]["internal2"]["subnets"] = {}
    inventory["cloud"]["cloud_routers"]["r1"]["interfaces"] = ["internal"]
    assert [line for line in refusal(inventory) if line.split() == row.split()]


def test_ratios_and_reserves_count() -> None:
    inventory = one_big(host="compute1")
    inventory["cloud"]["cloud_flavors"]["big"].update(ram_mb=5000, vcpus=30)
    settings = inventory["nodes"]["compute1"]["vars"]
    settings.update(node_ram_allocation_ratio=1.5, node_reserved_ram_mb=96, node_cpu_allocation_ratio=8)
    assert nodes_of(inventory)["vm99"] == "compute1"
    settings["node_ram_allocation_ratio"] = 1.25
    assert "compute1  RAM     5000 MB  4872 MB" in " ".join(refusal(inventory))


def test_an_instance_finds_the_node_that_maps_its_provider_network() -> None:
    inventory = one_big(networks=["ext"])
    inventory["nodes"]["compute2"]["vars"]["node_bridge_mappings"] = {"physnet1": {"bridge": "br-ex"}}
    inventory["instances"]["vm9"] = instance("internal", host="compute2")
    assert nodes_of(inventory)["vm99"] == "compute2"


def test_an_images_own_size_counts_where_the_flavor_has_no_disk() -> None:
    inventory = flock(3)
    image = {"nano": {"virtual_size": 25 << 30}}
    facts = facts_of(inventory, disk_gb=49)
    with pytest.raises(PlanError, match="compute1  disk    25 GB   24 GB"):
        resolve(inventory, None, facts, image)


def test_pinned_instances_get_their_node_before_others_fill_it() -> None:
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
def test_affinity_groups_keep_together_or_apart(policy: str, count: int, expected: set[str]) -> None:
    inventory = flock(count)
    inventory["cloud"]["cloud_affinity_groups"] = {"g": {"policy": policy}}
    for one in inventory["instances"].values():
        one["vars"]["instance_affinity_group"] = "g"
    # Twice as much memory on compute1 draws all there that nothing keeps away.
    facts = facts_of(inventory)
    facts["compute1"]["ram_mb"] = 8192
    cloud = resolve(inventory, None, facts).cloud
    assert {one.node for one in cloud.instances.values()} == expected


def test_a_hard_policy_refuses_and_a_soft_one_gives_in() -> None:
    inventory = flock(3)
    inventory["cloud"]["cloud_affinity_groups"] = {"g": {"policy": "anti-affinity"}}
    for one in inventory["instances"].values():
        one["vars"]["instance_affinity_group"] = "g"
    said = refusal(inventory)
    assert said[0] == "instances.web3: No valid host was found for instance web3"
    assert said[2].split() == ["compute1", "affinity", "no", "other", "of", "g", "has", "one"]
    inventory["cloud"]["cloud_affinity_groups"]["g"]["policy"] = "soft-anti-affinity"
    assert len(nodes_of(inventory)) == 3


def test_many_that_find_no_host_are_said_without_a_thousand_tables() -> None:
    inventory = flock(300)
    inventory["cloud"]["cloud_flavors"]["m1.nano"]["ram_mb"] = 100_000
    with pytest.raises(PlanError) as error:
        resolve(inventory, None, facts_of(inventory))
    assert len(error.value.messages) == 11
    assert error.value.messages[-1].startswith("instances: No valid host was found for 290 more: web11, web12, ")


def test_a_node_outgrown_by_its_instances_keeps_them_and_is_warned_of() -> None:
    inventory = flock(2)
    first = resolve(inventory, None, facts_of(inventory))
    inventory["cloud"]["cloud_flavors"]["m1.nano"]["ram_mb"] = 4000
    second = resolve(inventory, first.allocations, facts_of(inventory))
    assert second.warnings[0] == "nodes.compute1: its instances want more memory than it has (416 MB too much)"
    assert second.cloud.instances["web1"].node == "compute1"

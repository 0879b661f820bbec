"""Instances that are on a node stay there, so a plan whose inventory no longer fits the node is refused or warns."""

from __future__ import annotations

import json
from typing import Any

import pytest
from headworks.model.errors import PlanError
from headworks.plan.resolve import Resolution, resolve
from inventories import facts_of, instance, s1, subnet

MAPPED = {"physnet1": {"bridge": "br-ex", "interface": "eth2"}}


def provider() -> dict[str, Any]:
    """Scenario S1 with web1 and web2 on the provider network ``ext``, both on compute1, which alone maps it."""
    inventory = s1()
    inventory["nodes"]["compute1"]["vars"]["node_bridge_mappings"] = MAPPED
    inventory["instances"] |= {name: instance("ext", host="compute1") for name in ("web1", "web2")}
    return inventory


def planned(inventory: dict[str, Any], before: Resolution | None = None) -> Resolution:
    """A plan with the allocations of an earlier plan, read from the text of their file."""
    allocations = json.loads(before.allocations.text()) if before else None
    return resolve(inventory, allocations, facts_of(inventory))


def refusals(inventory: dict[str, Any], before: Resolution) -> list[str]:
    """The messages that refuse a plan."""
    with pytest.raises(PlanError) as refused:
        planned(inventory, before)
    return list(refused.value.messages)


def warnings(inventory: dict[str, Any], before: Resolution) -> list[str]:
    """The warnings of a plan about instances and affinity groups."""
    return [text for text in planned(inventory, before).warnings if text.startswith(("instances", "cloud_affinity"))]


def test_a_provider_network_that_the_node_no_longer_maps_is_refused_with_the_nodes_that_do() -> None:
    before = planned(provider())
    inventory = provider()
    inventory["nodes"]["compute1"]["vars"]["node_bridge_mappings"] = {}
    inventory["nodes"]["compute2"]["vars"]["node_bridge_mappings"] = MAPPED
    assert refusals(inventory, before) == [
        "instances.web1.instance_networks.0.network: 'ext': its physical network physnet1 is not in "
        "node_bridge_mappings of compute1, where the instance is (and also web2); compute nodes that map it: compute2"
    ]


def test_a_provider_network_that_an_instance_gets_later_must_be_mapped_on_its_node() -> None:
    before = planned(s1())
    inventory = s1()
    inventory["instances"]["vm2"]["vars"]["instance_networks"].append("ext")
    assert refusals(inventory, before) == [
        "instances.vm2.instance_networks.1.network: 'ext': its physical network physnet1 is not in "
        "node_bridge_mappings of compute2, where the instance is; compute nodes that map it: none"
    ]


def test_a_network_that_moves_to_another_physical_network_is_refused_if_the_node_lacks_it() -> None:
    inventory = provider()
    inventory["cloud"]["cloud_networks"]["flat2"] = {
        "type": "flat", "physical_network": "physnet1", "subnets": {"flat2": subnet("10.5.0.0/24")},
    }
    del inventory["cloud"]["cloud_networks"]["ext"], inventory["cloud"]["cloud_floating_ips"]
    inventory["cloud"]["cloud_routers"] = {}
    for name in ("web1", "web2"):
        inventory["instances"][name]["vars"]["instance_networks"] = ["flat2"]
    before = planned(inventory)
    inventory["cloud"]["cloud_networks"]["flat2"]["physical_network"] = "physnet2"
    inventory["nodes"]["network1"]["vars"]["node_bridge_mappings"] = {"physnet2": {"bridge": "br-ex"}}
    assert "physical network physnet2 is not in node_bridge_mappings of compute1" in refusals(inventory, before)[0]


def test_an_instance_that_is_where_its_networks_are_is_neither_refused_nor_warned_of() -> None:
    before = planned(provider())
    assert warnings(provider(), before) == []


def test_another_zone_is_a_warning_and_the_instance_stays() -> None:
    before = planned(s1())
    inventory = s1()
    inventory["nodes"]["compute2"]["vars"]["node_availability_zone"] = "z2"
    inventory["instances"]["vm1"]["vars"]["instance_availability_zone"] = "z2"
    assert warnings(inventory, before) == [
        "instances.vm1.instance_availability_zone: 'z2': the instance is on compute1 in zone nova, and stays there"
    ]
    assert planned(inventory, before).cloud.instances["vm1"].node == "compute1"


@pytest.mark.parametrize(
    ("policy", "members", "warning"),
    [
        ("anti-affinity", ("web1", "web2"), ["'anti-affinity': web1, web2 are on compute1, and stay there"]),
        ("anti-affinity", ("web1", "vm2"), []),
        ("soft-anti-affinity", ("web1", "web2"), []),
        ("affinity", ("web1", "vm2"), ["'affinity': on compute2: vm2; on compute1: web1, and stay there"]),
        ("affinity", ("web1", "web2"), []),
        ("soft-affinity", ("web1", "vm2"), []),
    ],
)
def test_a_hard_affinity_policy_that_is_not_met_is_a_warning(
    policy: str, members: tuple[str, ...], warning: list[str]
) -> None:
    before = planned(provider())
    inventory = provider()
    inventory["cloud"]["cloud_affinity_groups"] = {"g": {"policy": policy}}
    for name in members:
        inventory["instances"][name]["vars"]["instance_affinity_group"] = "g"
    assert warnings(inventory, before) == [f"cloud_affinity_groups.g.policy: {text}" for text in warning]


def test_a_new_instance_is_placed_and_not_warned_of() -> None:
    before = planned(s1())
    inventory = s1()
    inventory["instances"]["new"] = instance("internal", availability_zone="nova")
    assert warnings(inventory, before) == []

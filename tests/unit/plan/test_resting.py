"""Freed values rest until every node that knows the old owner has converged past its removal; nothing rests longer."""

from __future__ import annotations

from typing import Any

import pytest
from headworks.model.errors import PlanError
from headworks.plan.allocation.allocations import Rest
from headworks.plan.resolve import Resolution
from inventories import instance, node, s1, subnet
from worlds import World


def pool(last: int) -> dict[str, Any]:
    inventory = s1()
    inventory["cloud"]["cloud_floating_ips"] = {}
    addresses = [{"start": "10.18.0.2", "end": f"10.18.0.{last}"}]
    inventory["cloud"]["cloud_networks"]["internal"]["subnets"]["internal"]["allocation_pools"] = addresses
    return inventory


def address(result: Resolution, name: str) -> str:
    return result.cloud.instances[name].ports[0].fixed_ips[0].address


def test_an_address_rests_while_a_node_is_silent_and_is_free_when_it_has_converged() -> None:
    world, inventory = World(), pool(4)  # .2 DHCP, .3 vm1, .4 vm2
    result = world.run(inventory)
    del inventory["instances"]["vm2"]
    result = world.run(inventory, result, silent={"compute2"})
    inventory["instances"]["vm5"] = instance("internal", host="compute1")
    with pytest.raises(PlanError, match="freed addresses rest until all nodes have converged after their removal"):
        world.plan(inventory, result, silent={"compute2"})
    with pytest.raises(PlanError, match="freed addresses rest"):
        world.plan(inventory, result)  # it answers now, but has not converged yet
    new = inventory["instances"].pop("vm5")
    result = world.run(inventory, result)
    inventory["instances"]["vm5"] = new
    result = world.run(inventory, result)
    assert address(result, "vm5") == "10.18.0.4"


def test_an_address_of_a_node_that_left_the_inventory_does_not_rest() -> None:
    world, inventory = World(), pool(4)
    result = world.run(inventory)
    del inventory["instances"]["vm2"]
    result = world.run(inventory, result, silent={"compute2"})
    del inventory["nodes"]["compute2"]
    inventory["instances"]["vm5"] = instance("internal", host="compute1")
    assert address(world.plan(inventory, result), "vm5") == "10.18.0.4"


def test_a_segment_rests_while_a_member_is_silent() -> None:
    world, inventory = World(), s1()
    inventory["cloud"]["cloud_tunnel_id_range"] = "5:6"
    result = world.run(inventory)
    del inventory["instances"]["vm3"], inventory["cloud"]["cloud_networks"]["internal2"]
    inventory["cloud"]["cloud_routers"]["r1"]["interfaces"] = ["internal"]
    result = world.run(inventory, result, silent={"compute1"})
    inventory["cloud"]["cloud_networks"]["other"] = {"subnets": {"s": subnet("10.50.0.0/24")}}
    with pytest.raises(PlanError, match="freed ids rest until all nodes have converged"):
        world.plan(inventory, result)
    del inventory["cloud"]["cloud_networks"]["other"]
    result = world.run(inventory, result)
    inventory["cloud"]["cloud_networks"]["other"] = {"subnets": {"s": subnet("10.50.0.0/24")}}
    assert world.plan(inventory, result).allocations.networks["other"].segment == "vxlan/6"


def test_a_vlan_rests_on_its_node_only() -> None:
    world, inventory = World(), s1()
    inventory["cloud"]["cloud_networks"]["third"] = {"subnets": {"s": subnet("10.50.0.0/24")}}
    result = world.run(inventory)
    freed = result.allocations.vlans["compute2"]["internal"]
    del inventory["instances"]["vm2"]
    result = world.run(inventory, result, silent={"compute2"})
    inventory["instances"]["vm6"] = instance("third", host="compute2")
    result = world.run(inventory, result, silent={"compute2"})
    assert result.allocations.vlans["compute2"]["third"] != freed
    result = world.run(inventory, result)
    inventory["instances"]["vm7"] = instance("internal2", host="compute2")
    assert world.plan(inventory, result).allocations.vlans["compute2"]["internal2"] == freed


def test_a_derived_mac_of_a_declared_one_rests() -> None:
    world, inventory = World(), s1()
    result = world.run(inventory)
    mac = result.cloud.instances["vm2"].ports[0].mac
    del inventory["instances"]["vm2"]
    result = world.run(inventory, result, silent={"compute2"})
    inventory["instances"]["vm8"] = instance({"network": "internal2", "mac": mac}, host="compute1")
    with pytest.raises(PlanError) as error:
        world.plan(inventory, result, silent={"compute2"})
    assert error.value.messages == (
        f"instances.vm8.instance_networks.0.mac: '{mac}': was freed by instance/vm2/internal, but compute2 may still "
        "use it; it can have another owner when these nodes have converged",
    )
    assert world.plan(inventory, result).cloud.instances["vm8"].ports[0].mac == mac


def moved() -> tuple[World, dict[str, Any], Resolution]:
    """A world in which vm8 has the address that vm2 had, and compute2 failed in the run that moved it."""
    world, inventory = World(), s1()
    result = world.run(inventory)
    declared = {"network": "internal", "address": address(result, "vm2")}
    del inventory["instances"]["vm2"]
    inventory["instances"]["vm8"] = instance(declared, host="compute1")
    result = world.plan(inventory, result)  # all nodes answer, so the address may move at once
    world.apply(result, silent={"compute2"})
    return world, inventory, result


def test_a_declared_address_that_moved_while_a_node_failed_does_not_block_the_next_runs() -> None:
    world, inventory, result = moved()
    again = world.run(inventory, result, silent={"compute2"})
    assert again.allocations == result.allocations
    last = world.run(inventory, again)
    assert [(removal.name, removal.node) for removal in last.removals] == [("vm2", "compute2")]
    assert world.holders("vm2") == []


def test_a_declared_address_does_not_move_on_while_its_first_owner_is_silent() -> None:
    world, inventory, result = moved()
    nic = inventory["instances"].pop("vm8")["vars"]["instance_networks"][0]
    inventory["instances"]["vm9"] = instance(nic, host="compute1")
    with pytest.raises(PlanError, match="was freed by instance/vm2/internal, but compute2 may still use it"):
        world.plan(inventory, result, silent={"compute2"})
    assert address(world.plan(inventory, result), "vm9") == nic["address"]


def test_a_value_that_is_freed_twice_rests_for_the_nodes_of_both_owners() -> None:
    world, inventory, result = moved()
    inventory["nodes"]["compute3"] = node("compute", tunnel="10.92.0.23")
    value = f"address/internal/{address(result, 'vm8')}"
    del inventory["instances"]["vm8"]
    result = world.run(inventory, result, silent={"compute2", "compute1"})
    rest = result.allocations.resting[value]
    assert rest == Rest("instance/vm2/internal and instance/vm8/internal", rest.nodes, result.allocations.serial)
    assert {"compute1", "compute2"} <= set(rest.nodes)


def test_the_same_port_may_have_its_value_back_at_any_time() -> None:
    world, inventory = World(), s1()
    first = result = world.run(inventory)
    guest = inventory["instances"].pop("vm2")
    result = world.run(inventory, result, silent={"compute2"})
    inventory["instances"]["vm2"] = guest
    result = world.run(inventory, result, silent={"compute2"})
    assert result.cloud.instances["vm2"].ports == first.cloud.instances["vm2"].ports
    world.run(inventory, result)
    assert world.holders("vm2") == ["compute2"]


def test_a_node_that_still_has_to_leave_a_network_counts_for_the_values_that_it_knows() -> None:
    world, inventory = World(), s1()
    inventory["instances"]["vm4"] = instance("internal", host="compute1")
    result = world.run(inventory)
    del inventory["instances"]["vm2"]  # compute2 leaves the network, but is silent
    result = world.run(inventory, result, silent={"compute2"})
    freed = f"address/internal/{address(result, 'vm4')}"
    del inventory["instances"]["vm4"]
    result = world.run(inventory, result, silent={"compute2"})
    assert "compute2" in result.allocations.resting[freed].nodes


def test_rests_end_and_write_no_file_by_themselves() -> None:
    world, inventory = World(), s1()
    result = world.run(inventory)
    del inventory["instances"]["vm2"]
    result = world.run(inventory, result)
    assert result.allocations.resting
    settled = world.run(inventory, result)
    assert settled.allocations == result.allocations
    inventory["instances"]["vm5"] = instance("internal2")
    assert world.plan(inventory, settled).allocations.resting == {}

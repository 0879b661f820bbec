"""Guests that nodes hold: they stay where they are, come back with what they had, and no slip makes them again."""

from __future__ import annotations

from typing import Any

import pytest
from headworks.model.errors import PlanError
from headworks.plan.resolve import Resolution
from inventories import instance, node, s1
from worlds import DAY, World


def lines(result: Resolution) -> list[str]:
    return [change.label for change in result.plan_changes]


def address(result: Resolution, name: str) -> str:
    return result.cloud.instances[name].ports[0].fixed_ips[0].address


def small_pool(last: int) -> dict[str, Any]:
    """S1 whose network internal has the addresses up to .last for ports (.2 is the DHCP port)."""
    inventory = s1()
    pool = [{"start": "10.18.0.2", "end": f"10.18.0.{last}"}]
    inventory["cloud"]["cloud_networks"]["internal"]["subnets"]["internal"]["allocation_pools"] = pool
    inventory["cloud"]["cloud_floating_ips"] = {}
    for guest in inventory["instances"].values():
        guest["vars"].pop("instance_host", None)
    return inventory


def test_a_guest_that_is_found_elsewhere_stays_there() -> None:
    world, inventory = World(), s1()
    first = world.run(inventory)
    uuid = first.cloud.instances["vm3"].id
    world.machines["compute2"].guests[uuid] = world.machines["compute1"].guests.pop(uuid)
    second = world.run(inventory, first)
    assert second.cloud.instances["vm3"].node == "compute2"
    assert "instances.vm3: is on compute2 (the allocations say compute1); it stays there" in second.warnings
    assert lines(second) == []
    assert world.holders("vm3") == ["compute2"]


def test_a_guest_that_two_nodes_hold_is_refused() -> None:
    world, inventory = World(), s1()
    first = world.run(inventory)
    uuid = first.cloud.instances["vm3"].id
    world.machines["compute2"].guests[uuid] = world.machines["compute1"].guests[uuid]
    with pytest.raises(PlanError, match=r"instances.vm3: is held by compute1 \(running, 1.0 GiB\) and compute2"):
        world.plan(inventory, first)


def test_a_disk_without_a_domain_is_a_guest() -> None:
    world, inventory = World(), s1()
    first = world.run(inventory)
    facts = world.facts(inventory)
    held = facts["compute1"]["holdings"]["instances"][first.cloud.instances["vm3"].id]
    held.update(domain="", state="undefined")
    del inventory["instances"]["vm3"]
    second = world.plan(inventory, first)
    assert [(removal.name, removal.node) for removal in second.removals] == [("vm3", "compute1")]


def test_a_guest_that_returns_has_its_disk_its_addresses_and_its_number() -> None:
    world, inventory = World(), s1()
    first = world.run(inventory)
    disk, guest = world.disk("vm3"), inventory["instances"].pop("vm3")
    second = world.run(inventory, first)
    inventory["instances"]["vm3"] = guest
    third = world.run(inventory, second)
    assert third.cloud.instances["vm3"] == first.cloud.instances["vm3"]
    assert world.disk("vm3") == disk
    back = "+ instance vm3 (m1.nano on compute1, 10.22.22.3, returns with its disk, removed 2027-01-15)"
    assert lines(third) == [back]
    fourth = world.plan(inventory, third)
    assert (lines(fourth), fourth.allocations) == ([], third.allocations)


def test_a_guest_that_returns_gets_another_address_if_a_port_has_its_own_by_now() -> None:
    world, inventory = World(), small_pool(5)
    result = world.run(inventory)
    guest = inventory["instances"].pop("vm2")
    result = world.run(inventory, result)
    inventory["instances"].update(a=instance("internal"), b=instance("internal"))
    result = world.run(inventory, result)
    assert address(result, "b") == "10.18.0.4"  # the address of vm2
    del inventory["instances"]["a"]
    result = world.run(inventory, result)
    result = world.run(inventory, result)
    inventory["instances"]["vm2"] = guest
    result = world.run(inventory, result)
    assert (address(result, "b"), address(result, "vm2")) == ("10.18.0.4", "10.18.0.5")
    assert world.holders("vm2") == ["compute2"]


def test_a_guest_that_returns_leaves_a_declared_address_and_mac_to_those_that_have_them() -> None:
    world, inventory = World(), small_pool(20)
    result = world.run(inventory)
    guest, port = inventory["instances"].pop("vm2"), result.cloud.instances["vm2"].ports[0]
    result = world.run(inventory, result)
    declared = {"network": "internal", "address": port.fixed_ips[0].address, "mac": port.mac}
    inventory["instances"]["vm9"] = instance(declared)
    result = world.run(inventory, result)
    inventory["instances"]["vm2"] = guest
    result = world.run(inventory, result)
    assert result.cloud.instances["vm9"].ports[0].mac == port.mac != result.cloud.instances["vm2"].ports[0].mac
    assert address(result, "vm9") == port.fixed_ips[0].address != address(result, "vm2")


def test_a_removed_guest_is_created_anew_on_the_node_that_it_is_pinned_to() -> None:
    world, inventory = World(), s1()
    result = world.run(inventory)
    guest = inventory["instances"].pop("vm2")
    result = world.run(inventory, result)
    guest["vars"]["instance_host"] = "compute1"
    inventory["instances"]["vm2"] = guest
    result = world.run(inventory, result)
    note = "instances.vm2: its removed disk is on compute2 and stays there: instance_host wants it on compute1"
    assert note in result.warnings
    assert world.holders("vm2") == ["compute1"]
    assert len(world.machines["compute2"].removed) == 1


def test_a_node_that_keeps_removed_disks_may_leave_group_compute() -> None:
    world, inventory = World(), s1()
    result = world.run(inventory)
    guest = inventory["instances"].pop("vm2")
    result = world.run(inventory, result)
    inventory["nodes"]["compute2"]["groups"] = ["network"]
    del guest["vars"]["instance_host"]
    inventory["instances"]["vm2"] = guest
    result = world.run(inventory, result)
    assert "instances.vm2: its removed disk is on compute2 and stays there: it is no compute node" in result.warnings
    assert world.holders("vm2") == ["compute1"]


def test_a_guest_that_was_removed_by_hand_returns_and_is_not_lost() -> None:
    world, inventory = World(), s1()
    first = world.run(inventory)
    inventory["cloud"]["cloud_keypairs"]["more"] = inventory["cloud"]["cloud_keypairs"]["ops"]
    second = world.run(inventory, first)
    disk = world.disk("vm3")
    machine, uuid = world.machines["compute1"], first.cloud.instances["vm3"].id
    gone = machine.guests.pop(uuid)
    gone.removed, gone.until = world.now, world.now + 7 * DAY
    machine.removed[uuid] = gone
    third = world.run(inventory, second)
    assert third.lost == ()
    assert "returns with its disk" in lines(third)[-1]
    assert world.disk("vm3") == disk


def test_a_guest_that_its_node_has_lost_is_told() -> None:
    world, inventory = World(), s1()
    first = world.run(inventory)
    inventory["instances"]["vm4"] = instance("internal")
    second = world.run(inventory, first)  # this run writes which guests the nodes have
    world.machines["compute2"].guests.clear()
    third = world.plan(inventory, second)
    assert ("vm2", "compute2") in third.lost
    assert "+ instance vm2 (m1.nano on compute2, 10.18.0.4)" in lines(third)


def test_a_cloud_whose_nodes_are_all_new_has_lost_nothing() -> None:
    world, inventory = World(), s1()
    first = world.run(inventory)
    inventory["instances"]["vm4"] = instance("internal")
    second = world.run(inventory, first)
    world.machines.clear()
    third = world.plan(inventory, second)
    assert third.lost == ()
    assert {change.name for change in third.plan_changes if change.kind == "instance"} == {"vm1", "vm2", "vm3", "vm4"}


def test_a_removal_that_waited_for_its_node_keeps_the_addresses_for_the_return() -> None:
    world, inventory = World(), s1()
    result = first = world.run(inventory)
    guest = inventory["instances"].pop("vm2")
    result = world.run(inventory, result, silent={"compute2"})
    world.pass_time(30 * DAY)
    result = world.run(inventory, result)
    assert lines(result) == ["- instance vm2 on compute2: disk 1.0 GiB, kept until 2027-02-21"]
    world.pass_time(6 * DAY)
    inventory["instances"]["vm2"] = guest
    result = world.run(inventory, result)
    assert result.cloud.instances["vm2"].ports == first.cloud.instances["vm2"].ports


def test_a_guest_of_a_forgotten_removal_keeps_the_addresses_that_its_node_knows() -> None:
    world, inventory = World(), s1()
    old = world.run(inventory)
    inventory["instances"]["vm4"] = guest = instance("internal", host="compute1")
    result = world.run(inventory, old)
    port = result.cloud.instances["vm4"].ports
    del inventory["instances"]["vm4"]
    stale = world.plan(inventory, old, accept_older=True)  # allocations that never knew vm4
    assert [removal.name for removal in stale.removals] == ["vm4"]
    world.apply(stale, accept_older=True)
    inventory["instances"]["vm4"] = guest
    assert world.run(inventory, stale).cloud.instances["vm4"].ports == port


def test_a_removed_guest_that_was_reclaimed_by_hand_is_forgotten() -> None:
    world, inventory = World(), s1()
    result = world.run(inventory)
    del inventory["instances"]["vm2"]
    result = world.run(inventory, result)
    assert "vm2" in result.allocations.removed
    world.machines["compute2"].removed.clear()
    inventory["instances"]["vm5"] = instance("internal2")
    assert world.plan(inventory, result).allocations.removed == {}


def test_a_renamed_node_keeps_all_that_it_has_and_its_guests_have_no_lines() -> None:
    world, inventory = World(), s1()
    first = world.run(inventory)
    inventory["nodes"]["c2"] = inventory["nodes"].pop("compute2")
    inventory["nodes"]["n1"] = inventory["nodes"].pop("network1")
    inventory["instances"]["vm2"]["vars"]["instance_host"] = "c2"
    for old, new in (("compute2", "c2"), ("network1", "n1")):
        world.machines[new] = world.machines.pop(old)
    second = world.run(inventory, first)
    assert "nodes.c2: was converged as compute2; it keeps what compute2 has" in second.warnings
    assert lines(second) == ["+ node c2 (compute)", "- node compute2", "+ node n1 (network)", "- node network1"]
    assert second.allocations.vlans == {
        {"compute2": "c2", "network1": "n1"}.get(name, name): vlans for name, vlans in first.allocations.vlans.items()
    }
    assert second.allocations.instances["vm2"].ports == first.allocations.instances["vm2"].ports
    assert second.allocations.networks["internal"].dhcp["n1"] == first.allocations.networks["internal"].dhcp["network1"]
    assert world.plan(inventory, second).allocations == second.allocations


def test_the_rests_of_a_renamed_node_stay_its_own() -> None:
    world, inventory = World(), s1()
    result = world.run(inventory)
    del inventory["instances"]["vm2"]
    result = world.run(inventory, result, silent={"compute2"})
    vlan = next(value for value in result.allocations.resting if value.startswith("vlan/compute2/"))
    inventory["nodes"]["c2"] = inventory["nodes"].pop("compute2")
    world.machines["c2"] = world.machines.pop("compute2")
    inventory["instances"]["vm7"] = instance("internal2", host="c2")
    result = world.plan(inventory, result)
    assert result.allocations.vlans["c2"]["internal2"] != int(vlan.rpartition("/")[2])


def test_the_removal_of_guests_that_wait_for_a_silent_node_is_listed_until_it_is_made() -> None:
    world, inventory = World(), s1()
    result = world.run(inventory)
    del inventory["instances"]["vm2"]
    result = world.run(inventory, result, silent={"compute2"})
    assert [removal.pending for removal in result.removals] == [True]
    result = world.run(inventory, result)
    assert [(removal.pending, removal.node) for removal in result.removals] == [(False, "compute2")]
    assert world.plan(inventory, result).removals == ()


def test_a_guest_that_is_declared_again_while_its_node_is_silent_is_not_made_elsewhere() -> None:
    world, inventory = World(), s1()
    del inventory["instances"]["vm2"]["vars"]["instance_host"]
    result = world.run(inventory)
    home = world.holders("vm2")[0]
    guest, disk = inventory["instances"].pop("vm2"), world.disk("vm2")
    result = world.run(inventory, result, silent={home})
    inventory["instances"]["vm2"] = guest
    result = world.run(inventory, result, silent={home})
    assert world.holders("vm2") == [home]
    result = world.run(inventory, result)
    assert (world.holders("vm2"), world.disk("vm2")) == ([home], disk)


def test_a_new_node_takes_guests_only_after_it_answered() -> None:
    world, inventory = World(), s1()
    inventory["nodes"]["compute9"] = node("compute", tunnel="10.92.0.29")
    assert {guest.node for guest in world.plan(inventory, None, silent={"compute9"}).cloud.instances.values()} == {
        "compute1", "compute2",
    }


def test_a_removed_guest_whose_disk_is_gone_gets_a_new_disk_and_the_plan_says_so() -> None:
    world, inventory = World(), s1()
    first = world.run(inventory)
    gone = inventory["instances"].pop("vm3")
    second = world.run(inventory, first)
    world.machines["compute1"].removed.clear()
    inventory["instances"]["vm3"] = gone
    warnings = world.plan(inventory, second).warnings
    assert any(line.startswith("instances.vm3: compute1 no longer keeps the disk of its removal") for line in warnings)


def test_a_router_that_a_node_still_has_is_announced_although_the_node_reports_only_its_id() -> None:
    """Nodes see namespaces with ids. The names are in their part of the allocations."""
    world, inventory = World(), s1()
    first = world.run(inventory)
    inventory["cloud"]["cloud_routers"] = {}
    inventory["cloud"]["cloud_floating_ips"] = {}
    second = world.run(inventory, first, silent=["network1"])
    machine = world.machines["network1"]
    machine.routers = dict.fromkeys(machine.routers, "")
    assert "- router r1" in [change.label for change in world.plan(inventory, second).plan_changes]

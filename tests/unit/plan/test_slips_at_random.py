"""Random runs of a simulated cloud: nodes are silent or killed, and the allocations are lost, rolled back or swapped.

Whatever happens, no disk is lost or made twice, no value has two owners, and the plan lists what happens.
"""

from __future__ import annotations

import copy
import json
import random
import re
from collections import defaultdict
from typing import Any

import pytest
from headworks.model.errors import PlanError
from headworks.plan.allocation.allocations import load
from headworks.plan.resolve import Resolution
from inventories import instance, node, s1, subnet
from worlds import DAY, World

# Refusals that a correct plan makes in these walks. Everything else that is refused is a fault.
EXPECTED = re.compile(
    "does not answer, and guests there would be made again elsewhere"
    "|is older than what"
    "|applied allocations of another lineage"
    "|applied other allocations with the same serial"
    "|is no longer in the inventory, (but it has guests|and guests there would)"
    "|is no longer in group compute, but it has guests"
    "|may still use it"
)
POOL = [{"start": "10.18.0.2", "end": "10.18.0.40"}]


def start() -> dict[str, Any]:
    inventory = s1()
    inventory["cloud"]["cloud_floating_ips"] = {}
    inventory["cloud"]["cloud_dhcp_agents_per_network"] = 2
    inventory["cloud"]["cloud_networks"]["internal"]["subnets"]["internal"]["allocation_pools"] = POOL
    inventory["nodes"]["network2"] = copy.deepcopy(inventory["nodes"]["network1"])
    inventory["nodes"]["network2"]["vars"].update(ansible_host="10.92.0.12", node_tunnel_ip="10.92.0.12")
    inventory["nodes"]["compute3"] = node("compute", tunnel="10.92.0.23")
    for guest in inventory["instances"].values():
        guest["vars"].pop("instance_host", None)
    return inventory


def edit(inventory: dict[str, Any], dice: random.Random, step: int, taken: set[str]) -> None:
    """A random edit; ``taken`` are the addresses that ports have."""
    cloud, instances, nodes = inventory["cloud"], inventory["instances"], inventory["nodes"]
    networks = [name for name in cloud["cloud_networks"] if name != "ext"]
    match dice.choice(
        ["come", "come", "back", "back", "go", "go", "network", "no network", "router", "no router", "nic", "node",
         "no node", "role", "address", "floating", "no floating", "nothing", "nothing"]
    ):
        case "come":
            for number in range(dice.randint(1, 4)):
                wanted = dice.sample(networks, k=min(len(networks), dice.randint(1, 2)))
                instances[f"i{step}-{number}"] = instance(*wanted)
        case "back":  # names that were there before
            for number in range(dice.randint(1, 3)):
                name = f"i{dice.randint(0, step)}-{number}"
                instances.setdefault(name, instance(dice.choice(networks)))
        case "go":
            for name in dice.sample(sorted(instances), k=dice.randint(0, min(5, len(instances)))):
                del instances[name]
        case "network":
            kind = dice.choice(["vxlan", "gre", "vxlan"])
            cloud["cloud_networks"][f"n{step}"] = {"type": kind, "subnets": {"s": subnet(f"10.{100 + step}.0.0/24")}}
        case "no network" if len(networks) > 2:
            gone = dice.choice(networks)
            del cloud["cloud_networks"][gone]
            for router in cloud["cloud_routers"].values():
                router["interfaces"] = [name for name in router["interfaces"] if name != gone]
            for guest in instances.values():
                nics = guest["vars"]["instance_networks"]
                guest["vars"]["instance_networks"] = [
                    nic for nic in nics if (nic["network"] if isinstance(nic, dict) else nic) != gone
                ]
        case "router":
            routed = {name for router in cloud["cloud_routers"].values() for name in router["interfaces"]}
            free = [name for name in networks if name not in routed]
            cloud["cloud_routers"][f"r{step}"] = {"external_network": "ext", "interfaces": free[:2]}
        case "no router" if cloud["cloud_routers"]:
            del cloud["cloud_routers"][dice.choice(sorted(cloud["cloud_routers"]))]
        case "nic" if instances:
            nics = dice.choice(list(instances.values()))["vars"]["instance_networks"]
            nics.insert(len(nics) if any(isinstance(nic, dict) for nic in nics) else 0, dice.choice(networks))
        case "node":
            nodes[f"compute{10 + step}"] = node("compute", tunnel=f"10.92.1.{10 + step}")
        case "no node":
            computes = [name for name in nodes if name.startswith("compute")]
            if len(computes) > 2:
                del nodes[dice.choice(computes)]
        case "role":
            name = dice.choice([name for name in nodes if name.startswith("compute")])
            nodes[name]["groups"] = dice.choice([["compute"], ["network"], ["compute"]])
        case "floating":
            floating = f"172.16.19.{dice.randint(1, 30)}"
            if floating not in taken:
                cloud["cloud_floating_ips"][floating] = {"network": "ext"}
        case "no floating" if cloud["cloud_floating_ips"]:
            del cloud["cloud_floating_ips"][dice.choice(sorted(cloud["cloud_floating_ips"]))]
        case "address" if instances and "internal" in networks:
            free = [f"10.18.0.{last}" for last in range(2, 41) if f"10.18.0.{last}" not in taken]
            declared = {"network": "internal", "address": dice.choice(free)}
            instances[dice.choice(sorted(instances))] = instance(declared)


class Walk:
    """The inventory, the world, and the allocations file with its earlier contents."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.inventory = start()
        self.world = World()
        self.file: dict[str, Any] | None = None
        self.files: list[dict[str, Any]] = []
        self.foreign: dict[str, Any] | None = None
        # node → (value, owner) of what the node last applied
        self.used: dict[str, set[tuple[str, str]]] = defaultdict(set)
        self.refusals = 0
        self.runs = 0

    def step(self, number: int) -> None:
        dice, world = self.dice, self.world
        earlier = copy.deepcopy(self.inventory)
        renamed = self.rename(number) if world.machines and dice.random() < 0.05 else ()
        edit(self.inventory, dice, number, self.taken())
        world.pass_time(dice.choice([60, 3600, DAY, 3 * DAY]))
        names = list(self.inventory["nodes"])
        silent = {name for name in names if dice.random() < dice.choice([0, 0, 0.3])}
        lost_before, accept = self.file, False
        match dice.choice(["fine"] * 8 + ["lost", "rolled back", "foreign"]):
            case "lost":
                self.file = None
            case "rolled back" if self.files:
                self.file = dice.choice(self.files)
                # What silent nodes hold, and nodes that leave at the same time, an old file cannot know.
                accept = dice.random() < 0.5 and computes(earlier) <= computes(self.inventory)
                silent = set() if accept else silent
            case "foreign" if self.foreign:
                self.file = self.foreign
        try:
            resolution = world.plan(self.inventory, self.file, silent, accept_older=accept)
        except PlanError as error:
            for message in error.messages:
                assert EXPECTED.search(message), message
            self.refusals += 1
            self.inventory, self.file = earlier, lost_before
            if renamed:
                new, old = renamed
                world.machines[old] = world.machines.pop(new)
                self.used[old] = self.used.pop(new)
            return
        forked = accept and self.file is not lost_before
        self.check_and_apply(resolution, silent, accept, forked)
        self.runs += 1

    def check_and_apply(self, resolution: Resolution, silent: set[str], accept: bool, forked: bool) -> None:
        world, dice = self.world, self.dice
        killed = {name: lambda: dice.random() < 0.5 for name in resolution.cloud.nodes if dice.random() < 0.1}
        before = self.disks()
        world.apply(resolution, silent, killed, accept_older=accept)
        after = self.disks()
        self.check_disks(resolution, before, after)
        self.check_lines(resolution, before, after, silent, set(killed))
        self.file = json.loads(resolution.allocations.text())
        if not self.files or self.files[-1] != self.file:
            self.files.append(self.file)
        for name in resolution.cloud.nodes:
            if name in silent:
                continue
            # A killed node counts from the moment in which it keeps the document: its next boot completes the run.
            if world.machines[name].document.get("serial") == resolution.allocations.serial:
                self.used[name] = values(resolution, name)
        if forked:
            # Rests are lost with the newer file: that is what the operator accepted.
            self.used.clear()
        self.used = defaultdict(set, {name: used for name, used in self.used.items() if name in resolution.cloud.nodes})
        self.check_owners()
        if not silent and not killed:
            self.check_second_plan(resolution)

    def rename(self, number: int) -> tuple[str, str]:
        """Give a node another name. Return its new and its old name."""
        nodes = self.inventory["nodes"]
        old = self.dice.choice([name for name in nodes if name in self.world.machines])
        new = f"{old.rstrip('0123456789')}{50 + number}"
        self.inventory["nodes"] = {new if name == old else name: entry for name, entry in nodes.items()}
        self.world.machines[new] = self.world.machines.pop(old)
        self.used[new] = {
            (value.replace(f"vlan/{old}/", f"vlan/{new}/"), owner) for value, owner in self.used.pop(old, set())
        }
        return new, old

    def taken(self) -> set[str]:
        """The addresses that ports have or that the inventory declares."""
        allocated = load(self.file)
        ports = [
            *(port for guest in allocated.instances.values() for port in guest.ports.values()),
            *(port for network in allocated.networks.values() for port in network.dhcp.values()),
            *(router.gateway for router in allocated.routers.values() if router.gateway),
        ]
        nics = [nic for guest in self.inventory["instances"].values() for nic in guest["vars"]["instance_networks"]]
        declared = {nic["address"] for nic in nics if isinstance(nic, dict)}
        return declared | {address for port in ports for address in port.addresses}

    def disks(self) -> dict[tuple[str, str], tuple[int, bool]]:
        """(node, name) → disk, and whether the guest is a removed one."""
        return {
            **{(node, guest.name): (guest.disk, True) for node, machine in self.world.machines.items()
               for guest in machine.removed.values()},
            **{(node, guest.name): (guest.disk, False) for node, machine in self.world.machines.items()
               for guest in machine.guests.values()},
        }  # fmt: skip

    def check_disks(self, resolution: Resolution, before: Any, after: Any) -> None:
        holders = defaultdict(list)
        for (node_name, name), (_, gone) in after.items():
            if not gone:
                holders[name].append(node_name)
        assert {name: nodes for name, nodes in holders.items() if len(nodes) > 1} == {}
        kept = {disk for disk, _ in after.values()}
        assert [key for key, (disk, _) in before.items() if disk not in kept] == []
        removals = {removal.name for removal in resolution.removals}
        came = {change.name for change in resolution.plan_changes if (change.sign, change.kind) == ("+", "instance")}
        for key, (disk, gone) in after.items():
            was = before.get(key)
            if was is None or was[0] != disk:
                assert key[1] in came, f"{key} is new, but the plan did not list it"
            elif not was[1] and gone:
                assert key[1] in removals, f"{key} was removed, but the plan did not list it"

    def check_lines(
        self, resolution: Resolution, before: Any, after: Any, silent: set[str], killed: set[str]
    ) -> None:
        """The lines about instances on the nodes that take part are the difference between the worlds."""
        part = set(resolution.cloud.nodes) - silent - killed
        was = {name for (node_name, name), (_, gone) in before.items() if not gone and node_name in part}
        now = {name for (node_name, name), (_, gone) in after.items() if not gone and node_name in part}
        lines = [change for change in resolution.plan_changes if change.kind == "instance"]
        on_part = {name for name, guest in resolution.cloud.instances.items() if guest.node in part}
        assert {change.name for change in lines if change.sign == "+" and change.name in on_part} == now - was
        assert {removal.name for removal in resolution.removals if removal.node in part} == was - now
        assert {change.name for change in lines if change.sign == "-"} >= was - now

    def check_owners(self) -> None:
        owners: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for node_name, used in self.used.items():
            for value, owner in used:
                owners[value][owner].add(node_name)
        assert {value: dict(found) for value, found in owners.items() if len(found) > 1} == {}

    def check_second_plan(self, first: Resolution) -> None:
        second = self.world.plan(self.inventory, first)
        assert [change.label for change in second.plan_changes] == []
        assert second.allocations == first.allocations
        assert second.allocations.text() == first.allocations.text()
        assert second.cloud == first.cloud
        assert second.removals == second.lost == ()


def computes(inventory: dict[str, Any]) -> set[str]:
    return {name for name, entry in inventory["nodes"].items() if "compute" in entry["groups"]}


def values(resolution: Resolution, node_name: str) -> set[tuple[str, str]]:
    """(value, owner) of everything that a node has when it has applied the plan."""
    cloud, found = resolution.cloud, set()
    ports = [
        *(port for router in cloud.routers.values() for port in (*router.interfaces, router.gateway) if port),
        *(port for guest in cloud.instances.values() for port in guest.ports),
        *(port for served in cloud.dhcp_ports.values() for port in served),
    ]
    for port in ports:
        if node_name in port.nodes:
            found.add((f"mac/{port.mac}", port.id))
            found.update((f"address/{port.network}/{ip.address}", port.id) for ip in port.fixed_ips)
    for network, vlan in cloud.nodes[node_name].local_vlans.items():
        found.add((f"vlan/{node_name}/{vlan}", network))
        if cloud.networks[network].segmentation_id is not None:
            segment = f"segment/{cloud.networks[network].type}/{cloud.networks[network].segmentation_id}"
            found.add((segment, network))
    return found


@pytest.mark.parametrize("seed", range(10))
def test_random_slips_lose_no_disk_and_no_value_gets_two_owners(seed: int) -> None:
    walk = Walk(seed)
    other = World().plan(start(), None, lineage="another")
    walk.foreign = json.loads(other.allocations.text())
    for number in range(30):
        walk.step(number)
    assert walk.runs > 10

"""The plan of changes, line by line."""

from __future__ import annotations

from typing import Any

from headworks.plan.resolve import resolve
from inventories import facts_of, instance, node, s1, subnet


def labels(change: Any) -> list[str]:
    """The announced changes of a run after a run of S1 and then ``change``."""
    inventory = s1()
    first = resolve(inventory, None, facts_of(inventory))
    change(inventory)
    second = resolve(inventory, first.allocations.dump(), facts_of(inventory))
    return [change.label for change in second.plan_changes]


def test_the_first_run_announces_every_object() -> None:
    inventory = s1()
    assert [change.label for change in resolve(inventory, None, facts_of(inventory)).plan_changes] == [
        "+ node compute1 (compute)",
        "+ node compute2 (compute)",
        "+ node controller1 (controller)",
        "+ node network1 (network)",
        "+ network ext (flat on physnet1, 172.16.0.0/16)",
        "+ network internal (vxlan 1, 10.18.0.0/24)",
        "+ network internal2 (vxlan 2, 10.22.22.0/24)",
        "+ router r1 (on network1, ext 172.16.19.1, internal, internal2)",
        "+ floating ip 172.16.19.232 (to vm1 10.18.0.3)",
        "+ image nano",
        "+ instance vm1 (m1.nano on compute1, 10.18.0.3)",
        "+ instance vm2 (m1.nano on compute2, 10.18.0.4)",
        "+ instance vm3 (m1.nano on compute1, 10.22.22.3)",
    ]


def test_an_unchanged_inventory_announces_no_change() -> None:
    assert labels(lambda _: None) == []


def test_a_network_added_behind_a_router_is_announced() -> None:
    def change(inventory: dict[str, Any]) -> None:
        inventory["cloud"]["cloud_networks"]["web"] = {"subnets": {"web": subnet("10.30.0.0/24")}}
        inventory["cloud"]["cloud_routers"]["r1"]["interfaces"] += ["web"]

    assert labels(change) == ["+ network web (vxlan 3, 10.30.0.0/24)", "~ router r1 interfaces: +web"]


def test_a_removed_instance_and_its_removed_network_are_announced() -> None:
    def change(inventory: dict[str, Any]) -> None:
        del inventory["instances"]["vm3"]
        del inventory["cloud"]["cloud_networks"]["internal2"]
        inventory["cloud"]["cloud_routers"]["r1"]["interfaces"] = ["internal"]

    assert labels(change) == [
        "- network internal2",
        "~ router r1 interfaces: -internal2",
        "- instance vm3 on compute1, which does not answer: it is removed in a run in which the node answers",
    ]


def test_an_added_node_and_an_added_instance_are_announced() -> None:
    def change(inventory: dict[str, Any]) -> None:
        inventory["nodes"]["compute3"] = node("compute", tunnel="10.92.0.23")
        inventory["instances"]["vm4"] = instance("internal")

    assert labels(change) == ["+ node compute3 (compute)", "+ instance vm4 (m1.nano on compute3, 10.18.0.5)"]


def test_changed_settings_of_instances_are_announced() -> None:
    def change(inventory: dict[str, Any]) -> None:
        inventory["instances"]["vm1"]["vars"]["instance_state"] = "stopped"
        inventory["instances"]["vm2"]["vars"]["instance_networks"].append("internal2")
        inventory["instances"]["vm3"]["vars"]["instance_user_data"] = "#!/bin/sh\n# hunter2"

    assert labels(change) == [
        "~ instance vm1 state: running → stopped",
        "~ instance vm2 networks: +internal2/10.22.22.4",
        "~ instance vm3 other settings",
    ]


def test_a_floating_ip_with_another_instance_and_a_changed_mtu_are_announced() -> None:
    def change(inventory: dict[str, Any]) -> None:
        inventory["cloud"]["cloud_floating_ips"]["172.16.19.232"]["instance"] = "vm2"
        inventory["cloud"]["cloud_networks"]["internal"]["mtu"] = 1400

    assert labels(change) == [
        "~ network internal mtu: 1450 → 1400",
        "~ floating ip 172.16.19.232 to: vm1:10.18.0.3 → vm2:10.18.0.4",
    ]


def test_the_allocations_keep_secrets_only_as_digests() -> None:
    inventory = s1()
    inventory["instances"]["vm1"]["vars"].update(instance_user_data="hunter2", instance_metadata={"p": "hunter3"})
    text = resolve(inventory, None, facts_of(inventory)).allocations.text()
    assert "hunter" not in text

"""The kernel datapath is refused on a kernel without its modules; limits that are too small are warned of."""

from __future__ import annotations

from typing import Any

import pytest
from headworks.model.errors import PlanError
from headworks.node.host.kernel import LIMITS, MODULES
from headworks.plan.check.kernel import DATAPATH, TUNNELS
from headworks.plan.limits import NEIGHBOURS
from headworks.plan.resolve import Resolution, resolve
from inventories import facts_of, flock, s1

ALL = dict.fromkeys(MODULES, True)
ENOUGH = dict.fromkeys(LIMITS, 1 << 40)


def planned(
    inventory: dict[str, Any], modules: dict[str, bool] | None = None, limits: dict[str, int] | None = None
) -> Resolution:
    kernel = {"release": "6.1.0-9-amd64", "modules": modules or ALL, "limits": ENOUGH | (limits or {})}
    return resolve(inventory, None, facts_of(inventory, kernel=kernel, vcpus=4000, ram_mb=1 << 24, disk_gb=1 << 20))


def refusals(inventory: dict[str, Any], **kernel: Any) -> list[str]:
    with pytest.raises(PlanError) as refused:
        planned(inventory, **kernel)
    return list(refused.value.messages)


def of_type(kind: str) -> dict[str, Any]:
    """S1 with all tunnel networks of one type."""
    inventory = s1()
    for network in inventory["cloud"]["cloud_networks"].values():
        if network.get("type", "vxlan") in TUNNELS:
            network["type"] = kind
    return inventory


def test_every_network_node_and_compute_node_without_openvswitch_is_refused() -> None:
    instead = "use a kernel that has it, or node_datapath_type: netdev, which needs no module"
    assert refusals(s1(), modules=ALL | {DATAPATH: False}) == [
        f"nodes.{name}.node_datapath_type: 'system': the kernel of {name} (6.1.0-9-amd64) has no module openvswitch; "
        f"{instead}"
        for name in ("compute1", "compute2", "network1")
    ]


@pytest.mark.parametrize("kind", TUNNELS)
def test_the_module_of_a_tunnel_type_is_needed_only_for_networks_of_this_type(kind: str) -> None:
    without = ALL | {TUNNELS[kind]: False}
    messages = refusals(of_type(kind), modules=without)
    assert len(messages) == 3
    assert f"has no module {TUNNELS[kind]}, for the networks of type {kind}; use a kernel" in messages[0]
    other = next(name for name in TUNNELS if name != kind)
    assert planned(of_type(other), modules=without)


def test_the_userspace_datapath_needs_no_module() -> None:
    inventory = s1()
    for entry in inventory["nodes"].values():
        entry["vars"]["node_datapath_type"] = "netdev"
    assert planned(inventory, modules=dict.fromkeys(MODULES, False))


def test_a_node_whose_modules_are_unknown_is_accepted() -> None:
    facts = facts_of(s1(), kernel={"release": "6.1.0", "modules": {}, "limits": {}})
    assert resolve(s1(), None, facts)
    assert resolve(s1(), None, facts_of(s1()))


def test_the_facts_have_every_module_that_is_checked() -> None:
    assert {DATAPATH, *TUNNELS.values()} == set(MODULES)


def limit_warnings(result: Resolution) -> list[str]:
    return [line for line in result.warnings if "the declared cloud needs" in line]


def test_limits_that_are_large_enough_are_not_mentioned() -> None:
    assert limit_warnings(planned(s1())) == []
    assert limit_warnings(planned(s1(), limits={"net.ipv4.neigh.default.gc_thresh3": 1024})) == []


def test_the_limit_of_neighbours_counts_the_guests_of_each_namespace() -> None:
    inventory = flock(900)
    # Router r1 and the DHCP server of network internal see each guest.
    seen, others = 2 * 900, len(inventory["nodes"]) + NEIGHBOURS
    least = seen + others
    result = planned(inventory, limits={"net.ipv4.neigh.default.gc_thresh3": least - 1})
    (warning,) = limit_warnings(result)
    assert warning.startswith(
        f"nodes.network1: net.ipv4.neigh.default.gc_thresh3: {least - 1}: the declared cloud needs {least} ({seen} "
        f"neighbours in its "
    )
    assert warning.endswith("Set on network1, in a file of /etc/sysctl.d: net.ipv4.neigh.default.gc_thresh3 = 4096")
    assert not limit_warnings(planned(inventory, limits={"net.ipv4.neigh.default.gc_thresh3": least}))


def test_connections_are_counted_for_the_router_with_most_guests() -> None:
    inventory = flock(300)
    keys = {key: 1 for key in LIMITS if "conntrack" in key}
    warnings = limit_warnings(planned(inventory, limits=keys))
    assert ["needs 300000 " in line or "needs 37500 " in line for line in warnings] == [True, True]
    assert "net.netfilter.nf_conntrack_max = 524288" in warnings[0]


def test_guests_need_threads_and_files_on_their_node_only() -> None:
    inventory = flock(10, computes=1)
    warnings = limit_warnings(planned(inventory, limits={"kernel.pid_max": 2100, "fs.file-max": 8400}))
    assert [line.split(": the ")[0] for line in warnings] == [
        "nodes.compute1: fs.file-max: 8400",
        "nodes.compute1: kernel.pid_max: 2100",
    ]


def test_too_few_namespaces_are_refused() -> None:
    (message,) = refusals(s1(), limits={"user.max_net_namespaces": 2})
    assert message.startswith("nodes.network1: user.max_net_namespaces: 2: the declared cloud needs ")
    assert "namespaces cannot be created" in message


def test_only_limits_that_nodes_report_are_compared() -> None:
    facts = facts_of(s1(), kernel={"release": "6.1.0", "modules": {}, "limits": dict.fromkeys(LIMITS, 1)})
    del facts["network1"]["kernel"]["limits"]["user.max_net_namespaces"]
    for name in ("compute1", "compute2", "controller1"):
        del facts[name]["kernel"]
    keys = [line.split(": ")[1] for line in limit_warnings(resolve(s1(), None, facts))]
    assert sorted(keys) == sorted(set(LIMITS) - {"user.max_net_namespaces"})

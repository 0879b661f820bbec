"""NICs that cannot be in a bridge are refused with key, value and rule; a NIC that broke is a warning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from headworks.model.errors import PlanError
from headworks.plan.allocation.allocations import Allocations
from headworks.plan.resolve import Resolution, resolve
from headworks.wiring.documents import AVAILABLE
from inventories import facts_of, s1

KEY = "nodes.network1.node_bridge_mappings.physnet1.interface"
MAC = "02:00:00:00:00:02"


def plan(nics: dict[str, Any], before: Allocations | None = None, **variables: Any) -> Resolution:
    """Plan S1 with other NICs of network1 (name → what differs from a plain NIC; None: it is gone)."""
    inventory = s1()
    inventory["nodes"]["network1"]["vars"].update(variables)
    facts = facts_of(inventory)
    for name, more in nics.items():
        if more is None:
            del facts["network1"]["nics"][name]
        else:
            plain = {"mac": "02:00:00:00:00:09", "mtu": 1500, "addresses": [], "bridge": ""}
            facts["network1"]["nics"][name] = {**facts["network1"]["nics"].get(name, plain), **more}
    return resolve(inventory, before, facts, available=AVAILABLE)


def messages(nics: dict[str, Any], before: Allocations | None = None, **variables: Any) -> list[str]:
    """The messages that refuse the plan; none if it is accepted."""
    try:
        plan(nics, before, **variables)
    except PlanError as error:
        return list(error.messages)
    return []


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "member of a bond": (
        {"eth2": {"master": "bond0"}, "bond0": {"kind": "bond"}},
        {},
        f"{KEY}: 'eth2': is a member of bond bond0; map bond0",
    ),
    "member of a bridge": (
        {"eth2": {"master": "virbr0"}},
        {},
        f"{KEY}: 'eth2': is in virbr0 of the node's own configuration; take it out of there, or map another NIC",
    ),
    "NetworkManager": (
        {"eth2": {"manager": "networkmanager"}},
        {},
        f"{KEY}: 'eth2': NetworkManager configures this NIC on network1, and would take its addresses back from the "
        "bridge; let systemd-networkd, netplan with networkd, or ifupdown configure it",
    ),
    "dhcpcd": ({"eth2": {"manager": "dhcpcd"}}, {}, f"{KEY}: 'eth2': dhcpcd configures this NIC on network1"),
    "wireless": ({"eth2": {"kind": "wireless"}}, {}, f"{KEY}: 'eth2': is a wireless NIC"),
    "parent of a VLAN with an address, without the kernel's datapath": (
        {"eth2.7": {"kind": "vlan", "lower": "eth2", "addresses": ["192.0.2.5/24"]}},
        {"node_datapath_type": "netdev"},
        f"{KEY}: 'eth2': is the parent of VLAN eth2.7 with 192.0.2.5/24, which gets no packets",
    ),
    "tunnel NIC of NetworkManager, without the kernel's datapath": (
        {"eth1": {"manager": "networkmanager"}},
        {"node_datapath_type": "netdev"},
        "nodes.network1.node_tunnel_ip: 'eth1': NetworkManager configures this NIC",
    ),
}


@pytest.mark.parametrize(("nics", "variables", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_a_nic_that_cannot_be_in_a_bridge_is_refused(
    nics: dict[str, Any], variables: dict[str, Any], expected: str
) -> None:
    found = messages(nics, **variables)
    assert len(found) == 1, found
    assert expected in found[0]


@pytest.mark.parametrize(
    "nics",
    [
        {"eth2": {"kind": "bond"}, "eth3": {"master": "eth2"}},
        {"eth2": {"kind": "vlan", "lower": "eth1"}},
        {"eth2.7": {"kind": "vlan", "lower": "eth2", "addresses": ["192.0.2.5/24"]}},
        {"eth2": {"manager": "netplan-networkd"}},
        {"eth1": {"manager": "networkmanager"}},  # the kernel's datapath leaves the tunnel NIC where it is
        {"eth1": {"kind": "vlan", "lower": "eth2"}},
    ],
)
def test_bonds_vlans_and_parents_of_vlans_can_be_in_a_bridge(nics: dict[str, Any]) -> None:
    assert messages(nics) == []


def test_a_nic_with_another_name_is_found_by_its_mac() -> None:
    before = plan({}).allocations
    (message,) = messages({"eth2": None, "enp3s0": {"mac": MAC}}, before)
    expected = f"{KEY}: 'eth2': network1 calls this NIC enp3s0 now (MAC {MAC}); write enp3s0 instead of eth2"
    assert expected in message
    (message,) = messages({"eth2": None, "enp3s0": {"mac": "02:00:00:00:00:07", "permanent_mac": MAC}}, before)
    assert expected in message
    assert messages({"eth2": None, "eth1.7": {"mac": MAC, "kind": "vlan"}}, before) == []  # the MAC of its parent


def test_a_nic_that_was_never_seen_is_a_typing_mistake() -> None:
    (message,) = messages({"eth2": None})
    assert "network1 has no NIC of this name (NICs: eth1)" in message


def test_a_nic_that_an_earlier_run_found_is_broken_as_long_as_it_is_mapped() -> None:
    before = plan({}).allocations
    for _ in range(2):  # the allocations go on knowing it
        found = plan({"eth2": None}, before)
        (warning,) = [line for line in found.warnings if KEY in line]
        assert f"{KEY}: 'eth2': is missing on network1, which had it in earlier runs (MAC {MAC})" in warning
        before = found.allocations
    without = plan({"eth3": {}}, before, node_bridge_mappings={
        "physnet1": {"bridge": "br-ex", "interface": "eth3"}
    }).allocations  # fmt: skip
    assert "eth2" not in without.facts["network1"].nics


def test_the_bridge_of_a_nic_with_addresses_is_known() -> None:
    def addressed(nics: dict[str, Any]) -> bool:
        (mapping,) = plan(nics).cloud.nodes["network1"].mappings
        return mapping.addressed

    assert not addressed({})
    assert addressed({"eth2": {"addresses": ["192.0.2.5/24"]}})


def test_kept_facts_do_not_depend_on_what_only_a_run_reports() -> None:
    before = plan({}).allocations
    after = plan({"eth2": {"manager": "networkd", "permanent_mac": MAC}}, before).allocations
    assert replace(after, serial=before.serial).facts == before.facts

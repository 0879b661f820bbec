"""A run without nodes says why, and what to do."""

from __future__ import annotations

import pytest
from headworks.control.no_nodes import is_play_on_nodes, reason

NODES = ["network1", "compute1", "compute2", "compute10"]
PLACES = {"vm1": "compute1", "vm2": "compute10", "vm3": "compute2", "lost": "compute7"}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["controller:network:compute"], True),
        (["controller", "network", "compute"], True),
        (["compute"], False),
        (["localhost"], False),
        ([], False),
    ],
)
def test_a_play_on_all_nodes_is_known_by_its_hosts(patterns: list[str], expected: bool) -> None:
    assert is_play_on_nodes(patterns) is expected


def test_a_guest_in_the_limit_is_told_with_its_node() -> None:
    assert reason("vm1", NODES, ["vm1"], PLACES, []) == (
        "--limit vm1: selects no node, because vm1 is a guest on compute1. Nothing was done; use --limit compute1."
    )


def test_several_guests_are_told_with_all_their_nodes() -> None:
    guests = ["vm3", "vm2", "vm1", "vm4", "vm5", "vm6"]
    assert reason("web*", NODES, guests, PLACES, []) == (
        "--limit web*: selects no node, because vm1, vm2, vm3, vm4, vm5 and 1 more are guests on compute1, compute2, "
        "compute10. Nothing was done; use --limit compute1,compute2,compute10."
    )


@pytest.mark.parametrize("guest", ["new", "lost"])
def test_a_guest_without_a_node_of_the_inventory_has_no_place(guest: str) -> None:
    assert reason(guest, NODES, [guest], PLACES, []).endswith("is a guest without a place yet. Nothing was done; run "
                                                              "without --limit.")  # fmt: skip


def test_a_limit_that_selects_another_host_names_the_nodes() -> None:
    assert reason("outside1", NODES, [], PLACES, []) == (
        "--limit outside1: selects no node. Nothing was done. The nodes are compute1, compute2, compute10, network1."
    )


def test_an_inventory_without_nodes_is_told_with_the_problems_of_its_sources() -> None:
    text = reason("", [], [], {}, ["hosts.yml: is empty"])
    assert text.startswith("The inventory has no node: no host is in the groups controller, network, compute.")
    assert text.endswith("\n  hosts.yml: is empty")

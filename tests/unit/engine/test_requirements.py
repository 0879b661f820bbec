"""What the objects of a whole node require of each other: it exists in the document, and is made before them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from clouds import provider_cloud, s1_cloud
from distributions import DEBIAN
from headworks.engine.order import pipeline
from headworks.state.codec import encode
from headworks.state.nft import tables_of
from headworks.wiring.documents import wire

# The root namespace always exists; a table or a link of a name may be missing in the document.
OPTIONAL = {"netns": {""}, "nft": None, "link": None}

Node = list[tuple[Any, Mapping[str, Any]]]
NODES: dict[str, Node] = {
    f"{cloud.name} {name}": pipeline({**document, "distribution": encode(DEBIAN)})
    for cloud in (s1_cloud(), s1_cloud("system", "vxlan"), provider_cloud())
    for name, document in wire(cloud).items()
}
KINDS = [subsystem.kind for subsystem, _ in max(NODES.values(), key=len)]


def names(node: Node, kind: str) -> set[str]:
    """Return the names of the objects of a kind and of their parts."""
    return {
        name
        for subsystem, desired in node
        if subsystem.kind == kind
        for key, item in desired.items()
        for name in (key, *subsystem.parts(item))
    }


@pytest.mark.parametrize("name", NODES)
def test_what_an_object_requires_is_of_an_earlier_kind_and_exists(name: str) -> None:
    node = NODES[name]
    known = {kind: names(node, kind) for kind in KINDS}
    for subsystem, desired in node:
        for item in desired.values():
            for kind, required in subsystem.requires(item).items():
                assert KINDS.index(kind) < KINDS.index(subsystem.kind)
                allowed = OPTIONAL.get(kind, set())
                if allowed is not None:
                    assert set(required) <= known[kind] | allowed, (subsystem.kind, item, kind)


def required_by(kind: str) -> dict[str, set[str]]:
    """Return what all objects of a kind require, on all nodes."""
    found: dict[str, set[str]] = {}
    for node in NODES.values():
        for subsystem, desired in node:
            for item in desired.values() if subsystem.kind == kind else ():
                for other, required in subsystem.requires(item).items():
                    found.setdefault(other, set()).update(required)
    return found


def test_no_address_without_the_filter_of_its_namespace() -> None:
    tables = {name for node in NODES.values() for name in names(node, "nft") if not name.startswith("/")}
    assert any(name.startswith("qrouter-") for name in tables)
    assert tables <= required_by("l3")["nft"] | tables_of("")


def test_no_guest_without_its_port_its_flows_and_the_filters_of_the_node() -> None:
    required = required_by("domain")
    assert required["link"] == required["ovs_port"] == required["flow"]
    assert all(name.startswith("tap") for name in required["link"])
    assert {"/arp", "/inet"} <= set(required["nft"])


def test_no_nic_in_a_bridge_without_flows() -> None:
    required = required_by("nic")
    assert required["ovs_bridge"] == required["flow"]
    assert "br-ex" in required["flow"]

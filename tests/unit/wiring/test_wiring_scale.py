"""The time of the wiring, and the size of a document, which must not grow with networks on other nodes."""

from __future__ import annotations

import json
from time import process_time

import pytest
from big_cloud import big_cloud
from headworks.wiring.documents import wire_node
from headworks.wiring.node_view import Index


def test_node_with_a_thousand_ports_is_wired_in_well_under_a_second() -> None:
    cloud = big_cloud(nodes=2, networks=20, guests=100, span=2)
    start = process_time()
    found = wire_node(Index.of(cloud), "compute0")["sections"]
    assert process_time() - start < 1.0
    assert len(found["links"]) == 1000
    assert len(found["flows"]) < 1000 * 10 + 1000 * 2 + 300


def test_document_does_not_grow_with_networks_on_other_nodes() -> None:
    near, far = (big_cloud(nodes=count, networks=count, guests=10, span=2) for count in (20, 80))
    sizes = [len(json.dumps(wire_node(Index.of(cloud), "compute3"))) for cloud in (near, far)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)

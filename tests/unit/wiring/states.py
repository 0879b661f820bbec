"""Node states for the tests of the wiring."""

from __future__ import annotations

from typing import Any

from headworks.plan.cloud import Cloud
from headworks.wiring.documents import wire

Sections = dict[str, list[dict[str, Any]]]


def sections(cloud: Cloud, node: str) -> Sections:
    """Return the sections of a node's document."""
    found: Sections = wire(cloud)[node]["sections"]
    return found

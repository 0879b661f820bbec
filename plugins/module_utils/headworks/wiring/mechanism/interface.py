"""What a mechanism contributes to a node state. The mechanisms are the packages beside this file; ``registry.py`` lists
them.

What does not belong here: what is the same with every mechanism (links of guests, routers, DHCP, metadata, guests).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ...plan.cloud import Port
from ..node_view import NodeView

# Section of the node state → records to add to it. None: unknown, so the node keeps that section as it is.
Sections = Mapping[str, Sequence[Any] | None]


class Mechanism(Protocol):
    """A mechanism. ``name`` is the value of ``cloud_l2_mechanism``; ``vif_type`` is OpenStack's word for how a guest is
    plugged, which guests read in their metadata."""

    name: str
    vif_type: str

    def master(self, view: NodeView, port: Port) -> str:
        """The Linux bridge that the switch's device of ``port`` belongs in, "" when the mechanism needs none."""

    def sections(self, view: NodeView) -> Sections:
        """The mechanism's own bridges, ports, tunnels and rules, and the NICs it uses."""

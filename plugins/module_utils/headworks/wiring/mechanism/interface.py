"""The interface of a mechanism: what it adds to a node state. Each package in this folder is a mechanism.

What does not belong here: the list of mechanisms (``registry.py``), and what is the same with every mechanism (links of
guests, routers, DHCP, metadata, guests).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ...plan.cloud import Port
from ..node_view import NodeView

# Section of the node state → records to add to it. None: unknown, so the node does not change anything of this section.
Sections = Mapping[str, Sequence[Any] | None]


class Mechanism(Protocol):
    """A mechanism. ``name`` is the value of ``cloud_l2_mechanism``; ``vif_type`` is OpenStack's name for the
    connection of a guest to the switch. Guests read it in their metadata."""

    name: str
    vif_type: str

    def master(self, view: NodeView, port: Port) -> str:
        """Return the Linux bridge for the switch device of ``port``, "" if the mechanism does not need a bridge."""

    def sections(self, view: NodeView) -> Sections:
        """Return the records of the mechanism's own bridges, ports, tunnels and rules, and of the NICs that it uses."""

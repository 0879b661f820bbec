"""What a firewall driver contributes to a node state. The drivers are the other files; ``registry.py`` lists them.

A driver may filter by flows (it then inserts stages into the mechanism's pipeline), or in the kernel between the guest
and the switch (it then puts devices of its own there, and gives nft tables). What does not belong here: spoof guards,
which the mechanism has for every driver, and which security groups a port is in (``plan/security_groups.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ...plan.cloud import Port
from ...state.links import Link
from ...state.nft import NftTable
from ...state.openflow import Flow
from ..node_view import NodeView


@dataclass(frozen=True)
class Stage:
    """A stage of a pipeline of flows: its name and the number of its table, both unique in the pipeline."""

    name: str
    table: int


class Pipeline(Protocol):
    """A mechanism's pipeline of flows, as far as a driver needs to know it."""

    @property
    def bridge(self) -> str:
        """The bridge that the flows are on."""

    def after(self, stage: Stage) -> str:
        """The action that passes a packet on from ``stage``: to the next stage, or to switching after the last one."""


class FirewallDriver(Protocol):
    """A firewall driver. ``name`` is the value of ``cloud_firewall_driver``.

    ``from_guest`` are the stages that a packet from a guest goes through when the spoof guards have let it pass;
    ``to_guest`` those that every packet goes through last, before it is switched to where it goes. Both in order; the
    mechanism leads packets into the first and out of the last one.
    """

    name: str
    from_guest: Sequence[Stage]
    to_guest: Sequence[Stage]

    def guest_device(self, port: Port) -> str:
        """The device that QEMU opens for a guest's port."""

    def switch_device(self, port: Port) -> str:
        """The device that the switch has as a port for a guest's port."""

    def links(self, port: Port, mtu: int, master: str) -> list[Link]:
        """The devices of a guest's port, and what is between them if they are two. ``master`` is the Linux bridge that
        the switch's device belongs in, "" when the mechanism needs none."""

    def flows(self, view: NodeView, pipeline: Pipeline) -> list[Flow]:
        """The flows of the driver's stages, for the ports of the node."""

    def nft_tables(self, view: NodeView) -> list[NftTable]:
        """nftables tables of the node, for the guests on it."""

"""The interface of a firewall driver: what it adds to a node state. ``registry.py`` lists the drivers.

A driver may filter by flows (it then inserts stages into the mechanism's pipeline), or in the kernel between the guest
and the switch (it then has its own devices and nft tables). What does not belong here: spoof guards,
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
    """The part of a mechanism's pipeline of flows that a driver uses."""

    @property
    def bridge(self) -> str:
        """The bridge of the flows."""

    def after(self, stage: Stage) -> str:
        """Return the action that sends a packet from ``stage`` to the next stage, or switches it after the last
        stage."""


class FirewallDriver(Protocol):
    """A firewall driver. ``name`` is the value of ``cloud_firewall_driver``.

    ``from_guest`` are the stages of a packet from a guest after the spoof guards. ``to_guest`` are the last stages of
    every packet before it is switched. Both are in order; the mechanism sends packets to the first stage and receives
    them from the last stage.
    """

    name: str
    from_guest: Sequence[Stage]
    to_guest: Sequence[Stage]

    def guest_device(self, port: Port) -> str:
        """Return the device that QEMU opens for a guest's port."""

    def switch_device(self, port: Port) -> str:
        """Return the device that the switch has as a port for a guest's port."""

    def links(self, port: Port, mtu: int, master: str) -> list[Link]:
        """Return the guest device and the switch device of a guest's port, and the links between them if they differ.
        ``master`` is the Linux bridge of the switch device, "" if the mechanism does not need a bridge."""

    def flows(self, view: NodeView, pipeline: Pipeline) -> list[Flow]:
        """Return the flows of the driver's stages for the ports of the node."""

    def nft_tables(self, view: NodeView) -> list[NftTable]:
        """Return the driver's nftables tables for the guests on the node."""

"""A guest's tap is plugged into the switch itself, and no security group is enforced: the base of today's drivers."""

from __future__ import annotations

from collections.abc import Sequence

from ...plan.cloud import Port
from ...state.links import Link
from ...state.nft import NftTable
from ...state.openflow import Flow
from ..node_view import NodeView
from ..owners import owner_device
from .interface import Pipeline, Stage


class Unfiltered:
    """No stages, no flows, no nft tables; one tap for each guest's port."""

    from_guest: Sequence[Stage] = ()
    to_guest: Sequence[Stage] = ()

    def guest_device(self, port: Port) -> str:
        """The tap."""
        return owner_device(port)

    def switch_device(self, port: Port) -> str:
        """The same tap: nothing is between the guest and the switch."""
        return self.guest_device(port)

    def links(self, port: Port, mtu: int, master: str) -> list[Link]:
        """The tap. QEMU negotiates its offloads with the guest (see ``Nic.offload``), so they are not set here."""
        return [Link(name=self.guest_device(port), kind="tap", mtu=mtu, master=master)]

    def flows(self, view: NodeView, pipeline: Pipeline) -> list[Flow]:
        """None."""
        return []

    def nft_tables(self, view: NodeView) -> list[NftTable]:
        """None."""
        return []

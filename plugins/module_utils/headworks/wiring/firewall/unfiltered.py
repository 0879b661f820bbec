"""The base of the present drivers: the switch has a guest's tap as a port, and no security group is enforced."""

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
    """A driver with a tap for each guest's port, without stages, flows and nft tables."""

    from_guest: Sequence[Stage] = ()
    to_guest: Sequence[Stage] = ()

    def guest_device(self, port: Port) -> str:
        """Return the name of the guest's tap."""
        return owner_device(port)

    def switch_device(self, port: Port) -> str:
        """Return the same tap: the guest is connected to the switch directly."""
        return self.guest_device(port)

    def links(self, port: Port, mtu: int, master: str) -> list[Link]:
        """Return the tap. QEMU negotiates its offloads with the guest (see ``Nic.offload``), so the link does not set
        them."""
        return [Link(name=self.guest_device(port), kind="tap", mtu=mtu, master=master)]

    def flows(self, view: NodeView, pipeline: Pipeline) -> list[Flow]:
        """Return an empty list: the driver has no stages."""
        return []

    def nft_tables(self, view: NodeView) -> list[NftTable]:
        """Return an empty list: the driver does not filter in the kernel."""
        return []

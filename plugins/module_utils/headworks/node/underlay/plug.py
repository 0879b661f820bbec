"""The interface of a kind of bridge: put a NIC into a bridge, and take it out again.

``ovs_port.py`` implements it for Open vSwitch. What does not belong here: the addresses of the NIC (``carry.py``),
which move to the bridge's own device in the same way for each kind of bridge, and the order of the steps
(``mover.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Plugged:
    """A NIC in bridge ``bridge``, which has datapath ``datapath_type``. ``owner`` is the cloud that put the NIC into
    the bridge (None: no cloud did)."""

    bridge: str
    datapath_type: str = "system"
    owner: str | None = None


class BridgePlug(Protocol):
    """A kind of bridge. Each bridge has a device with the bridge's name, which carries the addresses."""

    def plugged_nics(self) -> Mapping[str, Plugged]:
        """Return all NICs in bridges of this kind, by name; empty if the node has no such bridges."""

    def set_mac(self, nic: str, bridge: str) -> None:
        """Give the bridge the NIC's MAC. This is the first step of a move.

        :raises ValueError: the bridge does not exist.
        """

    def plug(self, nic: str, bridge: str, owner: str | None) -> bool:
        """Put the NIC into the bridge, with the mark of ``owner``. Returns whether the NIC was in no bridge before.

        :raises ValueError: the bridge does not exist.
        """

    def unplug(self, nic: str, bridge: str) -> None:
        """Take the NIC out of the bridge, and let the bridge choose its own MAC again. Does nothing if the NIC is not
        in the bridge."""

    def unplug_command(self, nic: str, bridge: str) -> list[str]:
        """Return the command that takes the NIC out of the bridge without headworks, with the full path of its tool."""

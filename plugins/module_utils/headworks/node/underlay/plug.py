"""What it takes to put a NIC into a bridge and to take it out again, whatever kind of bridge it is.

Open vSwitch's bridges are ``ovs_port.py``. What does not belong here: the addresses that the NIC had (``carry.py``),
which move to the bridge's own device in the same way for every kind, and the order of the steps (``nics.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Plugged:
    """Where a NIC is: in ``bridge``, whose datapath is ``datapath_type``. ``owner`` is the cloud that put it there
    (None: not a cloud)."""

    bridge: str
    datapath_type: str = "system"
    owner: str | None = None


class BridgePlug(Protocol):
    """A kind of bridge. Every bridge has a device of its own name, which carries the addresses."""

    def where(self) -> Mapping[str, Plugged]:
        """Every NIC that is in a bridge of this kind; none where the node has no such bridges."""

    def set_mac(self, nic: str, bridge: str) -> None:
        """The bridge takes the NIC's MAC, before anything else is changed.

        :raises ValueError: there is no such bridge.
        """

    def plug(self, nic: str, bridge: str, owner: str | None) -> bool:
        """Put the NIC into the bridge, with the mark of ``owner``; returns whether it was in no bridge before.

        :raises ValueError: there is no such bridge.
        """

    def unplug(self, nic: str, bridge: str) -> None:
        """Take the NIC out of the bridge, which gets a MAC of its own again. Nothing happens if it is not in there."""

    def unplug_command(self, nic: str, bridge: str) -> list[str]:
        """The command that takes the NIC out of the bridge without us, with the full path of its tool."""

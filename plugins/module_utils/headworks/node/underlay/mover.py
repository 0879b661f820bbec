"""One move of a NIC, into a bridge or out of it, step by step.

The order of the steps keeps the node reachable. A move is armed before its first step (``rollback.py``). What does not
belong here: which NICs move (``nics.py``), how a NIC gets into a bridge (``plug.py``, ``ovs_port.py``), how its
addresses are carried over (``carry.py``), and its DHCP client with them (``dhcp_client.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...state.underlay import NicAttachment
from ...system import rtnl
from ...system.ip_batch import ip_batch
from . import config
from .advertised import copy_settings
from .apart import keep_apart
from .carry import (
    Carried,
    delete_carried,
    lines_after_move,
    lines_before_move,
    load_carried,
    read_carried,
    save_carried,
)
from .dhcp_client import move_clients
from .ipv4_settings import copy_ipv4_settings
from .moves import CONFIRMED, Move, forget_move, set_stage, stage_of
from .plug import BridgePlug
from .rollback import arm, disarm
from .userspace import hide_from_kernel, show_to_kernel


class MoveError(RuntimeError):
    """A move failed. ``armed``: it was not undone, and the timer of its rollback runs."""

    def __init__(self, message: str, armed: bool) -> None:
        super().__init__(message)
        self.armed = armed


@dataclass(frozen=True)
class Mover:
    """Moves NICs. ``armed`` False: moves are not armed, because they repeat a confirmed move without an operator (at
    boot). ``ovsdb_service`` and ``vswitchd_service`` are the units of Open vSwitch."""

    plug: BridgePlug
    owner: str | None
    armed: bool = True
    ovsdb_service: str = "ovsdb-server.service"
    vswitchd_service: str = "ovs-vswitchd.service"

    def attach(self, nic: NicAttachment, was_plugged: bool) -> list[str]:
        """Move a NIC into its bridge, or complete such a move. While the NIC is plugged in, both NIC and bridge have
        the addresses, so that no packet is lost. Returns notes.

        :raises MoveError: the move failed. A NIC that was not in the bridge is out of it again.
        """
        carried = self._to_carry(nic, was_plugged)
        self._arm(nic, carried, leaves=False)
        plugged = False
        try:
            self.plug.set_mac(nic.name, nic.bridge)
            ip_batch(lines_before_move(carried, nic.bridge, also_up=nic.name))
            plugged = self.plug.plug(nic.name, nic.bridge, self.owner)
            ip_batch(lines_after_move(carried, nic.name, nic.bridge))
            if nic.datapath_type == "netdev":
                hide_from_kernel(nic.name)
            return move_clients(nic.name, nic.bridge)
        except Exception as error:
            if was_plugged:
                raise MoveError(str(error), armed=self.armed) from error
            undone = self._undo_attach(nic, carried, plugged)
            raise MoveError(str(error), armed=self.armed and not undone) from error

    def detach(self, nic: NicAttachment) -> list[str]:
        """Take a NIC out of its bridge, and move the addresses back. The system's configuration is the NIC's again.
        Returns notes.

        :raises MoveError: the move failed; its rollback takes the NIC out of the bridge, too.
        """
        existing = set(rtnl.links([nic.name, nic.bridge]))
        carried = read_carried(nic.bridge) if nic.bridge in existing else Carried()
        if not carried.addresses:
            carried = load_carried(nic.name) or carried
        self._arm(nic, carried, leaves=True)
        try:
            if nic.name in existing:
                show_to_kernel(nic.name)
                ip_batch(lines_before_move(carried, nic.name))
            self.plug.unplug(nic.name, nic.bridge)
            notes: list[str] = []
            if nic.name in existing:
                ip_batch(lines_after_move(carried, nic.bridge if nic.bridge in existing else "", nic.name))
                notes += move_clients(nic.bridge, nic.name)
            notes += config.delete(nic.name, nic.bridge)
        except Exception as error:
            raise MoveError(str(error), armed=self.armed) from error
        delete_carried(nic.name)
        if not self.armed:
            forget_move(nic.name)
        return notes

    def _to_carry(self, nic: NicAttachment, was_plugged: bool) -> Carried:
        """Return the addresses and routes that the bridge gets, and prepare the bridge for them. A NIC that is in the
        bridge without any has lost them to it. Another NIC without addresses leaves those of the bridge alone."""
        carried = read_carried(nic.name)
        if carried.addresses:
            save_carried(nic.name, carried)
            copy_settings(nic.name, nic.bridge)
            copy_ipv4_settings(nic.name, nic.bridge)
            return carried
        saved = load_carried(nic.name)
        if saved is None:
            keep_apart(nic.bridge)
        if saved is not None or not was_plugged:
            return saved or Carried()
        return read_carried(nic.bridge)

    def _arm(self, nic: NicAttachment, carried: Carried, leaves: bool) -> None:
        """Arm the move before its first step.

        :raises MoveError: the move cannot be armed, because the filesystem is full, say. Nothing has moved, and what is
            noted about the NIC is as before.
        """
        if not self.armed:
            return
        before = stage_of(nic.name)
        own = {address.text for address in read_carried(nic.bridge).addresses} if rtnl.links([nic.bridge]) else set()
        try:
            arm(
                Move(nic.name, nic.bridge, leaves, nic.rollback_seconds),
                carried,
                self.plug.unplug_command(nic.name, nic.bridge),
                quiet_bridge=own <= {address.text for address in carried.addresses},
                ovsdb_service=self.ovsdb_service,
                vswitchd_service=self.vswitchd_service,
            )
        except Exception as error:
            if before == "":
                forget_move(nic.name)
            elif before == CONFIRMED:
                set_stage(nic.name, CONFIRMED)
            if before in ("", CONFIRMED):  # otherwise an earlier rollback still waits
                disarm(nic.name)
            raise MoveError(f"it does not move, because its rollback cannot be prepared: {error}", False) from error

    def _undo_attach(self, nic: NicAttachment, carried: Carried, plugged: bool) -> bool:
        """Undo the steps of a move into a bridge that failed; a step that fails does not stop the others. Returns
        whether all steps are undone. If not, the timer of the rollback still runs."""
        bridge = nic.bridge if rtnl.links([nic.bridge]) else ""
        steps: list[Callable[[], object]] = [
            lambda: ip_batch(lines_before_move(carried, nic.name), force=True),
            lambda: show_to_kernel(nic.name),
            lambda: self.plug.unplug(nic.name, nic.bridge) if plugged else None,
            lambda: ip_batch(lines_after_move(carried, bridge, nic.name), force=True),
            lambda: move_clients(nic.bridge, nic.name),
        ]
        undone = True
        for step in steps:
            try:
                step()
            except Exception:  # the caller reports why the move failed, and that the rollback is left to the timer
                undone = False
        if undone and self.armed:
            forget_move(nic.name)
            disarm(nic.name)
        return undone

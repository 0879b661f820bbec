"""Physical NICs in bridges: the NIC becomes a port, and its addresses and routes move to the bridge in one step.

This file has the order of the steps. The order keeps the node reachable while its NIC moves. What does not belong here:
how a NIC gets into a bridge (``plug.py``, ``ovs_port.py``), how its addresses are carried over (``carry.py``) and its
DHCP client with them (``dhcp_client.py``), the rollback that runs by itself (``rollback.py``), the settings of a NIC in
a userspace datapath (``userspace.py``), and the bridge itself (``node/ovs/``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ...state.underlay import NicAttachment
from ...system import rtnl
from ...system.ip_batch import ip_batch
from ..subsystem import Applied, Change, Confirmation, Conflict, Note, Reading, Scope, Subsystem
from .advertised import copy_settings
from .carry import (
    Carried,
    delete_carried,
    lines_after_move,
    lines_before_move,
    load_carried,
    read_carried,
    save_carried,
)
from .dhcp_client import dhcp_clients, move_clients
from .ovs_port import OvsPlug
from .plug import BridgePlug
from .rollback import SECONDS, is_management, start_timer
from .userspace import hide_from_kernel, is_hidden_from_kernel, show_to_kernel


class UnderlaySubsystem(Subsystem[NicAttachment]):
    """NICs as ports of bridges. ``plug`` is the kind of the bridges."""

    kind = "nic"
    record = NicAttachment

    def __init__(self, owner: str | None = None, plug: BridgePlug | None = None) -> None:
        super().__init__(owner)
        self.plug: BridgePlug = plug or OvsPlug()

    def read(self, desired: Mapping[str, NicAttachment], scope: Scope | None = None) -> Reading[NicAttachment]:
        """Return the NICs that are ports. A conflict is a desired NIC that does not exist, or that is a foreign port of
        another bridge."""
        links = rtnl.links()
        missing = tuple(
            Conflict(name, f"nic {name}: this node has no such interface")
            for name in sorted(set(desired) - set(links))
        )
        if missing:
            return Reading(conflicts=missing)
        objects, owned = {}, set()
        for name, plugged in self.plug.plugged_nics().items():
            ours = self.owner is not None and plugged.owner == self.owner
            if not (ours or name in desired) or (scope is not None and name not in scope):
                continue
            bridge, datapath = plugged.bridge, plugged.datapath_type
            unsettled = _unsettled(links, name, bridge, datapath) if name in desired else ""
            objects[name] = NicAttachment(name, bridge, datapath, unsettled)
            if ours:
                owned.add(name)
        return Reading(objects, frozenset(owned), conflicts=conflicts(desired, objects, owned))

    def same(self, desired: NicAttachment, actual: NicAttachment) -> bool:
        """Return whether the NIC is in the desired bridge and its move is complete."""
        return desired.bridge == actual.bridge and not actual.unsettled

    def apply(self, changes: Sequence[Change[NicAttachment]]) -> Applied:
        """Move the NICs one after the other. If a move fails, it is undone."""
        notes: list[Note] = []
        confirmations: list[Confirmation] = []
        for change in changes:
            if change.before is not None and (change.after is None or change.after.bridge != change.before.bridge):
                notes += self._detach(change.before)
            if change.after is not None:
                applied = self._attach(change.after)
                notes += applied.notes
                confirmations += applied.confirmations
        return Applied(tuple(notes), tuple(confirmations))

    def _attach(self, nic: NicAttachment) -> Applied:
        """Move a NIC into its bridge. While it is plugged in, both NIC and bridge have the addresses, so that no packet
        is lost."""
        carried = read_carried(nic.name)
        if carried.addresses:
            save_carried(nic.name, carried)
            copy_settings(nic.name, nic.bridge)
        else:
            carried = load_carried(nic.name) or read_carried(nic.bridge)
        needs_confirmation = is_management(carried)
        if needs_confirmation:
            start_timer(nic.name, nic.bridge, carried, self.plug.unplug_command(nic.name, nic.bridge))
        plugged = False
        try:
            self.plug.set_mac(nic.name, nic.bridge)
            ip_batch(lines_before_move(carried, nic.bridge, also_up=nic.name))
            plugged = self.plug.plug(nic.name, nic.bridge, self.owner)
            ip_batch(lines_after_move(carried, nic.name, nic.bridge))
            if nic.datapath_type == "netdev":
                hide_from_kernel(nic.name)
            moved = move_clients(nic.name, nic.bridge)
        except Exception:
            self._undo_attach(nic, carried, plugged)
            raise
        text = f"nic {nic.name}: a timer moves the addresses back in {SECONDS} s unless the move is confirmed"
        confirmations = (Confirmation(self.kind, nic.name, text),) if needs_confirmation else ()
        return Applied(tuple(self.note(nic.name, text) for text in moved), confirmations)

    def _detach(self, nic: NicAttachment) -> list[Note]:
        """Take a NIC out of its bridge, and move the addresses back."""
        existing = set(rtnl.links([nic.name, nic.bridge]))
        carried = read_carried(nic.bridge) if nic.bridge in existing else Carried()
        if not carried.addresses:
            carried = load_carried(nic.name) or carried
        if nic.name in existing:
            show_to_kernel(nic.name)
            ip_batch(lines_before_move(carried, nic.name))
        self.plug.unplug(nic.name, nic.bridge)
        moved: list[str] = []
        if nic.name in existing:
            ip_batch(lines_after_move(carried, nic.bridge if nic.bridge in existing else "", nic.name))
            moved = move_clients(nic.bridge, nic.name)
        delete_carried(nic.name)
        return [self.note(nic.name, text) for text in moved]

    def _undo_attach(self, nic: NicAttachment, carried: Carried, plugged: bool) -> None:
        """Undo the steps of an ``_attach`` that failed."""
        ip_batch(lines_before_move(carried, nic.name), force=True)
        show_to_kernel(nic.name)
        if plugged:
            self.plug.unplug(nic.name, nic.bridge)
        bridge = nic.bridge if rtnl.links([nic.bridge]) else ""
        ip_batch(lines_after_move(carried, bridge, nic.name), force=True)
        move_clients(nic.bridge, nic.name)


def conflicts(
    desired: Mapping[str, NicAttachment], actual: Mapping[str, NicAttachment], owned: Collection[str]
) -> tuple[Conflict, ...]:
    """Return a conflict for each desired NIC that is a foreign port of another bridge."""
    foreign = [
        actual[name]
        for name, nic in desired.items()
        if name in actual and actual[name].bridge != nic.bridge and name not in owned
    ]
    return tuple(
        Conflict(nic.name, f"nic {nic.name} is a port of bridge {nic.bridge}: remove it from there, or map that bridge")
        for nic in foreign
    )


def _unsettled(links: Mapping[str, rtnl.LinkInfo], nic: str, bridge: str, datapath: str) -> str:
    """Return which step of the move of a plugged NIC is missing, in words; "" if the move is complete."""
    device = links.get(bridge)
    if device is None:
        return f"device {bridge} does not exist"
    saved = load_carried(nic)
    if read_carried(nic).addresses:
        return f"addresses are still on {nic}"
    on_bridge = {address for index, address in rtnl.addresses(also_dynamic=True) if index == device.index}
    if saved and not {address.text for address in saved.addresses if address.lasting} <= on_bridge:
        return f"addresses are missing on {bridge}"
    if device.mac != links[nic].mac:
        return f"{bridge} does not have the MAC of {nic}"
    if not (device.up and links[nic].up):
        return f"{bridge} or {nic} is down"
    if dhcp_clients(nic):
        return f"a DHCP client still runs for {nic}"
    if datapath == "netdev" and not is_hidden_from_kernel(nic):
        return f"the kernel still answers packets of {nic}"
    return ""

"""Physical NICs in bridges: the NIC becomes a port and its addresses and routes move to the bridge in one step.

This file has the order of the steps, so that the node is not cut off while a NIC goes in. What does not belong here:
how a NIC gets into a bridge (``plug.py``, ``ovs_port.py``), how its addresses are carried over (``carry.py``) and its
DHCP client with them (``dhcp_client.py``), the rollback that runs by itself (``rollback.py``), what a userspace
datapath needs of its NIC (``userspace.py``), and the bridge itself (``node/ovs/``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ...state.underlay import NicAttachment
from ...system import rtnl
from ...system.ip_batch import ip_batch
from ..subsystem import Applied, Change, Confirmation, Conflict, Note, Reading, Scope, Subsystem
from .carry import Carried, forget, gather, recall, remember, to_finish, to_first
from .dhcp_client import clients, move_clients
from .ovs_port import OvsPlug
from .plug import BridgePlug
from .rollback import arm, is_management
from .userspace import quiet, quieten, unquieten


class UnderlaySubsystem(Subsystem[NicAttachment]):
    """NICs as ports of bridges of the kind ``plug``."""

    kind = "nic"
    record = NicAttachment

    def __init__(self, owner: str | None = None, plug: BridgePlug | None = None) -> None:
        super().__init__(owner)
        self.plug: BridgePlug = plug or OvsPlug()

    def read(self, desired: Mapping[str, NicAttachment], scope: Scope | None = None) -> Reading[NicAttachment]:
        """NICs that are ports. A desired NIC that does not exist is a conflict, and so is one that somebody else put
        into another bridge."""
        links = rtnl.links()
        missing = tuple(
            Conflict(name, f"{name}: no such interface on this node") for name in sorted(set(desired) - set(links))
        )
        if missing:
            return Reading(conflicts=missing)
        objects, owned = {}, set()
        for name, plugged in self.plug.where().items():
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
        """In the right bridge, and nothing left undone."""
        return desired.bridge == actual.bridge and not actual.unsettled

    def apply(self, changes: Sequence[Change[NicAttachment]]) -> Applied:
        """One NIC after the other; one that fails is put back as it was."""
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

    def _attach(self, one: NicAttachment) -> Applied:
        """Addresses are on NIC and bridge for the moment in which the port changes hands, so that nothing is lost."""
        carried = gather(one.name)
        if carried.addresses:
            remember(one.name, carried)
        else:
            carried = recall(one.name) or gather(one.bridge)
        armed = is_management(carried)
        if armed:
            arm(one.name, one.bridge, carried, self.plug.unplug_command(one.name, one.bridge))
        plugged = False
        try:
            self.plug.set_mac(one.name, one.bridge)
            ip_batch(to_first(carried, one.bridge, also_up=one.name))
            plugged = self.plug.plug(one.name, one.bridge, self.owner)
            ip_batch(to_finish(carried, one.name, one.bridge))
            if one.datapath_type == "netdev":
                quieten(one.name)
            moved = move_clients(one.name, one.bridge)
        except Exception:
            self._put_back(one, carried, plugged)
            raise
        text = f"nic {one.name}: the way back is armed; it runs by itself unless the move is confirmed"
        confirmations = (Confirmation(self.kind, one.name, text),) if armed else ()
        return Applied(tuple(self.note(one.name, text) for text in moved), confirmations)

    def _detach(self, one: NicAttachment) -> list[Note]:
        there = set(rtnl.links([one.name, one.bridge]))
        carried = gather(one.bridge) if one.bridge in there else Carried()
        if not carried.addresses:
            carried = recall(one.name) or carried
        if one.name in there:
            unquieten(one.name)
            ip_batch(to_first(carried, one.name))
        self.plug.unplug(one.name, one.bridge)
        moved: list[str] = []
        if one.name in there:
            ip_batch(to_finish(carried, one.bridge if one.bridge in there else "", one.name))
            moved = move_clients(one.bridge, one.name)
        forget(one.name)
        return [self.note(one.name, text) for text in moved]

    def _put_back(self, one: NicAttachment, carried: Carried, plugged: bool) -> None:
        """What a failed attachment had begun is undone."""
        ip_batch(to_first(carried, one.name), force=True)
        unquieten(one.name)
        if plugged:
            self.plug.unplug(one.name, one.bridge)
        ip_batch(to_finish(carried, one.bridge if rtnl.links([one.bridge]) else "", one.name), force=True)
        move_clients(one.bridge, one.name)


def conflicts(
    desired: Mapping[str, NicAttachment], there: Mapping[str, NicAttachment], owned: Collection[str]
) -> tuple[Conflict, ...]:
    """NICs that somebody else put into another bridge than the desired one."""
    foreign = [
        there[name]
        for name, nic in desired.items()
        if name in there and there[name].bridge != nic.bridge and name not in owned
    ]
    return tuple(
        Conflict(nic.name, f"{nic.name} is a port of bridge {nic.bridge}: take it out there, or map that bridge")
        for nic in foreign
    )


def _unsettled(links: Mapping[str, rtnl.LinkInfo], nic: str, bridge: str, datapath: str) -> str:
    """What is still to do for a NIC that is a port; "" = nothing."""
    there = links.get(bridge)
    if there is None:
        return f"there is no device {bridge}"
    wanted = recall(nic)
    if gather(nic).addresses:
        return f"addresses are still on {nic}"
    on_bridge = {address for index, address in rtnl.addresses(also_dynamic=True) if index == there.index}
    if wanted and not {one.text for one in wanted.addresses} <= on_bridge:
        return f"addresses are missing on {bridge}"
    if there.mac != links[nic].mac:
        return f"{bridge} has not the MAC of {nic}"
    if not (there.up and links[nic].up):
        return f"{bridge} or {nic} is down"
    if clients(nic):
        return f"a DHCP client still looks after {nic}"
    if datapath == "netdev" and not quiet(nic):
        return f"the kernel still answers on {nic}"
    return ""

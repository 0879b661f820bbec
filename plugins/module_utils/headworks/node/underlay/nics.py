"""Physical NICs in bridges: the NIC becomes a port, and its addresses and routes move to the bridge in one step.

This file compares the NICs with the declared bridges, and says which NICs move. What does not belong here: the steps of
a move (``mover.py``), the rollback of a move that the control node does not confirm (``rollback.py``), which moves are
confirmed (``moves.py``), the system's own network configuration (``config/``), the settings of a NIC in a userspace
datapath (``userspace.py``), and the bridge itself (``node/ovs/``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ...state.distribution import Distribution
from ...state.underlay import ROLLBACK_SECONDS, NicAttachment
from ...system import rtnl
from ..subsystem import Applied, Change, Confirmation, Conflict, Note, Reading, Scope, Subsystem
from . import config, moves
from .carry import load_carried, read_carried
from .dhcp_client import dhcp_clients
from .mover import MoveError, Mover
from .ovs_port import OvsPlug
from .plug import BridgePlug
from .rollback import forget_undone, prolong
from .userspace import is_hidden_from_kernel


class UnderlaySubsystem(Subsystem[NicAttachment]):
    """NICs as ports of bridges. ``plug`` is the kind of the bridges. ``restore``: no control node can confirm a move,
    so only confirmed moves are made again."""

    kind = "nic"
    record = NicAttachment

    def __init__(
        self, owner: str | None = None, plug: BridgePlug | None = None, *, restore: bool = False, **services: str
    ) -> None:
        super().__init__(owner)
        self.plug: BridgePlug = plug or OvsPlug()
        self.restore = restore
        self.mover = Mover(self.plug, owner, armed=not restore, **services)

    @classmethod
    def of_document(cls, document: Mapping[str, Any], distribution: Distribution) -> UnderlaySubsystem:
        """Return the subsystem for a node state. ``restore`` is a key that ``engine/doors.py`` adds."""
        return cls(
            str(document["cloud"]),
            restore=bool(document.get("restore")),
            ovsdb_service=distribution.ovsdb_service,
            vswitchd_service=distribution.vswitchd_service,
        )

    def read(self, desired: Mapping[str, NicAttachment], scope: Scope | None = None) -> Reading[NicAttachment]:
        """Return the NICs that are ports. A conflict is a desired NIC that never existed, that NetworkManager
        configures, or that is a foreign port of another bridge. A NIC of an earlier run that is gone is broken."""
        links = rtnl.links()
        objects, owned = {}, set()
        for name, plugged in self.plug.plugged_nics().items():
            ours = self.owner is not None and plugged.owner == self.owner
            if not (ours or name in desired) or (scope is not None and name not in scope):
                continue
            bridge, datapath = plugged.bridge, plugged.datapath_type
            unsettled = _unsettled(links, name, bridge, datapath) if name in desired and name in links else ""
            # The bridge of a NIC that is not ours has the operator's own configuration.
            if ours and not unsettled and name in desired and scope is None:
                unsettled = _unconfirmed(name, bridge)
            objects[name] = NicAttachment(name, bridge, datapath, unsettled, _seconds(name))
            if ours:
                owned.add(name)
        missing = {name: f"nic {name}: this node has no such interface" for name in sorted(set(desired) - set(links))}
        broken = {name: text for name, text in missing.items() if name in owned or moves.read_move(name) is not None}
        found = [Conflict(name, text) for name, text in missing.items() if name not in broken]
        found += conflicts(desired, objects, owned)
        found += [_managed(name) for name in desired if name not in objects and name in links and _is_managed(name)]
        if self.restore:  # one NIC must not stop the restore of the others
            broken |= {conflict.name: conflict.text for conflict in found}
            found = []
        return Reading(objects, frozenset(owned), conflicts=tuple(found), broken=broken)

    def same(self, desired: NicAttachment, actual: NicAttachment) -> bool:
        """Return whether the NIC is in the desired bridge and its move is complete."""
        return desired.bridge == actual.bridge and not actual.unsettled

    def diff(
        self, desired: Mapping[str, NicAttachment], actual: Reading[NicAttachment]
    ) -> list[Change[NicAttachment]]:
        """Return the changes. A NIC that changes its bridge leaves the one, and enters the other when its bridge is
        complete: the first bridge may be removed in between."""
        changes = []
        for change in super().diff(desired, actual):
            if change.before and change.after and change.before.bridge != change.after.bridge:
                changes += [Change(self.kind, change.name, change.before, None)]
                changes += [Change(self.kind, change.name, None, change.after)]
            else:
                changes.append(change)
        return changes

    def requires(self, item: NicAttachment) -> Mapping[str, Collection[str]]:
        """Return the bridge and its flows: without them the addresses could not be reached."""
        return {"ovs_bridge": {item.bridge}, "flow": {item.bridge}}

    def can_wait(
        self, removals: Sequence[Change[NicAttachment]], desired: Mapping[str, NicAttachment]
    ) -> Sequence[Change[NicAttachment]]:
        """Return the removals of NICs that enter no other bridge."""
        return [change for change in removals if change.name not in desired]

    def unsafe_to_restore(self, changes: Sequence[Change[NicAttachment]]) -> Sequence[Note]:
        """Return a note for each NIC whose move into its bridge was never confirmed: at boot it stays outside."""
        return [
            self.note(
                change.name,
                f"nic {change.name}: it is not moved into {change.after.bridge}, because no run has confirmed that the "
                "node can be reached then; run site.yml",
            )
            for change in changes
            if change.after is not None and not _may_restore(change.name, change.before, change.after)
        ]

    def apply(self, changes: Sequence[Change[NicAttachment]]) -> Applied:
        """Move the NICs one after the other. A NIC whose move fails does not stop the others."""
        notes: list[Note] = []
        confirmations: list[Confirmation] = []
        failures: dict[str, str] = {}
        if self.mover.armed:
            forget_undone()  # of an earlier run: the confirmation of this run must not find them
        for change in changes:
            nic, armed = change.after or change.before, self.mover.armed
            assert nic is not None  # a change has one of both
            try:
                if change.after is None:
                    texts = self.mover.detach(nic)
                else:
                    texts = self.mover.attach(nic, was_plugged=change.before is not None)
                notes += [self.note(nic.name, text) for text in texts]
            except MoveError as error:
                failures[nic.name] = f"nic {nic.name}: {error}"
                armed = error.armed
            if armed:
                confirmations.append(Confirmation(self.kind, nic.name, _armed(nic)))
                if len(changes) > 1:
                    prolong([confirmation.name for confirmation in confirmations])
        return Applied(tuple(notes), tuple(confirmations), failures)


def _armed(nic: NicAttachment) -> str:
    return f"nic {nic.name}: the node takes the move back in {nic.rollback_seconds} s unless it is confirmed"


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


def _is_managed(nic: str) -> bool:
    return config.manager_of(nic) in config.REFUSED


def _managed(nic: str) -> Conflict:
    manager = config.REFUSED[config.manager_of(nic)]
    text = (
        f"nic {nic}: {manager} configures it, and would take its addresses back from the bridge; let systemd-networkd, "
        "netplan or ifupdown configure it"
    )
    return Conflict(nic, text)


def _may_restore(nic: str, before: NicAttachment | None, after: NicAttachment) -> bool:
    """Return whether a restore may bring the NIC into its bridge: the move was confirmed, or the NIC is in the bridge
    since before moves were noted."""
    return moves.is_confirmed(nic, after.bridge) or (before is not None and not moves.stage_of(nic))


def _seconds(nic: str) -> int:
    """Return the rollback_seconds of the NIC's last move. A NIC that leaves its bridge is declared nowhere any more."""
    move = moves.read_move(nic)
    return move.rollback_seconds if move is not None else ROLLBACK_SECONDS


def _unsettled(links: Mapping[str, rtnl.LinkInfo], nic: str, bridge: str, datapath: str) -> str:
    """Return which step of the move of a plugged NIC is missing, in words; "" if the move is complete."""
    device = links.get(bridge)
    if device is None:
        return f"device {bridge} does not exist"
    saved = load_carried(nic)
    if read_carried(nic).addresses:
        return f"addresses are still on {nic}"
    on_bridge = {address for index, address in rtnl.addresses(also_dynamic=True) if index == device.index}
    # A DHCP client may get another address for the bridge than the saved one, and advertised ones expire.
    lasting = {address.text for address in saved.addresses if address.lasting} if saved else set()
    if not dhcp_clients(bridge) and not lasting <= on_bridge:
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


def _unconfirmed(nic: str, bridge: str) -> str:
    """Return what is missing until the NIC stays in the bridge for good, in words; "" if nothing is. (It is missing
    when a run verifies its moves: the control node confirms them afterwards.)"""
    if not moves.is_confirmed(nic, bridge):
        return f"its move into {bridge} is not confirmed"
    if not config.is_written(nic, bridge):
        return f"the system's network configuration does not give its addresses to {bridge}"
    return ""

"""The subsystem for OpenFlow entries. It changes only flows with our cookie, in one bundle per bridge.

What does not belong here: which flows a node needs (``wiring/mechanism/openvswitch``), the comparison (``compare.py``),
and the syntax of flows (``syntax.py``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar

from ...state.openflow import BR_INT, COOKIE, LEARN_COOKIE, Flow
from ...state.ovs import OvsBridge, OvsPort
from ...system.ovsdb import ENDPOINT, readable
from ...system.process import ToolError, has_tool
from ..marks import FLOWS_MARK, MARK
from ..subsystem import Applied, Cause, Change, Reading, Scope, Subsystem, Undone
from . import ofctl
from .compare import Line, all_in_place, compare
from .switches import Switches, await_ports, mark_use, read_switches
from .syntax import modern, ports_in, write_head, write_ports

ALL_OF_A_VLAN = re.compile(r"dl_vlan=(\d+)")
# Up to this number, changed flows are verified alone, instead of together with all other flows.
FEW = 15

Lines = dict[str, list[Line]]


class FlowSubsystem(Subsystem[Flow]):
    """Flows with our cookie. Learned flows have another cookie and are not read; they are deleted with their VLAN.

    The cookie does not tell the cloud. So superfluous flows are looked for only on the cloud's own bridges, and on
    other bridges to which the cloud has added flows (the bridge's external_ids have ``FLOWS_MARK``).

    :param owner: see ``Subsystem``; None: only the desired flows are read and changed, also if another program added
        them.
    :param cookie: the mark of the flows.
    :param prune: further bridges whose superfluous flows with ``cookie`` are to be removed.
    """

    kind: ClassVar[str] = "flow"
    record: ClassVar[type] = Flow
    atomic: ClassVar[bool] = True

    def __init__(
        self,
        owner: str | None = None,
        *,
        endpoint: str = ENDPOINT,
        cookie: int = COOKIE,
        prune: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(owner)
        self.endpoint = endpoint
        self.cookie = cookie
        self.prune = prune

    @classmethod
    def load(cls, items: Iterable[Mapping[str, Any]]) -> dict[str, Flow]:
        """Return the desired flows by name. A node may have ten thousand flows; the general decoder would take too
        long."""
        try:
            flows = [Flow(**item) for item in items]
        except TypeError as error:
            raise ValueError(f"Flow: {error}") from error
        return {flow.name: flow for flow in flows}

    def read(self, desired: Mapping[str, Flow], scope: Scope | None = None) -> Reading[Flow]:
        """Read the desired flows that the switch has, and further flows with our cookie.

        An equal flow is returned as the desired object itself, and a differing flow with the switch's actions. Further
        flows are in the switch's spelling.

        A flow is absent while its bridge or one of its ports does not exist.

        :raises ToolError: a flow is malformed. The message quotes it.
        """
        if not readable(bool(desired), self.endpoint) or not has_tool("ovs-ofctl"):
            return Reading()
        switches = read_switches(self.endpoint)
        if scope is not None and len(scope) <= FEW:
            changed = {name: desired[name] for name in scope if name in desired}
            if self._verified(changed, scope, switches):
                return Reading(changed, frozenset(changed))
        known, unknown = self._write(desired.values(), switches)
        return self._compared(known, list(chain(*unknown.values())), switches)

    def _compared(self, known: Lines, fresh: list[Line], switches: Switches) -> Reading[Flow]:
        objects: dict[str, Flow] = {}
        owned: set[str] = set()
        pruned = self.prune | {name for name in switches.bridges if self._has_our_flows(switches, name)}
        for bridge in sorted((set(known) | pruned) & set(switches.bridges)):
            lines = known.get(bridge, [])
            comparison = compare(bridge, lines, self.cookie)
            present = {line.flow.name: line.flow for line in lines}
            for name, actual in comparison.differing.items():
                if actual is None:
                    del present[name]
                else:
                    present[name] = actual
            owned.update(present)
            objects.update(present)
            objects.update({flow.name: flow for flow in comparison.superfluous})
            if self.owner is not None or bridge in self.prune:
                owned.update(flow.name for flow in comparison.superfluous)
            fresh += [line for line in lines if line.flow.name in comparison.differing]
        ofctl.check([line.text for line in fresh])  # so that check mode reports malformed flows, too
        return Reading(objects, frozenset(owned))

    def _verified(self, desired: Mapping[str, Flow], scope: Scope, switches: Switches) -> bool:
        """Whether the few flows of ``scope`` are as desired: the switch has those in ``desired`` and none of the
        others. False may also mean that this method cannot tell. For a run that adds
        one port to 1000, it saves about 100 ms (one eighth) compared with reading all flows again."""
        known, unknown = self._write(desired.values(), switches)
        gone: dict[str, list[Flow]] = {}
        for name, change in scope.items():
            if name not in desired and change.before is not None:
                gone.setdefault(change.before.bridge, []).append(change.before)
        bridges = (set(known) | set(gone)) & set(switches.bridges)
        return not unknown and all(all_in_place(name, known.get(name, []), gone.get(name, [])) for name in bridges)

    def same(self, desired: Flow, actual: Flow) -> bool:
        """Whether the flows are equal. ``read`` has compared them, and returns the desired object for an equal flow."""
        return desired is actual or desired == actual

    def describe(self, item: Flow | None) -> Any:
        """Return the flow as a line of text."""
        return None if item is None else f"{item.name} actions={item.actions}"

    def undone_by(self, earlier: Sequence[Change[Any]], desired: Mapping[str, Flow], actual: Reading[Flow]) -> Undone:
        """Return the flows of a bridge that loses them because its datapath type or fail_mode changes, and the flows of
        a port that gets another number because its type or bridge changes or its device is recreated."""
        changes = [change for change in earlier if change.verb == "change"]
        cleared = {change.name for change in changes if _clears_flows(change)}
        renumbered = {change.name for change in changes if _renumbers(change)}
        causes = {name: Cause.BRIDGE_CLEARED for name, flow in desired.items() if flow.bridge in cleared}
        if renumbered:
            causes |= {name: Cause.PORT_RENUMBERED for name, flow in desired.items() if _ports_of(flow) & renumbered}
        touched = any(isinstance(change.after, (OvsBridge, OvsPort)) for change in changes)
        return Undone(causes, read_again=touched)

    def apply(self, changes: Sequence[Change[Flow]]) -> Applied:
        """Apply one bundle per bridge: all additions, changes and removals of a bridge take effect at once. If the
        switch refuses a bundle, no flow of that bridge is changed. A flow of a port without a number is left out.

        br-int is the last bridge, and only if no bundle was refused: a provider bridge that has no flows yet would
        send the packets of guests with their local VLAN.
        """
        touched = [change.after or change.before for change in changes]
        switches = await_ports({port for flow in touched if flow for port in _ports_of(flow)}, self.endpoint)
        failures: dict[str, str] = {}
        bundles: dict[str, list[str]] = {}
        ports: dict[str, set[str]] = {}
        for change, flow in zip(changes, touched, strict=True):
            assert flow is not None
            if flow.bridge not in switches.bridges:
                if change.after is not None:  # otherwise the flow was deleted with its bridge, earlier in this run
                    failures[flow.bridge] = f"flows of {flow.bridge}: ovs-vswitchd has no such bridge"
                    failures |= dict.fromkeys(_ports_of(flow), failures[flow.bridge])
                continue
            if missing := _ports_of(flow) - set(switches.numbers):
                failures |= {port: f"flows of port {port}: {switches.trouble(port)}" for port in sorted(missing)}
                continue
            text = self._line(flow, switches.numbers) if change.after else self._deletion(flow, switches.numbers)
            bundles.setdefault(flow.bridge, []).append(text)
            ports.setdefault(flow.bridge, set()).update(_ports_of(flow))
            if change.after is None:
                bundles[flow.bridge] += _learned_flows_deletion(flow)
        self._note_use({change.after.bridge for change in changes if change.after} & set(bundles), switches)
        refused: list[str] = []
        for bridge in sorted(bundles, key=lambda name: (name == BR_INT, name)):
            try:
                if bridge == BR_INT and refused:
                    raise ToolError(f"not changed, because the flows of {', '.join(refused)} are refused")
                ofctl.bundle(bridge, bundles[bridge])
            except ToolError as error:
                refused.append(bridge)
                # What requires the flows of one of these ports must not go on either.
                failures |= dict.fromkeys([bridge, *sorted(ports[bridge])], f"flows of {bridge}: {error}")
        self._note_disuse({change.before.bridge for change in changes if change.before and not change.after}, switches)
        return Applied(failures=failures)

    def parts(self, item: Flow) -> Collection[str]:
        """Return the flow's bridge and ports: ``apply`` reports failures by them."""
        return {item.bridge, *_ports_of(item)}

    def can_wait(self, removals: Sequence[Change[Flow]], desired: Mapping[str, Flow]) -> Sequence[Change[Flow]]:
        """Return the removals from bridges that are to have no flows at all. On the others, the flows of a bridge are
        replaced as a whole: a rule that is taken out must not go on passing packets."""
        stay = {flow.bridge for flow in desired.values()}
        return [change for change in removals if change.before is not None and change.before.bridge not in stay]

    def _has_our_flows(self, switches: Switches, bridge: str) -> bool:
        marks = switches.bridges[bridge]
        return self.owner is not None and self.owner in (marks.get(MARK), marks.get(FLOWS_MARK))

    def _note_use(self, bridges: set[str], switches: Switches) -> None:
        """Mark bridges that are not ours before flows are added to them."""
        if self.owner is not None:
            new = {name for name in bridges if not self._has_our_flows(switches, name)}
            mark_use(self.owner, new, switches, self.endpoint)

    def _note_disuse(self, bridges: set[str], switches: Switches) -> None:
        """Remove the cloud's mark from those of ``bridges`` that have no flow of the cloud any more. A single-purpose
        module has no mark: its flows have another cookie."""
        if self.owner is None:
            return
        there = bridges & set(switches.bridges)
        marked = [name for name in there if switches.bridges[name].get(FLOWS_MARK) == self.owner]
        empty = {name for name in marked if not ofctl.dump(name, f"cookie={self.cookie:#x}/-1")}
        mark_use(None, empty, switches, self.endpoint)

    def _write(self, flows: Iterable[Flow], switches: Switches) -> tuple[Lines, Lines]:
        """Return flows with their text, by bridge: first those whose bridge and ports exist, then the other flows (with
        an invented number for each missing port)."""
        known: Lines = {}
        unknown: Lines = {}
        for flow in flows:
            place = known if flow.bridge in switches.bridges else unknown
            try:
                text = self._line(flow, switches.numbers)
            except KeyError:
                place = unknown
                text = self._line(flow, _AnyPort())
            place.setdefault(flow.bridge, []).append(Line(flow, text))
        return known, unknown

    def _line(self, flow: Flow, numbers: Mapping[str, str]) -> str:
        """Return the text that adds the flow."""
        actions = write_ports(modern(flow.match, flow.actions), numbers)
        match = write_ports(flow.match, numbers)
        return f"{write_head(self.cookie, flow.table, flow.priority, match)} actions={actions}\n"

    def _deletion(self, flow: Flow, numbers: Mapping[str, str]) -> str:
        """Return the text that deletes the flow: with an owner, only if it has our cookie."""
        match = write_ports(flow.match, numbers)
        ours = f"cookie={self.cookie:#x}/-1," if self.owner is not None else ""
        text = f"delete_strict {ours}table={flow.table},priority={flow.priority}"
        return f"{text},{match}\n" if match else f"{text}\n"


def _ports_of(flow: Flow) -> set[str]:
    """Return the ports that a flow names."""
    return {*ports_in(flow.match), *ports_in(flow.actions)}


def _clears_flows(change: Change[Any]) -> bool:
    """Whether ovs-vswitchd deletes a bridge's flows: it creates the bridge again, or the bridge has another fail_mode
    (unset is standalone)."""
    before, after = change.before, change.after
    if not isinstance(before, OvsBridge) or not isinstance(after, OvsBridge):
        return False
    modes = {bridge.fail_mode or "standalone" for bridge in (before, after)}
    return before.datapath_type != after.datapath_type or len(modes) > 1


def _renumbers(change: Change[Any]) -> bool:
    """Whether a change of a port gives the port another OpenFlow number."""
    before, after = change.before, change.after
    if not isinstance(before, OvsPort) or not isinstance(after, OvsPort):
        return False
    return change.cause is Cause.DEVICE_RECREATED or (before.type, before.bridge) != (after.type, after.bridge)


def _learned_flows_deletion(removed: Flow) -> list[str]:
    """Return the text that deletes a VLAN's learned flows if ``removed`` is the flow for the whole local VLAN. A new
    network that gets the same VLAN would otherwise use them for up to 300 s."""
    vlan = ALL_OF_A_VLAN.fullmatch(removed.match)
    return [f"delete cookie={LEARN_COOKIE:#x}/-1,vlan_tci={int(vlan[1]):#06x}/0x0fff\n"] if vlan else []


class _AnyPort(dict[str, str]):
    """Gives the number 1 to every port, to check the syntax of flows whose ports do not exist."""

    def __missing__(self, key: str) -> str:
        return "1"

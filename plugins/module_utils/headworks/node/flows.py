"""OpenFlow entries: compared by ``ovs-ofctl diff-flows``, changed in one bundle per bridge. Only our cookie is touched.

Which flows a node needs is the plan's business (``plan/wiring/flows*.py``), how they are spelled ``openflow.py``'s.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar

from .openflow import Entry, modern, parse, ports_in, spelling, write_ports
from .ovs_rows import MARK, map_mutations
from .ovsdb import ENDPOINT, RUN_DIR, Ovsdb, from_map, optional, present, select
from .process import ToolError, has_tool, run, run_both
from .subsystem import Change, Reading, Subsystem

COOKIE = 0x6865616477726B73
LEARN_COOKIE = 0x6865616477726B74
MODULE_COOKIE = 0x6865616477726B75  # of flows that library/ovs_flows.py makes: node_state must not prune those
FLOWS_MARK = "headworks-flows"  # external_ids key of bridges that are not ours and carry flows of ours
LOCAL = 65534
PORT_SECONDS = 30.0
# The lowest version that has bundles; one version throughout, since each has its own words for the same action.
OFCTL = ("ovs-ofctl", "-O", "OpenFlow14", "--no-names")
NOT_NORMAL = "normalization changed ofp_match"


@dataclass(frozen=True)
class Flow:
    """One flow in ovs-ofctl syntax.

    In ``match`` and ``actions`` a port is written by its name in braces, ``{tap1234}``: it becomes the OpenFlow port
    number once the port exists. ``match`` has neither table nor priority; "" matches all.
    """

    bridge: str
    table: int
    priority: int
    match: str
    actions: str

    @cached_property
    def name(self) -> str:
        """``br-int table=25,priority=2,in_port={tapX}``: unique per switch, and readable."""
        return f"{self.bridge} table={self.table},priority={self.priority},{self.match or 'any'}"


@dataclass(frozen=True)
class Switches:
    """What OVSDB says: the bridges that ovs-vswitchd serves, with their external_ids; ports' numbers as text; what is
    wrong with a port that has no number ("" while ovs-vswitchd has not got to it)."""

    bridges: Mapping[str, Mapping[str, str]]
    numbers: Mapping[str, str]
    troubles: Mapping[str, str]


class FlowSubsystem(Subsystem[Flow]):
    """Flows with our cookie. Learned flows have another cookie and are never looked at.

    Since a cookie does not say which cloud's it is, superfluous flows are looked for on the cloud's own bridges, and on
    those of others where it has put some (``FLOWS_MARK`` in the bridge's external_ids says so).

    :param owner: see ``Subsystem``; None: only the desired flows matter, whoever made them.
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
        self._desired: Mapping[str, Flow] = {}

    @classmethod
    def load(cls, items: Iterable[Mapping[str, Any]]) -> dict[str, Flow]:
        """As everywhere; by the shortest way, since there are ten thousand of them."""
        try:
            flows = [Flow(**item) for item in items]
        except TypeError as error:
            raise ValueError(f"Flow: {error}") from error
        return {flow.name: flow for flow in flows}

    def read(self, desired: Mapping[str, Flow], scope: frozenset[str] | None = None) -> Reading[Flow]:
        """The desired flows that are in place, as the very same objects; where the switch has other actions, a Flow
        with those; and further flows with our cookie, spelled as the switch does.

        A flow is absent while its bridge or one of its ports does not exist.

        :raises ToolError: a flow is malformed; the message has it.
        """
        if scope is None:
            self._desired = desired
        else:
            desired = {**self._desired, **desired}  # without the others, those would be taken for superfluous
        if not present(self.endpoint) or not has_tool("ovs-ofctl"):
            return Reading()
        switches = _switches(self.endpoint)
        known, unknown = self._write(desired, switches)
        fresh = list(chain(*unknown.values()))
        objects: dict[str, Flow] = {}
        owned: set[str] = set()
        pruned = self.prune | {name for name in switches.bridges if self._has_our_flows(switches, name)}
        for bridge in sorted((set(known) | pruned) & set(switches.bridges)):
            lines = known.get(bridge, [])
            comparison = self._compare(bridge, lines)
            fresh += [line for line in lines if line[0].name in comparison.differing]
            objects.update({flow.name: flow for flow, _ in lines})
            for name, actual in comparison.differing.items():
                if actual is None:
                    del objects[name]
                else:
                    objects[name] = actual
            owned.update(flow.name for flow, _ in lines if flow.name in objects)
            for flow in comparison.superfluous:
                objects[flow.name] = flow
                if self.owner is not None or bridge in self.prune:
                    owned.add(flow.name)
        self._check(fresh)
        return Reading(objects, frozenset(owned))

    def same(self, desired: Flow, actual: Flow) -> bool:
        """``read`` has compared already: what is equal is the same object."""
        return desired is actual or desired == actual

    def describe(self, one: Flow | None) -> Any:
        """The flow as a line of text."""
        return None if one is None else f"{one.name} actions={one.actions}"

    def apply(self, changes: Sequence[Change[Flow]]) -> None:
        """One bundle per bridge: all of its additions, changes and removals take effect at once.

        :raises ToolError: a port has no number, or the switch refuses; then no flow of that bridge is changed.
        """
        touched = [change.after or change.before for change in changes]
        switches = self._await_ports([flow for flow in touched if flow is not None])
        bundles: dict[str, list[tuple[Flow, str]]] = {}
        for change in changes:
            flow = change.after or change.before
            assert flow is not None
            if flow.bridge not in switches.bridges:
                if change.after is None:
                    continue  # gone with its bridge, earlier in this run
                raise ToolError(f"flow {self.describe(flow)!r}: ovs-vswitchd has no bridge {flow.bridge}")
            text = self._line(flow, switches.numbers) if change.after else self._deletion(flow, switches.numbers)
            bundles.setdefault(flow.bridge, []).append((flow, text))
        self._note_use({change.after.bridge for change in changes if change.after}, switches)
        for bridge, lines in bundles.items():
            self._ofctl(lines, "--bundle", "add-flows", bridge, "-")
        self._note_disuse(bundles, switches)

    def _has_our_flows(self, switches: Switches, bridge: str) -> bool:
        marks = switches.bridges[bridge]
        return self.owner is not None and self.owner in (marks.get(MARK), marks.get(FLOWS_MARK))

    def _note_use(self, bridges: Iterable[str], switches: Switches) -> None:
        """Mark bridges that are not ours before flows go in, so that those are found again when nothing is desired."""
        if self.owner is None:
            return
        new = [name for name in bridges if not self._has_our_flows(switches, name)]
        self._set_marks({name: {FLOWS_MARK: self.owner} for name in new}, switches)

    def _note_disuse(self, bridges: Iterable[str], switches: Switches) -> None:
        """Unmark bridges of others when nothing of ours is left there."""
        used = {flow.bridge for flow in self._desired.values()}
        empty = [name for name in bridges if name not in used and FLOWS_MARK in switches.bridges[name]]
        self._set_marks({name: {} for name in empty}, switches)

    def _set_marks(self, marks: Mapping[str, Mapping[str, str]], switches: Switches) -> None:
        if not marks:
            return
        operations = []
        for name, after in marks.items():
            before = {key: value for key, value in switches.bridges[name].items() if key == FLOWS_MARK}
            mutations = map_mutations("external_ids", before, after)
            where = [["name", "==", name]]
            operations.append({"op": "mutate", "table": "Bridge", "where": where, "mutations": mutations})
        with Ovsdb(self.endpoint) as database:
            database.transact(operations)

    def _write(
        self, desired: Mapping[str, Flow], switches: Switches
    ) -> tuple[dict[str, list[tuple[Flow, str]]], dict[str, list[tuple[Flow, str]]]]:
        """Flows with their text, by bridge: those whose ports exist, and those (with a made-up number) of which one
        does not."""
        known: dict[str, list[tuple[Flow, str]]] = {}
        unknown: dict[str, list[tuple[Flow, str]]] = {}
        for flow in desired.values():
            place = known if flow.bridge in switches.bridges else unknown
            try:
                text = self._line(flow, switches.numbers)
            except KeyError:
                place = unknown
                text = self._line(flow, _AnyPort())
            place.setdefault(flow.bridge, []).append((flow, text))
        return known, unknown

    def _line(self, flow: Flow, numbers: Mapping[str, str]) -> str:
        match = write_ports(flow.match, numbers)
        actions = write_ports(modern(flow.match, flow.actions), numbers)
        head = f"cookie={self.cookie:#x},table={flow.table},priority={flow.priority}"
        return f"{head},{match} actions={actions}\n" if match else f"{head} actions={actions}\n"

    def _deletion(self, flow: Flow, numbers: Mapping[str, str]) -> str:
        match = write_ports(flow.match, numbers)
        ours = f"cookie={self.cookie:#x}/-1," if self.owner is not None else ""
        text = f"delete_strict {ours}table={flow.table},priority={flow.priority}"
        return f"{text},{match}\n" if match else f"{text}\n"

    def _compare(self, bridge: str, lines: Sequence[tuple[Flow, str]]) -> _Comparison:
        output = self._ofctl(lines, "diff-flows", bridge, "/dev/stdin")
        entries = [parse(line) for line in output.splitlines()]
        wanted = [entry for entry in entries if entry.sign == "+"]
        found = {entry.where: entry for entry in entries if entry.sign == "-"}
        differing: dict[str, Flow | None] = {}
        for entry, flow in self._recognise(wanted, lines).items():
            other = found.pop(entry, None)
            differing[flow.name] = self._as_found(flow, other) if other else None
        rest = [entry for entry in found.values() if entry.cookie == self.cookie]
        return _Comparison(differing, [_as_flow(bridge, entry) for entry in rest])

    def _as_found(self, flow: Flow, entry: Entry) -> Flow:
        """What stands in the place of ``flow``; a foreign cookie or a timeout is told behind the actions."""
        remarks = f" {entry.extra}" if entry.extra else ""
        remarks += f" cookie={entry.cookie:#x}" if entry.cookie != self.cookie else ""
        return Flow(flow.bridge, flow.table, flow.priority, flow.match, entry.actions + remarks)

    def _recognise(
        self, wanted: Sequence[Entry], lines: Sequence[tuple[Flow, str]]
    ) -> dict[tuple[int, int, str], Flow]:
        """Which of our flows the entries are, for the switch writes them in its own way."""
        places = {(entry.table, entry.priority) for entry in wanted}
        candidates = [pair for pair in lines if (pair[0].table, pair[0].priority) in places]
        by_spelling = {(flow.table, flow.priority, spelling(_match_of(text, flow))): flow for flow, text in candidates}
        known: dict[tuple[int, int, str], Flow] = {}
        strange = []
        for entry in wanted:
            flow = by_spelling.pop((entry.table, entry.priority, spelling(entry.match)), None)
            if flow is None:
                strange.append(entry.where)
            else:
                known[entry.where] = flow
        if strange:
            left = {flow.name for flow in by_spelling.values()}
            respelled = self._respell([pair for pair in candidates if pair[0].name in left])
            known.update({where: respelled[where] for where in strange})
        return known

    def _respell(self, lines: Sequence[tuple[Flow, str]]) -> dict[tuple[int, int, str], Flow]:
        """Our flows by the switch's spelling: ovs-ofctl is asked to print them, each with its index as cookie."""
        ours = f"cookie={self.cookie:#x},"
        numbered = [(flow, f"cookie={i:#x},{text.removeprefix(ours)}") for i, (flow, text) in enumerate(lines, 1)]
        output = self._ofctl(numbered, "diff-flows", "/dev/null", "/dev/stdin")
        entries = [parse(line) for line in output.splitlines()]
        return {entry.where: lines[entry.cookie - 1][0] for entry in entries}

    def _check(self, lines: Sequence[tuple[Flow, str]]) -> None:
        """That flows which the switch does not have are well-formed; check mode tells, too."""
        if lines:
            self._ofctl(lines, "parse-flows", "/dev/stdin")

    def _ofctl(self, lines: Sequence[tuple[Flow, str]], *arguments: str) -> str:
        text = "".join([line for _, line in lines])
        try:
            ok = (0, 2) if arguments[0] == "diff-flows" else (0,)
            output, complaints = run_both([*OFCTL, *arguments], stdin=text, ok=ok)
        except ToolError as error:
            raise ToolError(_explain(str(error), lines)) from error
        if NOT_NORMAL in complaints:
            # A match without its prerequisites would silently match more than it says.
            raise ToolError(f"flow {self._culprit(lines)!r}: its match lacks what a field of it depends on")
        return output

    def _culprit(self, lines: Sequence[tuple[Flow, str]]) -> str:
        """The first flow about which ovs-ofctl complains, found by halving."""
        while len(lines) > 1:
            half = lines[: len(lines) // 2]
            text = "".join([line for _, line in half])
            _, complaints = run_both([*OFCTL, "parse-flows", "/dev/stdin"], stdin=text, ok=(0, 1))
            lines = half if NOT_NORMAL in complaints else lines[len(half) :]
        return str(self.describe(lines[0][0]))

    def _await_ports(self, flows: Sequence[Flow]) -> Switches:
        needed = {name for flow in flows for name in ports_in(flow.match) + ports_in(flow.actions)}
        deadline = time.monotonic() + PORT_SECONDS
        while True:
            switches = _switches(self.endpoint)
            missing = sorted(needed - set(switches.numbers))
            if not missing:
                return switches
            troubles = [f"{name}: {switches.troubles.get(name, 'no such port')}" for name in missing]
            pending = all(switches.troubles.get(name) == "" for name in missing)
            if not pending or time.monotonic() > deadline:
                raise ToolError("flows need ports that have no number: " + "; ".join(troubles[:5]))
            time.sleep(0.1)


@dataclass(frozen=True)
class _Comparison:
    """``differing``: name of a desired flow → what the switch has instead, None for nothing. ``superfluous``: ours,
    not desired."""

    differing: Mapping[str, Flow | None]
    superfluous: Sequence[Flow]


class _AnyPort(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "1"


def _switches(endpoint: str) -> Switches:
    with Ovsdb(endpoint) as database:
        bridges, interfaces = database.select(
            [select("Bridge", ["name", "external_ids"]), select("Interface", ["name", "ofport", "error"])]
        )
    numbers, troubles = {}, {}
    for row in interfaces:
        number = optional(row["ofport"], None)
        if number is None or number < 1:
            troubles[row["name"]] = "" if number is None else str(optional(row["error"], "no number"))
        else:
            numbers[row["name"]] = "LOCAL" if number == LOCAL else str(number)
    served = {
        row["name"]: from_map(row["external_ids"]) for row in bridges if (RUN_DIR / f"{row['name']}.mgmt").exists()
    }
    return Switches(served, numbers, troubles)


def _match_of(text: str, flow: Flow) -> str:
    """The match within a line that ``FlowSubsystem._line`` wrote: with port numbers."""
    head = text.partition(" actions=")[0]
    return head.partition(f",priority={flow.priority},")[2]


def _as_flow(bridge: str, entry: Entry) -> Flow:
    return Flow(bridge, entry.table, entry.priority, entry.match, entry.actions)


def _explain(message: str, lines: Sequence[tuple[Flow, str]]) -> str:
    """ovs-ofctl's message with the flow's text instead of its line number."""
    found = re.search(r"(?:/dev/stdin| -):(\d+): (.*)", message)
    if found and 0 < int(found[1]) <= len(lines):
        return f"flow {lines[int(found[1]) - 1][1].strip()!r}: {found[2]}"
    return message


def dump(bridge: str) -> list[str]:
    """All flows of a bridge, as ``ovs-ofctl`` prints them, whoever made them."""
    return [line.strip() for line in run([*OFCTL, "dump-flows", "--no-stats", bridge]).splitlines()]

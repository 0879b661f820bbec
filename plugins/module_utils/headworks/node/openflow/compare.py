"""Which of the desired flows a switch has, which differ, and which it has besides.

The comparison itself is ovs-ofctl's; here its answer, in the switch's spelling, is brought back to our own flows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...state.openflow import Flow
from . import ofctl
from .syntax import Entry, parse, spelling

Where = tuple[int, int, str]
Spelling = tuple[int, int, frozenset[str]]

# Up to so many entries are looked for by a word of theirs; above, all flows are taken apart once.
FEW = 50


class Line(NamedTuple):
    """A desired flow, and its text with port numbers, as it goes to ovs-ofctl (with the newline)."""

    flow: Flow
    text: str


@dataclass(frozen=True)
class Comparison:
    """``differing``: name of a desired flow → what the switch has instead, None for nothing. ``superfluous``: flows
    with the cookie that are not desired."""

    differing: Mapping[str, Flow | None]
    superfluous: Sequence[Flow]


def compare(bridge: str, lines: Sequence[Line], cookie: int) -> Comparison:
    """All flows of a bridge against ``lines``.

    :raises ToolError: a flow is malformed, or the bridge does not answer.
    """
    output = ofctl.differences(bridge, [line.text for line in lines])
    found = {entry.where: entry for entry in (parse(line) for line in output if line[0] == "-")}
    missing = [line for line in output if line[0] == "+"]
    differing: dict[str, Flow | None]
    if len(missing) == len(lines) and not _share_place(missing, found):
        differing = {line.flow.name: None for line in lines}
    else:
        wanted = _recognise([parse(line) for line in missing], lines)
        differing = {flow.name: as_found(flow, found.pop(where, None), cookie) for where, flow in wanted.items()}
    rest = [entry for entry in found.values() if entry.cookie == cookie]
    return Comparison(differing, [Flow(bridge, *entry.where, entry.actions) for entry in rest])


def all_in_place(bridge: str, lines: Sequence[Line], gone: Sequence[Line]) -> bool:
    """Whether these few flows are on the bridge exactly so, and nothing is in the place of those of ``gone``.

    It asks only for flows that have in common what these have (for those of a port, its number): with ten thousand
    others beside them that costs a fraction of ``compare``. False may also mean that they have nothing in common.
    """
    common = _common([*lines, *gone])
    if not common:
        return False
    there = ofctl.dump(bridge, common)
    found = {_spelt(entry): entry for entry in (parse(f" {line}") for line in there)}
    if all(_is_there(line, found) for line in lines) and not any(_spelt_line(line) in found for line in gone):
        return True
    # Not in our own spelling. So both in the switch's.
    known = {entry.where: entry for entry in ofctl.printed([f"{line}\n" for line in there])}
    wanted = ofctl.printed([line.text for line in lines])
    unwanted = ofctl.printed([line.text for line in gone])
    return all(known.get(entry.where) == entry for entry in wanted) and not any(
        entry.where in known for entry in unwanted
    )


def _common(lines: Sequence[Line]) -> str:
    """The parts of the matches that all of ``lines`` have, as a match."""
    first, *rest = [_match_of(line).split(",") for line in lines]
    return ",".join(part for part in first if all(part in other for other in rest))


def _is_there(line: Line, found: Mapping[Spelling, Entry]) -> bool:
    entry = found.get(_spelt_line(line))
    head, _, actions = line.text.strip().partition(" actions=")
    return (
        entry is not None
        and not entry.extra
        and entry.actions == actions
        and head.startswith(f"cookie={entry.cookie:#x},")
    )


def _spelt(entry: Entry) -> Spelling:
    return (entry.table, entry.priority, spelling(entry.match))


def _spelt_line(line: Line) -> Spelling:
    return (line.flow.table, line.flow.priority, spelling(_match_of(line)))


def as_found(flow: Flow, entry: Entry | None, cookie: int) -> Flow | None:
    """What stands in the place of ``flow``; a foreign cookie or a timeout is told behind the actions."""
    if entry is None:
        return None
    remarks = f" {entry.extra}" if entry.extra else ""
    remarks += f" cookie={entry.cookie:#x}" if entry.cookie != cookie else ""
    return Flow(flow.bridge, flow.table, flow.priority, flow.match, entry.actions + remarks)


def _share_place(missing: Sequence[str], found: Mapping[Where, Entry]) -> bool:
    """Whether a flow that is there stands where a missing one should."""
    return bool(found) and any(parse(line).where in found for line in missing)


def _recognise(wanted: Sequence[Entry], lines: Sequence[Line]) -> dict[Where, Flow]:
    """Which of our flows the entries are, for the switch writes them in its own way."""
    groups: dict[tuple[int, int], list[Line]] = {(entry.table, entry.priority): [] for entry in wanted}
    for line in lines:
        group = groups.get((line.flow.table, line.flow.priority))
        if group is not None:
            group.append(line)
    known = _by_word(wanted, groups) if len(wanted) <= FEW else _by_spelling(wanted, groups)
    strange = [entry.where for entry in wanted if entry.where not in known]
    if strange:
        names = {flow.name for flow in known.values()}
        respelled = _respell([line for group in groups.values() for line in group if line.flow.name not in names])
        known.update({where: respelled[where] for where in strange})
    return known


def _by_word(wanted: Sequence[Entry], groups: Mapping[tuple[int, int], Sequence[Line]]) -> dict[Where, Flow]:
    known = {}
    for entry in wanted:
        parts = spelling(entry.match)
        word = max(parts, key=len, default="")
        for line in groups[entry.table, entry.priority]:
            if word in line.text and spelling(_match_of(line)) == parts:
                known[entry.where] = line.flow
                break
    return known


def _by_spelling(wanted: Sequence[Entry], groups: Mapping[tuple[int, int], Sequence[Line]]) -> dict[Where, Flow]:
    table = {_spelt_line(line): line.flow for group in groups.values() for line in group}
    found = ((entry, table.get(_spelt(entry))) for entry in wanted)
    return {entry.where: flow for entry, flow in found if flow is not None}


def _respell(lines: Sequence[Line]) -> dict[Where, Flow]:
    """Our flows by the switch's spelling: ovs-ofctl is asked to print them, each with its index as cookie."""
    numbered = [f"cookie={number:#x},{line.text.partition(',')[2]}" for number, line in enumerate(lines, 1)]
    return {entry.where: lines[entry.cookie - 1].flow for entry in ofctl.printed(numbered)}


def _match_of(line: Line) -> str:
    """The match within a line: with port numbers."""
    head = line.text.partition(" actions=")[0]
    return head.partition(f",priority={line.flow.priority},")[2]

"""The text of a plan: what a run changes in the cloud and on each node, before it changes anything. Pure.

What does not belong here: the plan itself (``plan/announce.py`` and ``control/plan_data.py``), and the verdict after
the run (``verdict.py``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..plan.announce import PlanChange
from .name_ranges import ranges

# More changes of one kind than this are one line with a count and a pattern of names, unless all are asked for.
GROUPED = 10
_SIGNS = {"add": "+", "change": "~", "remove": "-"}
_UNKNOWN = {
    "silent": "does not answer; what it needs stays pending until a run in which it answers",
    "left out": "is not in this run (--limit); what it needs stays pending until a run that includes it",
}


def lines(plan: Mapping[str, Any], *, verbose: bool = False, notes: bool = False) -> list[tuple[str, str]]:
    """(sign, text) of each line; the sign is ``+``, ``~``, ``-``, ``!`` (attention) or "".

    :param plan: as ``control/plan_data.py`` makes it.
    :param verbose: one line for each change.
    :param notes: also the notes of the nodes. The verdict of a run has them, so only a run that ends with the plan
        shows them here.
    """
    title = f"Plan of cloud {plan['cloud']}:"
    cloud = _cloud(plan, verbose)
    nodes = [line for name in plan["nodes"] for line in _node(name, plan, verbose, notes)]
    if not cloud and not any(node["changes"] or node["state"] == "failed" for node in plan["nodes"].values()):
        return [("", f"{title} nothing to change"), *nodes]
    return [("", title), *cloud, *nodes]


def _cloud(plan: Mapping[str, Any], verbose: bool) -> list[tuple[str, str]]:
    changes = plan["changes"]
    groups: dict[tuple[str, str], list[Mapping[str, str]]] = defaultdict(list)
    for change in changes:
        groups[(change["sign"], change["kind"])].append(change)
    result = []
    for change in changes:
        key = (change["sign"], change["kind"])
        if verbose or len(groups[key]) <= GROUPED:
            result.append((change["sign"], f"  {PlanChange(**change).label}"))
        elif groups[key][0] is change:
            names = ", ".join(ranges(entry["name"] for entry in groups[key]))
            kinds = _plural(change["kind"].replace("_", " "))
            disks = _disks(plan["removals"]) if key == ("-", "instance") else ""
            text = f"  {change['sign']} {len(groups[key])} {kinds}: {names}{disks} (-v lists them)"
            result.append((change["sign"], text))
    return result


def _plural(kind: str) -> str:
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


def _disks(removals: Sequence[Mapping[str, Any]]) -> str:
    """Where the removed instances are, and how large their disks are together."""
    nodes = ", ".join(ranges(removal["node"] for removal in removals))
    return f", on {nodes}: disks {sum(removal['disk_bytes'] for removal in removals) / (1 << 30):.1f} GiB"


def _node(name: str, plan: Mapping[str, Any], verbose: bool, notes: bool) -> list[tuple[str, str]]:
    node = plan["nodes"][name]
    if node["state"] in _UNKNOWN:
        return [("!", f"  {name}: {_UNKNOWN[node['state']]}")]
    result = []
    if node["changes"]:
        pending = " (pending since an earlier run)" if name in plan.get("behind", ()) else ""
        result.append(("~", f"  {name}: {_counts(node['changes'])}{pending}"))
    if node["state"] == "failed":
        result += [("!", f"  {name}: {text}") for text in _failures(node)]
    if verbose:
        result += [
            (_SIGNS[change["verb"]], f"    {_SIGNS[change['verb']]} {change['kind']} {change['name']}")
            for change in node["changes"]
        ]
    effects = [f"{effect['text']} ({effect['effect']})" for effect in node["effects"]]
    others = [note for note in node["notes"] if note not in {effect["text"] for effect in node["effects"]}]
    return result + [("!", f"  {name}: {text}") for text in (*effects, *(others if notes else ()))]


def _failures(node: Mapping[str, Any]) -> list[str]:
    """Why a node cannot tell all of its changes. A failure without a name is that of a whole kind of objects."""
    if not node.get("failures"):
        return [f"its changes cannot be told: {' '.join(node['reason'].split())}"]
    return [
        f"will not be as declared: {failure['kind']}: {failure['text']}"
        if failure["name"]
        else f"its changes of {failure['kind']} cannot be told: {failure['text']}"
        for failure in node["failures"]
    ]


def _counts(changes: Iterable[Mapping[str, str]]) -> str:
    """``+ 12 flow, 3 link; - 1 domain``."""
    by_verb: dict[str, Counter[str]] = {verb: Counter() for verb in _SIGNS}
    for change in changes:
        by_verb[change["verb"]][change["kind"]] += 1
    parts = [
        f"{_SIGNS[verb]} {', '.join(f'{count} {kind}' for kind, count in kinds.items())}"
        for verb, kinds in by_verb.items()
        if kinds
    ]
    return "; ".join(parts)

"""The plan of a run as plain data: what it changes in the cloud and on each node. It is printed, saved and compared.

What does not belong here: the text that people see (``view/plan_text.py``), and the node states, which hold user data
(``handover.py``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..model.cloud import AllocationsModel, RunModel
from ..model.errors import PlanError
from ..plan.resolve import Resolution

FORMAT = 1
# The values of ``state`` in the data of a node: whether its changes are known, or why they are not.
# A node with the state "failed" may know a part of them: then its ``failures`` are the others.
KNOWN, FAILED, SILENT, LEFT_OUT = "known", "failed", "silent", "left out"


def of_resolution(resolution: Resolution, digest: str, inventory: Mapping[str, Any]) -> dict[str, Any]:
    """The plan without the changes on the nodes.

    :param digest: of the allocations that the plan starts from, as stored.
    :param inventory: what was planned. The plan has its digest, because the lines of changes do not show every value.
    """
    before = resolution.before
    return {
        "format": FORMAT,
        "cloud": resolution.cloud.name,
        "from": {"lineage": before.lineage, "serial": before.serial, "digest": digest},
        "inventory": _inventory_digest(inventory),
        "changes": [asdict(change) for change in resolution.plan_changes],
        "removals": [asdict(removal) for removal in resolution.removals],
        "warnings": list(resolution.warnings),
        "behind": sorted(
            node for node, holding in resolution.held.items() if holding.cloud and holding.serial < before.serial
        ),
        "nodes": {},
    }


def _inventory_digest(inventory: Mapping[str, Any]) -> str:
    """A digest of the inventory without the variables that describe one run."""
    of_run = {f"cloud_{name}" for model in (RunModel, AllocationsModel) for name in model.model_fields}
    cloud = {name: value for name, value in inventory["cloud"].items() if name not in of_run}
    text = json.dumps({**inventory, "cloud": cloud}, sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:16]


def of_node(
    preview: Mapping[str, Any] | None, facts: Mapping[str, Any] | None, *, in_run: bool,
    more: Iterable[Mapping[str, str]] = (), masked_units: Mapping[str, Iterable[str]] | None = None,
) -> dict[str, Any]:
    """What the run changes on a node.

    :param preview: the answer of module node_state; None if the node was not asked.
    :param facts: the node's facts: the missing packages and services are changes, too.
    :param in_run: whether the node is in this run (``--limit``).
    :param more: changes that other modules of the run make.
    :param masked_units: package → units that are masked before it is installed.
    """
    if preview is None:
        return {"state": SILENT if in_run else LEFT_OUT, "failures": [], "changes": [], "effects": [], "notes": []}
    prepare = [*_prepare(facts or {}, masked_units or {}), *more]
    failed = preview.get("failed")
    return {
        "state": FAILED if failed else KNOWN,
        "reason": str(preview.get("msg") or "") if failed else "",
        # A run does everything else; without them, the node tells none of its changes, or would refuse the run.
        "failures": [] if preview.get("refused") else [dict(failure) for failure in preview.get("failures") or ()],
        "changes": prepare + [dict(change) for change in preview.get("changes") or ()],
        "effects": list(preview.get("effects") or ()),
        "notes": list(preview.get("notes") or ()),
    }


def _prepare(facts: Mapping[str, Any], masked_units: Mapping[str, Iterable[str]]) -> list[dict[str, str]]:
    """The changes that install packages and start services, from the facts of the node."""
    packages = facts.get("packages_missing") or ()
    unknown = set(facts.get("units_unknown") or ())
    units = [unit for package in packages for unit in masked_units.get(package, ()) if unit in unknown]
    return [
        *({"kind": "masked_unit", "name": unit, "verb": "add"} for unit in units),
        *({"kind": "package", "name": name, "verb": "add"} for name in packages),
        *({"kind": "service", "name": name, "verb": "change"} for name in facts.get("services_down") or ()),
        *(
            {"kind": "libvirt_network", "name": name, "verb": "remove"}
            for name in facts.get("libvirt_networks_present") or ()
        ),
    ]


def has_changes(plan: Mapping[str, Any]) -> bool:
    """Whether a run of the plan changes anything. A node whose changes cannot all be told counts as changed."""
    return bool(plan["changes"]) or any(node["changes"] or node["state"] == FAILED for node in plan["nodes"].values())


def differences(saved: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """Where a saved plan and the plan of this run differ, in words. Sizes of disks and dates do not count."""
    found = []
    for key in ("format", "cloud", "from"):
        if saved.get(key) != plan[key]:
            found.append(f"{key}: was {saved.get(key)!r}, is {plan[key]!r}")
    if saved.get("inventory") != plan["inventory"]:
        found.append("inventory: was changed")
    for key, identity in (("changes", _change), ("removals", _removal)):
        found += _compare(key, map(identity, saved.get(key) or ()), map(identity, plan[key]))
    nodes_saved: Mapping[str, Any] = saved.get("nodes") or {}
    for name in sorted({*nodes_saved, *plan["nodes"]}):
        was, now = nodes_saved.get(name) or {}, plan["nodes"].get(name) or {}
        if was.get("state") != now.get("state"):
            found.append(f"node {name}: was {was.get('state', 'unknown')}, is {now.get('state', 'gone')}")
        found += _compare(
            f"node {name}", map(_node_change, was.get("changes") or ()), map(_node_change, now.get("changes") or ())
        )
    return found


def _compare(key: str, saved: Iterable[str], planned: Iterable[str]) -> list[str]:
    was, now = Counter(saved), Counter(planned)
    return [f"{key}: no longer {text}" for text in sorted((was - now).elements())] + [
        f"{key}: now also {text}" for text in sorted((now - was).elements())
    ]


def _change(change: Mapping[str, Any]) -> str:
    removed = change.get("sign") == "-"
    return f"{change.get('sign')} {change.get('kind')} {change.get('name')} {'' if removed else change.get('detail')}"


def _removal(removal: Mapping[str, Any]) -> str:
    return f"{removal.get('name')} on {removal.get('node')}"


def _node_change(change: Mapping[str, Any]) -> str:
    return f"{change.get('verb')} {change.get('kind')} {change.get('name')}"


def save(path: str, plan: Mapping[str, Any]) -> None:
    """Write the plan to a file.

    :raises PlanError: the file cannot be written.
    """
    try:
        Path(path).expanduser().write_text(json.dumps(plan, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise PlanError([f"cloud_plan_file: {path!r}: cannot be written ({error.strerror})"]) from error


def load(path: str) -> dict[str, Any]:
    """Read a plan that ``save`` wrote.

    :raises PlanError: there is no such file, or it holds no plan.
    """
    try:
        saved = json.loads(Path(path).expanduser().read_text())
    except OSError as error:
        raise PlanError([f"cloud_plan_saved: {path!r}: cannot be read ({error.strerror})"]) from error
    except ValueError as error:
        raise PlanError([f"cloud_plan_saved: {path!r}: is not JSON ({error})"]) from error
    if not isinstance(saved, dict) or "format" not in saved:
        raise PlanError([f"cloud_plan_saved: {path!r}: holds no plan; cloud_plan_file writes one"])
    return saved

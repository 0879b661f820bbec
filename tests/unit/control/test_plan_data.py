"""The plan as plain data: what a node changes, whether anything changes, and what a difference is called.

Plans of real inventories are compared in ``test_saved_plan.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from headworks.control.plan_data import differences, has_changes, load, of_node
from headworks.model.errors import PlanError

FROM = {"lineage": "l", "serial": 3, "digest": "d"}
LINK = {"kind": "link", "name": "tap1", "verb": "add"}


def plan(**more: Any) -> dict[str, Any]:
    return {
        "format": 1, "cloud": "lab", "from": FROM, "inventory": "i", "changes": [], "removals": [], "nodes": {}, **more,
    }  # fmt: skip


def test_a_node_that_was_not_asked_is_silent_or_left_out() -> None:
    assert of_node(None, None, in_run=True)["state"] == "silent"
    assert of_node(None, None, in_run=False)["state"] == "left out"


def test_missing_packages_and_stopped_services_are_changes_of_a_node() -> None:
    facts = {"packages_missing": ["nginx"], "services_down": ["libvirtd.service"], "units_unknown": ["nginx.service"]}
    node = of_node({"changes": [LINK]}, facts, in_run=True, masked_units={"nginx": ["nginx.service", "known.service"]})
    assert [(change["verb"], change["kind"], change["name"]) for change in node["changes"]] == [
        ("add", "masked_unit", "nginx.service"),
        ("add", "package", "nginx"),
        ("change", "service", "libvirtd.service"),
        ("add", "link", "tap1"),
    ]


def test_a_node_whose_changes_cannot_be_told_counts_as_changed() -> None:
    failed = of_node({"failed": True, "msg": "no libvirt"}, None, in_run=True)
    assert (failed["state"], failed["reason"]) == ("failed", "no libvirt")
    assert has_changes(plan(nodes={"n1": failed}))
    assert not has_changes(plan(nodes={"n1": of_node({"changes": []}, None, in_run=True)}))


def test_a_node_that_cannot_tell_a_part_of_its_changes_tells_the_others() -> None:
    failures = [{"kind": "domain", "name": "", "text": "reading: is libvirtd running?"}]
    answer = {"failed": True, "msg": "domain: …", "failures": failures, "changes": [LINK], "refused": False}
    partly = of_node(answer, None, in_run=True)
    assert (partly["state"], partly["failures"], partly["changes"]) == ("failed", failures, [LINK])
    refused = of_node({**answer, "refused": True}, None, in_run=True)
    assert (refused["state"], refused["failures"]) == ("failed", [])


def test_every_kind_of_difference_from_a_saved_plan_is_named() -> None:
    node = of_node({"changes": [LINK]}, None, in_run=True)
    saved = plan(nodes={"n1": node}, removals=[{"name": "vm1", "node": "n1"}])
    newer = {**FROM, "serial": 4}
    now = plan(
        **{"from": newer},
        changes=[{"sign": "+", "kind": "network", "name": "web", "detail": ""}],
        nodes={"n1": of_node(None, None, in_run=True)},
    )
    assert differences(saved, now) == [
        f"from: was {FROM!r}, is {newer!r}",
        "changes: now also + network web ",
        "removals: no longer vm1 on n1",
        "node n1: was known, is silent",
        "node n1: no longer add link tap1",
    ]


@pytest.mark.parametrize(
    ("text", "rule"),
    [("{", "is not JSON"), ("[]", "holds no plan"), ('{"a": 1}', "holds no plan"), (None, "cannot be read")],
)
def test_a_file_without_a_plan_is_refused(tmp_path: Path, text: str | None, rule: str) -> None:
    path = tmp_path / "plan.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PlanError, match=rule):
        load(str(path))

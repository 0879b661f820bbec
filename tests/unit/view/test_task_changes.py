"""The changes that the results of tasks report."""

from __future__ import annotations

from typing import Any

import pytest
from headworks.view.task_changes import task_changes


def called(changed: bool = True, **arguments: Any) -> dict[str, Any]:
    """The result of a builtin module that was called with these arguments."""
    return {"changed": changed, "invocation": {"module_args": arguments}}


def test_a_module_of_ours_lists_its_changes_itself() -> None:
    change = {"kind": "link", "name": "tap0", "verb": "add"}
    assert task_changes("node_state", {"changed": True, "changes": [change]}) == [change]


@pytest.mark.parametrize("action", ["package", "ansible.builtin.package"])
def test_every_package_that_is_installed_is_a_change(action: str) -> None:
    assert task_changes(action, called(name=["haproxy", "nginx"])) == [
        {"kind": "package", "name": "haproxy", "verb": "add"},
        {"kind": "package", "name": "nginx", "verb": "add"},
    ]


def test_each_item_of_a_loop_is_looked_at() -> None:
    items = [
        called(name="a.service", masked=None),
        called(False, name="b.service", masked=None),
        called(name="c.service", masked=True),
    ]
    assert task_changes("ansible.builtin.systemd_service", {"changed": True, "results": items}) == [
        {"kind": "service", "name": "a.service", "verb": "change"},
        {"kind": "masked_unit", "name": "c.service", "verb": "add"},
    ]


def test_a_task_that_does_not_count_as_changed_has_no_changes() -> None:
    change = {"kind": "libvirt_network", "name": "default", "verb": "remove"}
    assert task_changes("libvirt_network", {"changed": False, "changes": [change]}) == []


def test_other_modules_report_none() -> None:
    assert task_changes("ansible.builtin.copy", called(name="x", masked=True)) == []
    assert task_changes("ansible.builtin.command", {"changed": True}) == []

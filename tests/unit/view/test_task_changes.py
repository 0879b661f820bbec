"""The changes that the result of a task reports."""

from __future__ import annotations

from typing import Any

import pytest
from headworks.view.task_changes import task_changes


def called(changed: bool = True, **arguments: Any) -> dict[str, Any]:
    """The result of a builtin module that was called with ``arguments``."""
    return {"changed": changed, "invocation": {"module_args": arguments}}


def test_the_changes_of_a_module_of_headworks_are_those_that_it_lists() -> None:
    change = {"kind": "link", "name": "tap0", "verb": "add"}
    assert task_changes("node_state", {"changed": True, "changes": [change]}) == [change]


@pytest.mark.parametrize("action", ["package", "ansible.builtin.package"])
def test_every_installed_package_is_a_change(action: str) -> None:
    assert task_changes(action, called(name=["haproxy", "nginx"])) == [
        {"kind": "package", "name": "haproxy", "verb": "add"},
        {"kind": "package", "name": "nginx", "verb": "add"},
    ]


def test_a_task_that_names_no_unit_is_no_change() -> None:
    assert task_changes("systemd_service", called(name=None, daemon_reload=True)) == []
    assert task_changes("package", {"changed": True}) == []


def test_a_removed_package_is_a_removal() -> None:
    (change,) = task_changes("package", called(name="nginx", state="absent"))
    assert change == {"kind": "package", "name": "nginx", "verb": "remove"}


def test_the_changes_of_a_loop_are_those_of_its_items() -> None:
    items = [
        called(name="a.service", masked=None),
        called(False, name="b.service", masked=None),
        called(name="c.service", masked=True),
    ]
    assert task_changes("ansible.builtin.systemd_service", {"changed": True, "results": items}) == [
        {"kind": "service", "name": "a.service", "verb": "change"},
        {"kind": "masked_unit", "name": "c.service", "verb": "add"},
    ]


def test_a_task_that_is_not_changed_has_no_changes() -> None:
    change = {"kind": "libvirt_network", "name": "default", "verb": "remove"}
    assert task_changes("libvirt_network", {"changed": False, "changes": [change]}) == []


def test_other_modules_report_no_changes() -> None:
    assert task_changes("ansible.builtin.copy", called(name="x", masked=True)) == []
    assert task_changes("ansible.builtin.command", {"changed": True}) == []

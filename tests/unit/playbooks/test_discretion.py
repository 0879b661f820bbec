"""A module whose arguments hold user data does not write its arguments to the node's log."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from headworks.modules.items import DiscreetModule, item_module

LIBRARY = Path(__file__).parents[3] / "library"
SPEC = {"state": {"type": "dict"}}
AS_IN_A_TASK = {"_ansible_no_log": False}  # Ansible passes the task's setting, which overrides the module's


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(AnsibleModule, "log", lambda self, message, log_args=None: lines.append(message))
    return lines


@pytest.mark.parametrize(("module", "lines"), [(AnsibleModule, 1), (DiscreetModule, 0)])
def test_a_discreet_module_does_not_log_its_arguments(module: type, lines: int, logged: list[str]) -> None:
    with patch_module_args({"state": {"user_data": "secret"}, **AS_IN_A_TASK}):
        module(argument_spec=SPEC)
    assert len(logged) == lines


@pytest.mark.parametrize(("discreet", "lines"), [(False, 1), (True, 0)])
def test_a_discreet_module_of_items_does_not_log_them(discreet: bool, lines: int, logged: list[str]) -> None:
    with patch_module_args({"name": "a", "files": {"user-data": "secret"}, **AS_IN_A_TASK}):
        item_module("things", {"name": {"type": "str"}, "files": {"type": "dict"}}, discreet=discreet)
    assert len(logged) == lines


def test_node_state_is_a_discreet_module() -> None:
    text = (LIBRARY / "node_state.py").read_text()
    assert "DiscreetModule(argument_spec" in text
    assert " AnsibleModule(" not in text


def test_metadata_tree_is_discreet() -> None:
    assert "discreet=True" in (LIBRARY / "metadata_tree.py").read_text()

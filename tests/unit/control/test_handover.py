"""Node states that the plan hands over to the nodes."""

from __future__ import annotations

from pathlib import Path

from headworks.control import handover


def test_a_node_gets_its_own_state_back(tmp_path: Path) -> None:
    handover.put(tmp_path, {"n1": {"node": "n1", "user_data": "é"}, "n2": {"node": "n2"}}, {})
    assert handover.take(tmp_path, "n1") == {"node": "n1", "user_data": "é"}
    assert handover.take(tmp_path, "n3") is None


def test_only_the_owner_may_read_a_node_state(tmp_path: Path) -> None:
    handover.put(tmp_path, {"n1": {}}, {})
    home = tmp_path / handover.DIRECTORY
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "state-n1.json").stat().st_mode & 0o777 == 0o600


def test_a_second_plan_replaces_all_states_of_the_first(tmp_path: Path) -> None:
    handover.put(tmp_path, {"n1": {"version": 1}, "gone": {}}, {})
    handover.put_preview(tmp_path, "n1", {"changes": []})
    handover.begin(tmp_path)
    handover.put(tmp_path, {"n1": {"version": 2}}, {"run": {}})
    assert handover.take(tmp_path, "n1") == {"version": 2}
    assert handover.take(tmp_path, "gone") is None
    assert handover.preview(tmp_path, "n1") is None
    assert handover.plan(tmp_path) == {"run": {}}
    assert not handover.begun(tmp_path)

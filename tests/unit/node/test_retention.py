"""The rule that deletes what is left of removed guests."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from headworks.engine.converge import converge
from headworks.node.compute.retention import RetentionSubsystem
from headworks.node.compute.rule import days_of_rule
from headworks.state.retention import Retention


@pytest.fixture
def retention(tmp_path: Path) -> RetentionSubsystem:
    return RetentionSubsystem("lab", tmp_path / "headworks.conf", tmp_path / "removed")


def run(retention: RetentionSubsystem, *desired: Retention, check: bool = False) -> list[str]:
    changes = converge([(retention, {item.name: item for item in desired})], check=check).changes
    return [change["verb"] for change in changes]


@pytest.mark.parametrize("days", [0, 7])
def test_the_rule_has_the_days_and_the_directory_is_private(days: int, retention: RetentionSubsystem) -> None:
    assert run(retention, Retention("removed", days)) == ["add"]
    assert f"d {retention.removed_dir} 0700 root root cB:{days}d\n" in retention.rule.read_text()
    assert days_of_rule(retention.rule) == days
    assert stat.S_IMODE(retention.removed_dir.stat().st_mode) == 0o700
    assert run(retention, Retention("removed", days), check=True) == []
    assert run(retention, Retention("removed", days + 1)) == ["change"]
    assert days_of_rule(retention.rule) == days + 1


@pytest.mark.parametrize("fault", ["rule", "mode", "directory"])
def test_a_rule_that_was_changed_by_hand_is_a_change(fault: str, retention: RetentionSubsystem) -> None:
    run(retention, Retention("removed"))
    if fault == "rule":
        retention.rule.write_text("d /var/lib/headworks/removed 0700 root root cB:1d\n")
    elif fault == "mode":
        retention.removed_dir.chmod(0o755)
    else:
        retention.removed_dir.rmdir()
    assert run(retention, Retention("removed")) == ["change"]
    assert run(retention, Retention("removed"), check=True) == []


def test_the_rule_stays_as_long_as_there_are_removed_guests(retention: RetentionSubsystem) -> None:
    run(retention, Retention("removed"))
    guest = retention.removed_dir / "u1.1"
    guest.mkdir()
    assert run(retention) == []
    guest.rmdir()
    assert run(retention) == ["remove"]
    assert not retention.rule.exists()
    assert not retention.removed_dir.exists()

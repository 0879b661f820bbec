"""The confirmation of removals: what the question names, and when a confirmation is not needed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from headworks.model.errors import PlanError
from headworks.plan.found.removals import Removal, check_lost, table, unneeded

NOW = 1_800_000_000
REMOVALS = (Removal("web1", "u1", "n1", 1 << 30, NOW, "running"), Removal("web2", "u2", "n2"))


def test_a_confirmation_that_nothing_needs_is_warned_of() -> None:
    decided = tuple(replace(removal, decided=True) for removal in REMOVALS)
    for removals in ((), decided):
        assert unneeded(3, removals, ()).startswith("cloud_confirm_removal: 3: this run removes no instance that must")


def test_no_other_confirmation_is_warned_of() -> None:
    assert [unneeded(None, (), ()), unneeded(0, (), ()), unneeded(2, REMOVALS, ())] == ["", "", ""]
    assert unneeded(1, (), [("db", "n1")]) == ""


def test_the_number_for_lost_instances_names_the_removals_that_it_confirms_too() -> None:
    with pytest.raises(PlanError) as error:
        check_lost([("db", "n1")], REMOVALS, None, NOW)
    text = str(error.value)
    assert "add -e cloud_confirm_removal=3, which counts 2 removals too" in text
    assert ("web1" in text, "web2" in text) == (True, True)
    check_lost([("db", "n1")], REMOVALS, 3, NOW)


def test_lost_instances_alone_list_no_removals() -> None:
    with pytest.raises(PlanError, match=r"add -e cloud_confirm_removal=1$"):
        check_lost([("db", "n1")], (), None, NOW)


def test_a_removed_instance_without_files_is_not_shown_as_a_small_disk() -> None:
    lost = Removal("web3", "u3", "n1", 0, NOW, "stopped")
    assert "missing" in table((lost,), NOW)
    assert "1.0 GiB" in table(REMOVALS, NOW)

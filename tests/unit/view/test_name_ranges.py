"""Many names as few patterns, which stand for exactly these names."""

from __future__ import annotations

import random
import re

import pytest
from headworks.view.name_ranges import ranges


def expanded(pattern: str) -> list[str]:
    """The names that a pattern stands for, as Ansible expands it."""
    match = re.fullmatch(r"(.*)\[(\d+):(\d+)\](.*)", pattern)
    if match is None:
        return [pattern]
    before, first, last, after = match.groups()
    width = len(first) if first.startswith("0") else 0
    return [f"{before}{number:0{width}}{after}" for number in range(int(first), int(last) + 1)]


@pytest.mark.parametrize(
    ("names", "patterns"),
    [
        ([], []),
        (["vm1"], ["vm1"]),
        (["vm1", "vm2"], ["vm1", "vm2"]),
        (["vm1", "vm2", "vm3"], ["vm[1:3]"]),
        ([f"web{number:02}" for number in range(1, 51)], ["web[01:50]"]),
        ([f"web{number}" for number in range(8, 13)], ["web[8:12]"]),
        (["web09", "web10", "web11"], ["web[09:11]"]),
        (["web01", "web1", "web2", "web3"], ["web01", "web[1:3]"]),
        (["a1-x", "a2-x", "a3-x", "a2-y"], ["a2-y", "a[1:3]-x"]),
        (["172.16.0.9", "172.16.0.10", "172.16.0.11"], ["172.16.0.[9:11]"]),
        (["db", "db", "app"], ["app", "db"]),
    ],
)
def test_runs_of_three_or_more_are_one_pattern(names: list[str], patterns: list[str]) -> None:
    assert ranges(names) == patterns


@pytest.mark.parametrize("seed", range(200))
def test_the_patterns_stand_for_exactly_the_names(seed: int) -> None:
    dice = random.Random(seed)
    names = {
        f"{dice.choice(['web', 'db', 'a1b', ''])}{dice.randint(0, 120):0{dice.choice([0, 0, 2, 3])}}"
        f"{dice.choice(['', '', '-x'])}"
        for _ in range(dice.randint(0, 150))
    }
    patterns = ranges(names)
    found = [name for pattern in patterns for name in expanded(pattern)]
    assert sorted(found) == sorted(names)

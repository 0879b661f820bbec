"""Any inventory gives either a plan or a refusal with printable messages, never another exception."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from everything import everything
from headworks.model.errors import PlanError
from headworks.plan.resolve import resolve
from headworks.wiring.documents import wire
from inventories import facts_of

JUNK: list[Any] = [
    *(None, "", 0, -1, 1e99, float("nan"), True, [], {}, [[]], {"": {}}, {1: 2}, {"a": 1}, ["internal"]),
    *(b"x", 10**30, 4094),
    *("x", "../x", "a\nb", "\udcff", "internal", "ext", "vxlan"),
    *("10.0.0.0/8", "10.18.0.0/33", "10.18.0.1", "::1", "fe80::1%eth0"),
]
NAMES: list[Any] = ["x", "../x", "a b", "", 3, None, "internal", "ext"]


def _paths(here: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(here, dict):
        for name, value in here.items():
            yield from _paths(value, (*path, name))
    elif isinstance(here, list):
        for index, value in enumerate(here):
            yield from _paths(value, (*path, index))


def _spoil(inventory: dict[str, Any], path: tuple[Any, ...], dice: random.Random) -> None:
    here: Any = inventory
    try:
        for part in path[:-1]:
            here = here[part]
        match dice.random():
            case chance if chance < 0.15 and isinstance(here, dict):
                del here[path[-1]]
            case chance if chance < 0.25 and isinstance(here, dict):
                here[dice.choice(NAMES)] = here[path[-1]]
            case _:
                here[path[-1]] = dice.choice(JUNK)
    except (KeyError, IndexError, TypeError):
        pass  # an earlier change removed this place


@pytest.mark.parametrize("seed", range(4))
def test_junk_is_planned_or_refused_with_printable_messages(seed: int) -> None:
    dice = random.Random(seed)
    facts = facts_of(everything())
    before = resolve(everything(), None, facts).allocations.dump()
    # Spoil only what an operator writes: variables and their contents.
    places = [
        path
        for path in _paths(everything())
        if (path[:1] == ("cloud",) and path[1:]) or (len(path) > 3 and path[2] == "vars")
    ]
    messages: list[str] = []
    planned = 0
    for _ in range(150):
        inventory = everything()
        for _ in range(dice.randint(1, 3)):
            _spoil(inventory, dice.choice(places), dice)
        try:
            wire(resolve(inventory, dice.choice([None, before]), dice.choice([facts, {}])).cloud)
            planned += 1
        except PlanError as error:
            messages += error.messages
    assert planned
    assert len(messages) > 100
    assert [message for message in messages if not message.replace("\n", "").isprintable()] == []

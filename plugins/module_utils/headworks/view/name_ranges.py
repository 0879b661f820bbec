"""Many names in few words: ``web01``, ``web02``, ``web03`` become ``web[01:03]``, as in an Ansible inventory. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

_NUMBER = re.compile(r"^(.*?)(\d+)(\D*)$")


def ranges(names: Iterable[str]) -> list[str]:
    """The names, with each run of three or more consecutive numbers as one pattern, in order."""
    numbered: dict[tuple[str, str, int], list[int]] = defaultdict(list)
    single = []
    for name in dict.fromkeys(names):
        match = _NUMBER.match(name)
        if match is None:
            single.append(name)
            continue
        before, digits, after = match.groups()
        # Numbers with leading zeros have a fixed width; others have none.
        numbered[(before, after, len(digits) if digits.startswith("0") else 0)].append(int(digits))
    numbered = _joined(numbered)
    patterns = [
        pattern
        for (before, after, width), numbers in numbered.items()
        for pattern in _runs(before, after, width, numbers)
    ]
    return sorted([*single, *patterns])


def _joined(numbered: dict[tuple[str, str, int], list[int]]) -> dict[tuple[str, str, int], list[int]]:
    """``web10`` belongs to ``web01`` … ``web09``: numbers without leading zeros join those of their width."""
    result: dict[tuple[str, str, int], list[int]] = {key: list(numbers) for key, numbers in numbered.items()}
    for before, after, width in [key for key in numbered if key[2]]:
        plain = result.get((before, after, 0), [])
        fitting = [number for number in plain if len(str(number)) == width]
        result[(before, after, width)] += fitting
        if plain:
            result[(before, after, 0)] = [number for number in plain if number not in fitting]
    return result


def _runs(before: str, after: str, width: int, numbers: list[int]) -> Iterable[str]:
    run: list[int] = []
    for number in [*sorted(numbers), None]:
        if run and (number is None or number != run[-1] + 1):
            first, last = f"{run[0]:0{width}}", f"{run[-1]:0{width}}"
            if len(run) > 2:
                yield f"{before}[{first}:{last}]{after}"
            else:
                yield from (f"{before}{item:0{width}}{after}" for item in run)
            run = []
        if number is not None:
            run.append(number)

"""docs/safety.md against tests/safety: the tests that its tables name exist, and every test is in a table."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs/safety.md").read_text()
SUITE = TOP / "tests/safety"
NAMED = re.findall(r"`(test_\w+\.py)::(test_\w+)` \|$", PAGE, re.MULTILINE)
WRITTEN = {
    (path.name, node.name)
    for path in SUITE.glob("test_*.py")
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
}


def test_the_tables_name_every_test_once() -> None:
    assert sorted(NAMED) == sorted(WRITTEN)


def test_there_are_at_least_thirty_slips_and_faults() -> None:
    assert len(WRITTEN) >= 30

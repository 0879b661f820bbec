"""The layout of the package: short files, each with a docstring that says what belongs in it.

Which package may import which is checked by import-linter (pyproject.toml), except what only a test can see here.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "plugins/module_utils/headworks"
FILES = sorted([*PACKAGE.rglob("*.py"), *(TOP / "plugins/module_utils/headworks_lab").rglob("*.py")])
MOST_LINES = 400
PYTHON = (b"#!/usr/bin/env python", b"#!/usr/bin/python")


def relative(path: Path) -> str:
    """The path of a file below the checkout."""
    return str(path.relative_to(TOP))


def all_python() -> Iterator[Path]:
    """Every Python file of the checkout, also those without a suffix; not what tools keep in hidden folders."""
    for top in sorted(path for path in TOP.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for path in sorted(path for path in top.rglob("*") if path.is_file()):
            if path.suffix == ".py" or (not path.suffix and path.read_bytes()[:64].startswith(PYTHON)):
                yield path


def test_no_python_file_is_long() -> None:
    long = {relative(path): len(path.read_text().splitlines()) for path in all_python()}
    assert len(long) > 200
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES} == {}


def test_every_file_says_what_belongs_in_it() -> None:
    docstrings = {relative(path): ast.get_docstring(ast.parse(path.read_text())) or "" for path in FILES}
    assert {name: text for name, text in docstrings.items() if len(text.split()) < 5} == {}


def test_the_records_need_the_standard_library_only() -> None:
    outside = set()
    for path in (PACKAGE / "state").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                outside |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level != 1:
                outside.add("." * node.level + (node.module or ""))
    assert {name for name in outside if name.split(".")[0] not in sys.stdlib_module_names} == set()

"""The layout of the package: short files, each with a docstring, and no comment that names a file that is not there.

Which package may import which is checked by import-linter (pyproject.toml), except what only a test can see here.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "plugins/module_utils/headworks"
FILES = sorted([*PACKAGE.rglob("*.py"), *(TOP / "plugins/module_utils/headworks_lab").rglob("*.py")])
MOST_LINES = 400
PYTHON = (b"#!/usr/bin/env python", b"#!/usr/bin/python")
# ``links.py``, ``wiring/``, ``node/l3``, ``flows_*.py``, ``node/<subsystem>/``, but not ``/proc/`` or ``latest/x``.
_PART = r"(?:[\w.*-]+|<\w+>)"
_PACKAGES = "|".join(sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
MENTION = re.compile(rf"``({_PART}(?:/{_PART})*(?:\.py|\.md|/)|(?:{_PACKAGES})(?:/{_PART})+)``")


def relative(path: Path) -> str:
    """The path of a file below the checkout."""
    return str(path.relative_to(TOP))


def all_python() -> Iterator[Path]:
    """Every Python file of the checkout, also those without a suffix; not what tools keep in hidden folders."""
    for top in sorted(path for path in TOP.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for path in sorted(path for path in top.rglob("*") if path.is_file()):
            if path.suffix == ".py" or (not path.suffix and path.read_bytes()[:64].startswith(PYTHON)):
                yield path


def said(path: Path) -> Iterator[str]:
    """The docstrings and comments of a file."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    yield from (token.string for token in tokens if token.type == tokenize.COMMENT)


def there(mentions: set[str], path: Path) -> set[str]:
    """Those files that ``path`` mentions which exist: beside it, in the package, or in the checkout."""
    places = (path.parent, PACKAGE, PACKAGE.parent, TOP)
    patterns = {mention: re.sub(r"<\w+>", "*", mention).rstrip("/") for mention in mentions}
    return {mention for mention in mentions if any(any(place.glob(patterns[mention])) for place in places)}


def test_no_python_file_is_long() -> None:
    long = {relative(path): len(path.read_text().splitlines()) for path in all_python()}
    assert len(long) > 200
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES} == {}


def test_every_file_says_what_belongs_in_it() -> None:
    docstrings = {relative(path): ast.get_docstring(ast.parse(path.read_text())) or "" for path in FILES}
    assert {name: text for name, text in docstrings.items() if len(text.split()) < 5} == {}


def test_files_that_docstrings_and_comments_name_exist() -> None:
    mentions = {path: {found for text in said(path) for found in MENTION.findall(text)} for path in FILES}
    assert sum(len(found) for found in mentions.values()) > 100
    missing = [f"{relative(path)}: {name}" for path, found in mentions.items() for name in found - there(found, path)]
    assert not missing, "\n".join(sorted(missing))


def test_the_records_need_the_standard_library_only() -> None:
    outside = set()
    for path in (PACKAGE / "state").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                outside |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level != 1:
                outside.add("." * node.level + (node.module or ""))
    assert {name for name in outside if name.split(".")[0] not in sys.stdlib_module_names} == set()

"""docs/architecture.md against the code: the picture is up to date, and the files and tests that it names exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs/architecture.md").read_text()
PACKAGE = TOP / "plugins/module_utils/headworks"
NAMED_TESTS = sorted(set(re.findall(r"`(\w+(?:/\w+)*\.py)::(test_\w+)`", PAGE)))
INVARIANTS = dict(re.findall(r"^\| (I\d+) \|(.*)$", PAGE, re.MULTILINE))


def test_the_picture_shows_the_imports_of_the_code() -> None:
    done = subprocess.run([sys.executable, "scripts/architecture", "--check"], cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_files_that_the_page_names_exist() -> None:
    named = set(re.findall(r"`((?:[\w.*-]+|<\w+>)(?:/(?:[\w.*-]+|<\w+>))*(?:\.py|\.md|\.yml|\.toml|/))`", PAGE))
    assert len(named) > 40
    patterns = {name: re.sub(r"<\w+>", "*", name).rstrip("/") for name in named}
    assert {name for name in named if not any(any(folder.glob(patterns[name])) for folder in (TOP, PACKAGE))} == set()


@pytest.mark.parametrize(("file", "name"), NAMED_TESTS)
def test_a_test_that_the_page_names_exists(file: str, name: str) -> None:
    functions = ast.walk(ast.parse((TOP / "tests" / file).read_text()))
    assert name in {node.name for node in functions if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("invariant", [f"I{number}" for number in range(1, 10)])
def test_the_page_names_tests_of_every_invariant_at_both_levels(invariant: str) -> None:
    files = [file for file, _ in re.findall(r"`(\w+(?:/\w+)*\.py)::(test_\w+)`", INVARIANTS[invariant])]
    assert [file for file in files if file.startswith("cloud/")]
    assert [file for file in files if not file.startswith("cloud/")]

"""What reaches a node with a module: Ansible sends module_utils as a package of its own; nothing is installed."""

from __future__ import annotations

import re
from pathlib import Path

UTILS = Path(__file__).parents[3] / "plugins/module_utils"


def test_module_utils_import_each_other_by_relative_names() -> None:
    """A node has no package ``headworks``: there it is ``ansible.module_utils.headworks``."""
    absolute = re.compile(r"^\s*(?:from|import) headworks\w*\b", re.MULTILINE)
    assert [str(file.relative_to(UTILS)) for file in UTILS.rglob("*.py") if absolute.search(file.read_text())] == []

"""The imports of module_utils, which Ansible sends to a node with a module. On nodes headworks is not installed."""

from __future__ import annotations

import re
from pathlib import Path

UTILS = Path(__file__).parents[3] / "plugins/module_utils"


def test_module_utils_import_each_other_by_relative_names() -> None:
    """On a node the package is ``ansible.module_utils.headworks``, so ``import headworks`` would fail."""
    absolute = re.compile(r"^\s*(?:from|import) headworks\w*\b", re.MULTILINE)
    assert [str(file.relative_to(UTILS)) for file in UTILS.rglob("*.py") if absolute.search(file.read_text())] == []

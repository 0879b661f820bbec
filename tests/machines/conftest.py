"""Fixtures and options of the machine tests. They need root and QEMU; ``make test-machines`` prepares both.

``MACHINES_KEEP_LAB=1`` uses labs that are there, and keeps them after the tests.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
sys.path.insert(0, str(TOP / "tests/lab"))
pytest.register_assert_rewrite("machine_lab")

KEEP = bool(os.environ.get("MACHINES_KEEP_LAB"))

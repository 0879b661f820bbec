"""Options of the machine tests. They need root and QEMU; ``make test-machines`` prepares both.

Each file has a lab of its own. ``MACHINES_KEEP_LAB=1`` uses a lab that is there, and keeps it after the tests.
"""

from __future__ import annotations

import os

import pytest

pytest.register_assert_rewrite("machine_lab", "stands")

KEEP = bool(os.environ.get("MACHINES_KEEP_LAB"))

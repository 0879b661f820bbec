"""For all tests: the hand-made clouds of ``tests/samples`` and the helpers of ``tests/lab`` can be imported."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / folder) for folder in ("samples", "lab")]

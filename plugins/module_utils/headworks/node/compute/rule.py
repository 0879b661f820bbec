"""The text of the rule of systemd-tmpfiles for removed guests. Reading it must be cheap, so it has its own file.

What does not belong here: keeping the rule on the node (``retention.py``).
"""

from __future__ import annotations

import re
from pathlib import Path

from ...system.files import read_text
from .removed import REMOVED_DIR, REMOVED_MODE

RULE = Path("/etc/tmpfiles.d/headworks.conf")


def rule_text(days: int, removed_dir: Path = REMOVED_DIR) -> str:
    """Return the file of the rule. ``c``: the age of a file is the time since the last change of its status, which is
    the removal of its guest. The last write is older. ``B``: an empty directory goes with its last file; without this,
    it would stay as long as somebody reads it."""
    return (
        "# headworks: what is left of removed guests is deleted after this time (cloud_reclaim_after_days).\n"
        f"d {removed_dir} {REMOVED_MODE:04o} root root cB:{days}d\n"
    )


def days_of_rule(rule: Path = RULE) -> int | None:
    """Return after how many days the rule on the disk deletes, or None without a rule."""
    match = re.search(r"^d .* cB:([0-9]+)d$", read_text(rule) or "", re.MULTILINE)
    return int(match[1]) if match else None

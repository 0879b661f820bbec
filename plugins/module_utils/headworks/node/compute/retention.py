"""The rule of systemd-tmpfiles that deletes what is left of removed guests. Nothing of headworks deletes it.

What does not belong here: the text of the rule (``rule.py``), and the directories of removed guests (``removed.py``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...state.retention import Retention
from ...system.files import read_text, sync_directory, write_file
from ..subsystem import Applied, Change, Reading, Scope, Subsystem
from .directories import has_mode, make_directory
from .removed import REMOVED_DIR, REMOVED_MODE, RULE_NAME
from .rule import RULE, days_of_rule, rule_text

CHANGED_BY_HAND = -1


class RetentionSubsystem(Subsystem[Retention]):
    """The rule, and the directory that it is about. There is one object, with the name of the directory."""

    kind = "retention"
    record = Retention

    def __init__(self, owner: str | None = None, rule: Path = RULE, removed_dir: Path = REMOVED_DIR) -> None:
        super().__init__(owner)
        self.rule = rule
        self.removed_dir = removed_dir

    def read(self, desired: Mapping[str, Retention], scope: Scope | None = None) -> Reading[Retention]:
        """Return the rule on the disk. As long as there are removed guests, it is not ours to remove: without it, they
        would stay for ever."""
        text = read_text(self.rule)
        if text is None:
            return Reading()
        days = days_of_rule(self.rule)
        right = days is not None and text == rule_text(days, self.removed_dir) and self._has_directory()
        found = Retention(RULE_NAME, days if right and days is not None else CHANGED_BY_HAND)
        empty = not (self.removed_dir.is_dir() and os.listdir(self.removed_dir))
        return Reading({RULE_NAME: found}, frozenset({RULE_NAME}) if self.owner is not None and empty else frozenset())

    def _has_directory(self) -> bool:
        return self.removed_dir.is_dir() and has_mode(self.removed_dir, REMOVED_MODE)

    def apply(self, changes: Sequence[Change[Retention]]) -> Applied:
        """Write the rule and make the directory, or remove both."""
        for change in changes:
            if change.after is not None:
                make_directory(self.removed_dir, REMOVED_MODE)
                write_file(self.rule, rule_text(change.after.days, self.removed_dir))
                continue
            self.rule.unlink(missing_ok=True)
            sync_directory(self.rule.parent)
            if self.removed_dir.is_dir():
                self.removed_dir.rmdir()
        return Applied()

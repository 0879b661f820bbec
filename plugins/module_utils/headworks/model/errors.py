"""What is wrong with an inventory, as messages of one form: ``key: value: rule``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

_SHOWN = 120
_CREDENTIALS = re.compile(r"://[^/\s@]*@")


class PlanError(Exception):
    """The inventory is refused. ``messages`` has one line (or a line and a table) for each reason."""

    def __init__(self, messages: Iterable[str]) -> None:
        self.messages = tuple(messages)
        super().__init__("\n".join(self.messages))


def key_of(*parts: Any) -> str:
    """The key of a message: its parts joined by dots, without control characters (a bad name is a part of it)."""
    text = ".".join(str(one) for one in parts)
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def shown(value: Any) -> str:
    """A value as a message shows it: on one line, and not endless."""
    text = _CREDENTIALS.sub("://…@", repr(str(value) if isinstance(value, str) else value))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` did you mean 'x'?`` with a leading blank, or "" when nothing is near."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.65)
    return f" did you mean {near[0]!r}?" if near else ""


class Problems:
    """Collects messages, so that an operator sees all of them at once."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def add(self, key: str, value: Any, rule: str) -> None:
        """``value`` of ``key`` breaks ``rule``."""
        self.messages.append(f"{key_of(key)}: {shown(value)}: {rule}")

    def lacking(self, key: str, rule: str) -> None:
        """``key`` breaks ``rule`` by not being there, or by being there: its value does not matter."""
        self.messages.append(f"{key_of(key)}: {rule}")

    def unknown(self, key: str, value: str, what: str, known: Iterable[str], where: str = "") -> None:
        """``value`` should be the name of a ``what``, and there is none of that name."""
        names = sorted(known)
        hint = did_you_mean(value, names) or (f" known: {', '.join(names[:10])}" if names else " there are none")
        self.add(key, value, f"there is no {what} of this name{where};{hint}")

    def raise_if_any(self) -> None:
        """:raises PlanError: with all messages, if there are any."""
        if self.messages:
            raise PlanError(dict.fromkeys(self.messages))

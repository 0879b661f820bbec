"""The messages about an invalid inventory. Each has the form ``key: value: rule``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from itertools import islice
from typing import Any

_SHOWN = 120
_CREDENTIALS = re.compile(r"://[^/\s@]*@")


class Secret(str):
    """A text that messages do not show: its ``repr`` is an ellipsis."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "…"


class PlanError(Exception):
    """The inventory is refused. ``messages`` has a line (or a line and a table) for each reason."""

    def __init__(self, messages: Iterable[str]) -> None:
        self.messages = tuple(messages)
        super().__init__("\n".join(self.messages))


def key_of(*parts: Any) -> str:
    """Return the key of a message: its parts joined by dots. Control characters are replaced, as a part can be an
    invalid name."""
    text = ".".join(str(part) for part in parts)
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def shown(value: Any) -> str:
    """Return a value as a message shows it: on one line, shortened to 120 characters, without credentials and
    secrets."""
    text = repr(str(value) if isinstance(value, str) and not isinstance(value, Secret) else value)
    text = _CREDENTIALS.sub("://…@", text)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def some(names: Collection[str], most: int = 5) -> str:
    """Return names in words, at most ``most`` of them: ``a, b and 7 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(islice(names, most)) + more


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` did you mean 'x'?`` with a leading blank; "" if no known word is similar."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.65)
    return f" did you mean {near[0]!r}?" if near else ""


class Problems:
    """Collects messages, so that an operator sees all messages of a check at once."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def add(self, key: str, value: Any, rule: str) -> None:
        """Add the message that ``value`` of ``key`` breaks ``rule``."""
        self.messages.append(f"{key_of(key)}: {shown(value)}: {rule}")

    def lacking(self, key: str, rule: str) -> None:
        """Add the message that ``key`` breaks ``rule``, without a value: the key is missing, or it must not be set."""
        self.messages.append(f"{key_of(key)}: {rule}")

    def unknown(self, key: str, value: str, what: str, known: Iterable[str], where: str = "") -> None:
        """Add the message that no ``what`` has the name ``value``."""
        names = sorted(known)
        hint = did_you_mean(value, names) or (f" known: {', '.join(names[:10])}" if names else " there are none")
        self.add(key, value, f"there is no {what} of this name{where};{hint}")

    def raise_if_any(self) -> None:
        """:raises PlanError: with all messages, if there are any."""
        if self.messages:
            raise PlanError(dict.fromkeys(self.messages))

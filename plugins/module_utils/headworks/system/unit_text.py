"""Commands, paths and names in the text of unit files, quoted for systemd.

What does not belong here: installing and starting units (``systemd.py``), and the units themselves (``node/``).
"""

from __future__ import annotations

from collections.abc import Sequence

Command = Sequence[str]


def exec_lines(commands: Sequence[Command]) -> str:
    """Return the commands as lines ``ExecStart=-``: a command that fails does not stop the next one."""
    return "\n".join(f"ExecStart=-{exec_line(command)}" for command in commands)


def exec_line(command: Command) -> str:
    """Return a command as the value of ``ExecStart=``."""
    return " ".join(_quoted(word) for word in command)


def unit_part(name: str) -> str:
    """Return a name as part of a unit's name: other characters are written as systemd-escape writes them."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "-_.:") else _hex(char) for char in name)


def escaped(text: str) -> str:
    """Return a text in which systemd finds no specifier."""
    return text.replace("%", "%%")


def _hex(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode())


def _quoted(word: str) -> str:
    text = escaped(word).replace("$", "$$")
    if text and all(char not in text for char in " \t\"';\\"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

"""The reference of the variables as commented-out YAML: the files of ``group_vars/all``.

A line of text begins with ``## ``. A line of a variable begins with ``# ``: without these two characters, it is YAML
that an inventory may contain.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from ...model.describe import DictOf, Entry, ListOf, Nested, Shape, entries, innermost, variables
from .words import default_of, flow, kind_of

WIDTH = 120
_SETS = {
    "cloud": "the cloud; they hold for the whole cloud, so give them to group all",
    "node": "nodes; give them to a host, to a group of hosts, or to group all",
    "instance": "instances; give them to an instance, or to a group of instances, which makes the group a template",
}
_HEADER = """\
Reference of the variables of {sets}. Generated from the models by scripts/reference: do not edit.

Every line is a comment, so this file sets nothing. Copy what you need into your inventory, for example into its
group_vars/all/{prefix}.yml. Do not set variables in this file: Ansible ranks group_vars/all beside a playbook above the
group_vars/all of every inventory.

NAME stands for a name that you choose: a letter or digit, then letters, digits, "_", "." or "-", at most 63 characters.
"""


def text(prefix: str) -> str:
    """The content of the file for the variables with a prefix (cloud, node, instance)."""
    header = _HEADER.format(sets=_SETS[prefix], prefix=prefix)
    lines = ["---"]
    for paragraph in header.split("\n\n"):
        lines += [*(f"#{line}" for line in _comment(" ".join(paragraph.split()), 1)), "##"]
    lines.pop()
    for entry in variables(prefix):
        lines += ["", *(f"#{line}" for line in _explain(entry, 1)), *(f"# {line}" for line in _value(entry))]
    return "\n".join(lines) + "\n"


def _explain(entry: Entry, indent: int = 0) -> list[str]:
    """The description, the type and the default of a field, as comments."""
    facts = [f"Type: {kind_of(entry.shape)}", f"Default: {default_of(entry)}"]
    if entry.required:
        facts[1] = "Required"
    elif entry.examples and not entry.unset:
        facts.append(f"Example: {flow(entry.examples[0])}")
    return _comment(entry.description, indent) + _comment(". ".join(facts) + ".", indent)


def _comment(words: str, indent: int = 0) -> list[str]:
    lines = textwrap.wrap(words, WIDTH - 2 - indent, break_long_words=False, break_on_hyphens=False)
    return [f"# {line}" for line in lines]


def _value(entry: Entry, indent: int = 0) -> list[str]:
    """``name: value``, or ``name:`` and the fields of the nested model."""
    if isinstance(innermost(entry.shape), Nested):
        return [f"{entry.name}:", *_indented(_nested(entry.shape, indent + 2))]
    return [f"{entry.name}: {flow(_sample(entry))}"]


def _sample(entry: Entry) -> Any:
    if entry.required or entry.unset:
        return entry.examples[0]
    return entry.default


def _nested(shape: Shape, indent: int) -> list[str]:
    """The fields of a nested model, below the key of a dictionary or as an item of a list."""
    if isinstance(shape, DictOf):
        return [f"{shape.key.kind.example}:", *_indented(_nested(shape.value, indent + 2))]
    if isinstance(shape, ListOf):
        return _as_item(_nested(shape.item, indent + 2))
    assert isinstance(shape, Nested)
    # The "# " at the beginning of the line takes two more columns.
    fields = entries(shape.model)
    return [line for entry in fields for line in (*_explain(entry, indent + 2), *_value(entry, indent))]


def _as_item(lines: list[str]) -> list[str]:
    """The lines of a dictionary as an item of a list. The comment of the first key stays above the dash."""
    first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    return [*lines[:first], f"- {lines[first]}", *_indented(lines[first + 1 :])]


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]

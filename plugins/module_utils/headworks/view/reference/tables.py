"""The generated tables of variables and fields in pages of ``docs``. The prose around the tables is written by hand.

A marker names the subject of a table: ``<!-- generated: cloud variables -->``, ``<!-- generated: network -->``. The
table ends at ``<!-- end -->``. If no page has a table of a nested model, the table of the model above has its fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from ...model.base import Model
from ...model.describe import DictOf, Entry, ListOf, Nested, Shape, entries, variables
from ...model.inventory import MODELS
from .words import TITLES, default_of, flow, kind_of

_MARKER = re.compile(r"(<!-- generated: ([^>]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
# Subject, as markers name it → the fields of its table.
SUBJECTS: dict[str, Callable[[], tuple[Entry, ...]]] = {
    **{f"{prefix} variables": lambda prefix=prefix: variables(prefix) for prefix in MODELS},  # type: ignore[misc]
    **{title: lambda model=model: entries(model) for model, title in TITLES.items()},  # type: ignore[misc]
}


def filled(pages: Mapping[str, str]) -> dict[str, str]:
    """The pages (name → text) with every table filled in from the models.

    :raises KeyError: a marker names an unknown subject.
    """
    places = {subject: place for name, text in pages.items() for subject, place in _places(name, text)}

    def page(name: str, text: str) -> str:
        def link(model: type[Model]) -> str:
            title = TITLES[model]
            target, _, anchor = places.get(title, "").partition("#")
            return f"[{title}]({'' if target == name else target}#{anchor})" if target else title

        return _MARKER.sub(lambda match: match[1] + _table(match[2], places, link) + match[3], text)

    return {name: page(name, text) for name, text in pages.items()}


def _places(name: str, text: str) -> Iterator[tuple[str, str]]:
    """The subject of each table of a page, and the link to the heading above the table: ``page.md#a-network``."""
    for match in _MARKER.finditer(text):
        heading = _HEADING.findall(text[: match.start()])[-1]
        yield match[2], f"{name}#{re.sub(r'[^a-z0-9_ -]', '', heading.lower()).replace(' ', '-')}"


def _table(subject: str, places: Mapping[str, str], link: Callable[[type[Model]], str]) -> str:
    what = "Variable" if subject.endswith(" variables") else "Field"
    head = [f"| {what} | Type | Default | Meaning |", "|---|---|---|---|"]
    return "\n".join(["", *head, *_rows(SUBJECTS[subject](), "", places, link), "", ""])


def _rows(
    fields: Iterable[Entry], above: str, places: Mapping[str, str], link: Callable[[type[Model]], str]
) -> Iterator[str]:
    for entry in fields:
        default = default_of(entry)
        if not entry.required and not entry.unset:
            default = f"`{default}`"
        kind = kind_of(entry.shape, lambda value: f"`{flow(value)}`", link)
        cells = (f"`{above}{entry.name}`", kind, default, entry.description)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        path, shape = _below(entry.shape)
        if isinstance(shape, Nested) and TITLES[shape.model] not in places:
            yield from _rows(entries(shape.model), f"{above}{entry.name}{path}.", places, link)


def _below(shape: Shape) -> tuple[str, Shape]:
    """The shape inside the lists and dictionaries of a value, and the path to it: ``[]`` or ``.NAME`` for each."""
    path = ""
    while isinstance(shape, (ListOf, DictOf)):
        path += "[]" if isinstance(shape, ListOf) else f".{shape.key.kind.example}"
        shape = shape.item if isinstance(shape, ListOf) else shape.value
    return path, shape

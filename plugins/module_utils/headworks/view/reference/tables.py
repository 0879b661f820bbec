"""Tables of variables and fields in pages of ``docs``, between markers; the prose around them is written by hand.

A marker names what the table is about: ``<!-- generated: cloud variables -->``, ``<!-- generated: network -->``. The
table ends at ``<!-- end -->``. A nested model that has no table of its own on any page has its fields in the table of
the model above it.
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
# What there is to tell, by the words of its marker.
SUBJECTS: dict[str, Callable[[], tuple[Entry, ...]]] = {
    **{f"{prefix} variables": lambda prefix=prefix: variables(prefix) for prefix in MODELS},  # type: ignore[misc]
    **{title: lambda model=model: entries(model) for model, title in TITLES.items()},  # type: ignore[misc]
}


def filled(pages: Mapping[str, str]) -> dict[str, str]:
    """Pages (name → text) with every table as the models are now.

    :raises KeyError: a marker names nothing that there is.
    """
    places = {subject: place for name, text in pages.items() for subject, place in _places(name, text)}

    def page(name: str, text: str) -> str:
        def link(model: type[Model]) -> str:
            title = TITLES[model]
            there, _, anchor = places.get(title, "").partition("#")
            return f"[{title}]({'' if there == name else there}#{anchor})" if there else title

        return _MARKER.sub(lambda found: found[1] + _table(found[2], places, link) + found[3], text)

    return {name: page(name, text) for name, text in pages.items()}


def _places(name: str, text: str) -> Iterator[tuple[str, str]]:
    """The subjects of a page's tables, and the address of the heading above each: ``page.md#a-network``."""
    for found in _MARKER.finditer(text):
        heading = _HEADING.findall(text[: found.start()])[-1]
        yield found[2], f"{name}#{re.sub(r'[^a-z0-9_ -]', '', heading.lower()).replace(' ', '-')}"


def _table(subject: str, places: Mapping[str, str], link: Callable[[type[Model]], str]) -> str:
    what = "Variable" if subject.endswith(" variables") else "Field"
    head = [f"| {what} | Type | Default | Meaning |", "|---|---|---|---|"]
    return "\n".join(["", *head, *_rows(SUBJECTS[subject](), "", places, link), "", ""])


def _rows(
    found: Iterable[Entry], above: str, places: Mapping[str, str], link: Callable[[type[Model]], str]
) -> Iterator[str]:
    for entry in found:
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
    """What the lists and dictionaries of a value hold, and the way there: ``[]`` or ``.NAME``."""
    path = ""
    while isinstance(shape, (ListOf, DictOf)):
        path += "[]" if isinstance(shape, ListOf) else f".{shape.key.kind.example}"
        shape = shape.item if isinstance(shape, ListOf) else shape.value
    return path, shape

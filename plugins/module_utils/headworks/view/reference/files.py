"""The list of files that are generated from the models, and their content."""

from __future__ import annotations

from pathlib import Path

from ...model.inventory import MODELS
from . import group_vars, schema, tables

PAGES = ("docs/reference.md", "docs/reference-networks.md")
SCHEMA = "docs/inventory.schema.json"


def generated(pages: dict[str, str]) -> dict[str, str]:
    """Path → content of every generated file. ``pages`` holds the present texts of the pages with tables, by name."""
    return {
        **{f"group_vars/all/{prefix}.yml": group_vars.text(prefix) for prefix in MODELS},
        **{f"docs/{name}": text for name, text in tables.filled(pages).items()},
        SCHEMA: schema.text(),
    }


def current(top: Path) -> dict[str, str]:
    """Path → content of every generated file, for the pages of the checkout ``top``."""
    return generated({Path(page).name: (top / page).read_text() for page in PAGES})

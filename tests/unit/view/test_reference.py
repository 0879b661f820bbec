"""The generated reference against the models: every field is in it, and every generated file is up to date.

The tests walk the models in another way than the generator, so that the generator cannot hide a field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from headworks.model.base import Model
from headworks.model.cloud import AllocationsModel, CloudModel, RunModel
from headworks.model.compute import InstanceModel
from headworks.model.node import NodeModel
from headworks.view.reference.files import PAGES, current
from headworks.view.reference.tables import filled
from headworks.view.reference.words import TITLES, flow

TOP = Path(__file__).parents[3]
VARIABLES: dict[str, tuple[type[Model], ...]] = {
    "cloud": (CloudModel, AllocationsModel, RunModel),
    "node": (NodeModel,),
    "instance": (InstanceModel,),
}


def models_in(annotation: Any) -> Iterator[type[Model]]:
    """The models that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def every_model() -> list[type[Model]]:
    """All models of an operator's variables, including the nested models."""
    every = [model for models in VARIABLES.values() for model in models]
    for model in every:  # the list grows during the loop
        for info in model.model_fields.values():
            every += [nested for nested in models_in(info.annotation) if nested not in every]
    return every


def uncommented(kind: str) -> str:
    """The content of a file of group_vars with its variables uncommented."""
    lines = (TOP / f"group_vars/all/{kind}.yml").read_text().splitlines()
    return "\n".join(line.removeprefix("# ") for line in lines if line.startswith("# "))


def tables() -> list[list[str]]:
    """The rows of all generated tables, each row as a list of its cells."""
    text = "\n".join((TOP / page).read_text() for page in PAGES)
    return [row[2:-2].split(" | ") for row in text.splitlines() if row.startswith("| `")]


def test_every_generated_file_is_up_to_date() -> None:
    stale = [path for path, text in current(TOP).items() if (TOP / path).read_text() != text]
    assert stale == [], "run scripts/reference"


@pytest.mark.parametrize("model", every_model(), ids=lambda model: model.__name__)
def test_every_field_has_a_description(model: type[Model]) -> None:
    descriptions = {name: info.description or "" for name, info in model.model_fields.items()}
    assert [name for name, text in descriptions.items() if not re.fullmatch(r"[A-Z].{9,}[.]", text)] == []


@pytest.mark.parametrize("model", every_model(), ids=lambda model: model.__name__)
def test_every_required_field_has_an_example(model: type[Model]) -> None:
    required = {name: info.examples for name, info in model.model_fields.items() if info.is_required()}
    assert [name for name, examples in required.items() if not examples] == []


@pytest.mark.parametrize("path", sorted((TOP / "group_vars/all").iterdir()), ids=lambda path: path.name)
def test_a_file_of_group_vars_sets_nothing(path: Path) -> None:
    assert yaml.safe_load(path.read_text()) is None


def fields_of_an_entry(value: Any, model: type[Model]) -> dict[str, Any]:
    """The dictionary with the fields of ``model`` inside lists and dictionaries with other keys."""
    while isinstance(value, list) or not set(value) & set(model.model_fields):
        (value,) = value if isinstance(value, list) else value.values()
    return dict(value)


def assert_has_fields(model: type[Model], fields: dict[str, Any], where: str) -> None:
    """Fail unless ``fields`` has every field of ``model`` with its default, and the fields of its nested models."""
    assert set(fields) >= set(model.model_fields), where
    for name, info in model.model_fields.items():
        key, value = f"{where}.{name}", fields[name]
        below = list(models_in(info.annotation))
        default = info.get_default(call_default_factory=True)
        if below:
            assert_has_fields(below[0], fields_of_an_entry(value, below[0]), key)
        elif info.is_required() or key.endswith("subnets.gateway_ip"):  # its null differs from an absent gateway_ip
            assert value is not None, key
        else:
            assert value == (f"{default[0]}:{default[1]}" if isinstance(default, tuple) else default), key


@pytest.mark.parametrize("kind", VARIABLES)
def test_every_variable_and_every_nested_field_is_in_group_vars_with_its_default(kind: str) -> None:
    variables = yaml.safe_load(uncommented(kind))
    assert {name.partition("_")[0] for name in variables} == {kind}
    for model in VARIABLES[kind]:
        assert_has_fields(model, {name.removeprefix(f"{kind}_"): value for name, value in variables.items()}, kind)
    assert len(variables) == sum(len(model.model_fields) for model in VARIABLES[kind])


@pytest.mark.parametrize("kind", VARIABLES)
def test_every_variable_and_field_has_a_comment_above_it_with_type_and_default(kind: str) -> None:
    bare, comment = [], ""
    for line in (TOP / f"group_vars/all/{kind}.yml").read_text().splitlines():
        if re.match("#(# | +# )", line):
            comment += line
            continue
        is_field = re.match("# +(- )?[a-z_]+:", line)
        if is_field and not re.search(r"[.] *Type: .*([.] Default: .*|Required)[.]", comment.replace("#", "")):
            bare.append(line)
        comment = ""
    assert bare == []


def test_every_field_is_in_a_table_with_its_description() -> None:
    rows = {(re.split(r"[.\]`]+", cells[0].strip("`"))[-1], cells[3].replace("\\|", "|")) for cells in tables()}
    named = {(f"{kind}_{name}", info.description) for kind, models in VARIABLES.items() for model in models
             for name, info in model.model_fields.items()}  # fmt: skip
    tops = [model for models in VARIABLES.values() for model in models]
    nested = {(name, info.description) for model in every_model() if model not in tops
              for name, info in model.model_fields.items()}  # fmt: skip
    assert (named | nested) - rows == set()


def test_every_model_has_a_title() -> None:
    tops = {model for models in VARIABLES.values() for model in models}
    assert set(TITLES) == set(every_model()) - tops
    assert len(set(TITLES.values())) == len(TITLES)


def test_a_page_keeps_its_prose_and_links_to_tables_of_other_pages() -> None:
    first = "# One\n\nProse.\n\n<!-- generated: router -->\nold\n<!-- end -->\n\nMore prose.\n"
    second = "## A route, or two\n\n<!-- generated: route -->\n<!-- end -->\n"
    pages = filled({"one.md": first, "two.md": second})
    assert pages["one.md"].startswith("# One\n\nProse.\n\n<!-- generated: router -->\n\n| Field | Type |")
    assert pages["one.md"].endswith(" |\n\n<!-- end -->\n\nMore prose.\n")
    assert "list of [route](two.md#a-route-or-two)" in pages["one.md"]
    assert "old" not in pages["one.md"]
    assert "`interfaces[].network`" in pages["one.md"]  # no page has a table of router interfaces
    assert "`routes[].nexthop`" not in pages["one.md"]  # two.md has a table of routes
    assert filled(pages) == pages


def test_a_marker_with_an_unknown_subject_is_an_error() -> None:
    with pytest.raises(KeyError):
        filled({"one.md": "# One\n<!-- generated: nothing -->\n<!-- end -->\n"})


@pytest.mark.parametrize(
    "value",
    ["yes", "null", "", "1:5", "1.5", "8", "a: b", "# x", "- x", "{a}", "x y", "10.0.0.0/24", "m1.small", None, True, 4,
     [1, "on"], {"a": ["1:2"], "no": None}],
)  # fmt: skip
def test_yaml_reads_the_text_of_a_value_as_the_same_value(value: Any) -> None:
    assert yaml.safe_load(flow(value)) == value

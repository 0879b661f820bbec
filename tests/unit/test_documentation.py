"""The documentation against the code: links lead somewhere, every variable and every module is in it.

Whether what it says is true is not tested here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible.parsing.plugin_docs import read_docstring
from headworks.engine.order import ORDER
from headworks.model.cloud import CloudModel
from headworks.model.compute import FlavorModel, ImageModel, InstanceModel, NicModel
from headworks.model.network import FloatingIpModel, NetworkModel, RouterModel, SubnetModel
from headworks.model.node import NodeModel

TOP = Path(__file__).parents[2]
DOCS = TOP / "docs"
PAGES = [TOP / "README.md", *sorted(DOCS.glob("*.md"))]
MODULES = sorted(path for path in (TOP / "library").glob("*.py"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    """Where the links and pictures of a page lead, those to other sites left out."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    return [one for one in found if "://" not in one]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_a_heading_of_it(page: Path) -> None:
    dead = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_is_short_enough_to_be_read(page: Path) -> None:
    assert len(page.read_text().splitlines()) <= 260


@pytest.mark.parametrize(
    ("model", "prefix"), [(CloudModel, "cloud_"), (NodeModel, "node_"), (InstanceModel, "instance_")]
)
def test_every_variable_is_explained(model: type[CloudModel], prefix: str) -> None:
    text = (DOCS / "inventory.md").read_text()
    assert {name for name in model.model_fields if f"`{prefix}{name}`" not in text} == set()


@pytest.mark.parametrize(
    ("model", "heading"),
    [(NetworkModel, "A network"), (SubnetModel, "A subnet"), (RouterModel, "A router")],
)
def test_every_field_is_explained_below_its_heading(model: type[NetworkModel], heading: str) -> None:
    section = (DOCS / "inventory.md").read_text().split(f"### {heading}\n")[1].split("\n#")[0]
    assert {name for name in model.model_fields if f"`{name}`" not in section} == set()


@pytest.mark.parametrize("model", [FlavorModel, ImageModel, NicModel, FloatingIpModel])
def test_every_field_of_the_smaller_things_is_named(model: type[FlavorModel]) -> None:
    text = (DOCS / "inventory.md").read_text()
    assert {name for name in model.model_fields if not re.search(rf"\b{name}\b", text)} == set()


def test_every_section_of_a_node_state_is_explained() -> None:
    text = (DOCS / "how-it-works.md").read_text()
    assert {name for name, _ in ORDER if f"`{name}`" not in text} == set()


def test_every_path_on_a_node_is_one_that_the_code_uses() -> None:
    table = (DOCS / "on-a-node.md").read_text().split("## Files and units\n")[1].split("\n## ")[0]
    paths = re.findall(r"`(/[^`]+?)/?`", table)
    code = "".join(file.read_text() for file in (TOP / "plugins/module_utils/headworks").rglob("*.py"))
    assert len(paths) > 5
    for path in map(Path, paths):
        assert f'"{path}"' in code or (f'"{path.parent}"' in code and f'"{path.name}"' in code), path


def test_every_module_is_listed() -> None:
    text = (DOCS / "modules.md").read_text()
    assert {path.stem for path in MODULES if f"| `{path.stem}` |" not in text} == set()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_ansible_doc_can_read_a_module(module: Path) -> None:
    found = read_docstring(str(module), verbose=False, ignore_errors=False)
    assert found["doc"]["module"] == module.stem
    assert found["doc"]["short_description"]
    assert found["returndocs"] is None or isinstance(found["returndocs"], dict)
    yaml.safe_load(found["plainexamples"] or "")


def test_the_readme_shows_the_smallest_example_as_it_is() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", (TOP / "README.md").read_text(), re.DOTALL)
    assert yaml.safe_load(shown) == yaml.safe_load((TOP / "inventory/examples/all-in-one/hosts.yml").read_text())

"""The documentation against the code: links lead somewhere, every variable and every module is in it.

Whether what it says is true is not tested here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from ansible.parsing.plugin_docs import read_docstring
from headworks.engine.doors import KEPT_DOCUMENT
from headworks.engine.order import ORDER
from headworks.state.document import SECTIONS, VERSION
from headworks.wiring.firewall.interface import Stage
from headworks.wiring.mechanism.openvswitch import flows_tun, pipeline

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
    return [target for target in found if "://" not in target]


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


def test_every_section_of_a_node_state_is_explained() -> None:
    text = (DOCS / "how-it-works.md").read_text()
    assert {name for name, _ in ORDER if f"`{name}`" not in text} == set()


@pytest.mark.parametrize(
    ("bridge", "tables"),
    [
        ("br-int", {value.table for value in vars(pipeline).values() if isinstance(value, Stage)}),
        (
            "br-tun",
            {flows_tun.SORT, flows_tun.FROM_INT, *flows_tun.FROM_TUNNEL.values()}
            | {flows_tun.LEARN, flows_tun.UNICAST, flows_tun.ARP, flows_tun.FLOOD, flows_tun.DISCOVERY},
        ),
    ],
)
def test_every_flow_table_is_explained(bridge: str, tables: set[int]) -> None:
    described = (DOCS / "on-a-node.md").read_text().split(f"| {bridge} | For |\n")[1].split("\n\n")[0]
    cells = re.findall(r"^\| ([\d, ]+) \|", described, re.MULTILINE)
    assert sorted(int(number) for cell in cells for number in cell.split(",")) == sorted(tables)


def test_every_path_on_a_node_is_one_that_the_code_uses() -> None:
    table = (DOCS / "on-a-node.md").read_text().split("## Files and units\n")[1].split("\n## ")[0]
    paths = re.findall(r"`(/[^`]+?)/?`", table)
    code = "".join(file.read_text() for file in (TOP / "plugins/module_utils/headworks").rglob("*.py"))
    assert len(paths) > 5
    for path in map(Path, paths):
        assert f'"{path}"' in code or (f'"{path.parent}"' in code and f'"{path.name}"' in code), path


def test_the_command_that_empties_a_node_keeps_the_state_and_empties_every_section(tmp_path: Path) -> None:
    (script,) = re.findall(r"python3 -c '(.*?)' > empty\.json", (DOCS / "inventory.md").read_text(), re.DOTALL)
    assert str(KEPT_DOCUMENT) in script
    state = {"version": VERSION, "cloud": "lab", "distribution": {"nginx_user": "www-data"}}
    kept = tmp_path / "node-state.json"
    kept.write_text(json.dumps({**state, "sections": {name: [{"name": "x"}] for name in SECTIONS}}))
    script = textwrap.dedent("       " + script).replace(str(KEPT_DOCUMENT), str(kept))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {**state, "sections": {name: [] for name in SECTIONS}}


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

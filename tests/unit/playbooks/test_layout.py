"""Playbooks, roles and defaults are consistent, as far as a check without a node can tell."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from headworks.model.cloud import CloudModel
from headworks.model.compute import InstanceModel
from headworks.model.node import NodeModel

TOP = Path(__file__).parents[3]
PLAYBOOKS = [TOP / "site.yml", *sorted((TOP / "playbooks").glob("*.yml"))]
ROLES = sorted(path for path in (TOP / "roles").iterdir() if path.is_dir())
MODELS: dict[str, Any] = {"cloud": CloudModel, "node": NodeModel, "instance": InstanceModel}
# Said in other words in the inventory than the model has them, or steering only the playbooks.
ELSEWHERE = {"cloud_name", "cloud_allocations_file", "cloud_tunnel_id_range", "node_tunnel_ip"}


def defaults(kind: str) -> dict[str, Any]:
    """The variables of a file of group_vars/all."""
    return dict(yaml.safe_load((TOP / "group_vars" / "all" / f"{kind}.yml").read_text()))


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.name)
def test_every_playbook_passes_the_syntax_check(playbook: Path) -> None:
    command = [Path(sys.executable).with_name("ansible-playbook"), "--syntax-check", "-i", "inventory/lab", playbook]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", MODELS)
def test_every_variable_has_its_default_in_group_vars_and_it_is_the_models(kind: str) -> None:
    model, said = MODELS[kind], defaults(kind)
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    wanted = {f"{kind}_{name}" for name in set(model.model_fields) - required}
    assert wanted - set(said) == set()
    assert set(said) - wanted <= ELSEWHERE
    for name in wanted - ELSEWHERE:
        field = model.model_fields[name.removeprefix(f"{kind}_")]
        assert said[name] == field.get_default(call_default_factory=True), name


@pytest.mark.parametrize("kind", [*MODELS, "roles"])
def test_every_default_has_a_comment_above_it(kind: str) -> None:
    lines = (TOP / "group_vars" / "all" / f"{kind}.yml").read_text().splitlines()
    bare = [line for above, line in pairwise(lines) if re.match(r"\w+:", line) and above[:1] != "#"]
    assert bare == []


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_every_entry_point_of_a_role_has_an_argument_spec(role: Path) -> None:
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    included = {
        name for path in (role / "tasks").glob("*.yml") for name in re.findall(r"_tasks: (\S+)\.yml", path.read_text())
    }
    assert set(specs) == {path.stem for path in (role / "tasks").glob("*.yml")} - included
    assert all(spec["short_description"] for spec in specs.values())


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_argument_specs_list_the_variables_of_other_roles_that_a_role_uses(role: Path) -> None:
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    for tasks in (role / "tasks").glob("*.yml"):
        used = set(re.findall(r"\b(?:common|prechecks)_[a-z_]+", tasks.read_text()))
        own = {name for name in used if name.startswith(f"{role.name}_") and f"register: {name}" in tasks.read_text()}
        assert used - own <= set(specs.get(tasks.stem, {}).get("options", {})), tasks


def test_there_is_one_file_for_each_distribution_and_lists_are_plain() -> None:
    files = [path.relative_to(TOP / "roles") for role in ROLES for path in (role / "vars").glob("debian*")]
    assert [str(path) for path in files] == ["common/vars/debian.yml"]
    for name, value in yaml.safe_load((TOP / "roles/common/vars/debian.yml").read_text()).items():
        if name.endswith("_packages"):
            assert value == sorted(value), name

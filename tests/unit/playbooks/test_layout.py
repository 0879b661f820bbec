"""Playbooks, roles and ansible.cfg are consistent, as far as a check without a node can tell.

The reference in group_vars is tested in ``tests/unit/view/test_reference.py``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml
from ansible.parsing.plugin_docs import read_docstring
from distributions import DEBIAN
from headworks.plan.build import STORE_CA
from headworks.state.codec import encode
from jinja2 import Environment

TOP = Path(__file__).parents[3]
PLAYBOOKS = [TOP / "site.yml", *sorted((TOP / "playbooks").glob("*.yml"))]
ROLES = sorted(path for path in (TOP / "roles").iterdir() if path.is_dir())


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.name)
def test_every_playbook_passes_the_syntax_check(playbook: Path) -> None:
    command = [Path(sys.executable).with_name("ansible-playbook"), "--syntax-check", "-i", "inventory/lab", playbook]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_ansible_cfg_names_only_existing_paths() -> None:
    configuration = ConfigParser(interpolation=None)
    configuration.read(TOP / "ansible.cfg")
    settings = configuration["defaults"]
    paths = {
        name: value for name, value in settings.items()
        if name in ("inventory", "library", "module_utils") or name.endswith(("_plugins", "_path"))
    }  # fmt: skip
    assert len(paths) >= 6
    assert {name for name, value in paths.items() for path in value.split(":") if not (TOP / path).exists()} == set()


def test_ansible_cfg_does_not_change_the_precedence_of_variables() -> None:
    assert "precedence" not in (TOP / "ansible.cfg").read_text()


def test_site_uses_the_path_of_the_certificate_that_the_plan_uses() -> None:
    prechecks, _, converge = yaml.safe_load((TOP / "site.yml").read_text())
    assert prechecks["tasks"][0]["vars"]["prechecks_files"] == [STORE_CA]
    assert converge["vars"]["store_ca_file"] == STORE_CA


@pytest.mark.parametrize("path", sorted((TOP / "roles/common/vars").iterdir()), ids=lambda path: path.name)
def test_the_variables_of_a_distribution_name_the_distribution(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["common_distribution"] == path.stem


@pytest.mark.parametrize(("setting", "chosen"), [("", "debian"), ("common_distribution: other", "other")])
def test_an_inventory_chooses_the_variables_of_its_distribution(tmp_path: Path, setting: str, chosen: str) -> None:
    (tmp_path / "roles/common/vars").mkdir(parents=True)
    for name in ("debian", "other"):
        (tmp_path / f"roles/common/vars/{name}.yml").write_text(f"common_distribution: {name}\nfrom_file: {name}\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/all.yml").write_text(setting)
    (tmp_path / "hosts").write_text("localhost ansible_connection=local\n")
    play = yaml.safe_load((TOP / "site.yml").read_text())[0]
    message = {"debug": {"msg": "{{ common_distribution }} by {{ from_file }}"}}
    changed = {"hosts": "all", "gather_facts": False, "vars_files": play["vars_files"], "tasks": [message]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([changed]))
    (tmp_path / "empty.cfg").touch()
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "hosts", "play.yml"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(tmp_path / "empty.cfg")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert f'"{chosen} by {chosen}"' in done.stdout, done.stdout + done.stderr


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


def test_each_distribution_has_a_single_file_with_sorted_lists_of_packages() -> None:
    files = [path.relative_to(TOP / "roles") for role in ROLES for path in (role / "vars").glob("debian*")]
    assert [str(path) for path in files] == ["common/vars/debian.yml"]
    for name, value in yaml.safe_load((TOP / "roles/common/vars/debian.yml").read_text()).items():
        if name.endswith("_packages"):
            assert value == sorted(value), name


def test_the_engine_gets_the_names_of_the_distribution() -> None:
    variables = yaml.safe_load((TOP / "roles/common/vars/debian.yml").read_text())
    said = variables["common_distribution_names"]
    assert {name: Environment().from_string(text).render(variables) for name, text in said.items()} == encode(DEBIAN)
    documented = yaml.safe_load(read_docstring(str(TOP / "library/cloud_converge.py"))["plainexamples"])
    assert documented[0]["cloud_converge"]["distribution"] == encode(DEBIAN)

"""Inventories that do not say what their author wrote are refused by a run, whatever the ansible.cfg."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_cloud_plan import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def refused(site: Site) -> str:
    """The output of a run without the checkout's ansible.cfg, which must be refused and write nothing."""
    kept = site.allocations.read_text() if site.allocations.exists() else None
    output, _ = site.run_without_ansible_cfg(ok=False)
    assert "The inventory is refused, and no node was touched:" in output
    assert (site.allocations.read_text() if site.allocations.exists() else None) == kept
    return output


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("instances.yml", "instances:\n  hosts:\n    vm1: {a: b\n    vm2:\n", "instances.yml: cannot be parsed: "),
        ("instances.yml", "", "instances.yml: is empty"),
        ("instances.yml", "null\n", "instances.yml: cannot be parsed as an inventory"),
        ("instances.yml", "instances:\n  host:\n    vm2: {}\n", "in part: Skipping unexpected key (host) in group"),
        ("instances.yml", "instances:\nhosts:\n  vm2:\n", "group hosts: is the name of a section"),
        ("instances.json", '{"instances":{"hosts":{"vm2":', "instances.json: cannot be parsed: "),
        ("instances.ini", "[instances]\nvm2 vm3\n", "instances.ini: cannot be parsed as an inventory"),
    ],
)
def test_a_file_that_is_not_read_in_whole_is_refused(site: Site, name: str, text: str, expected: str) -> None:
    (site.inventory / name).write_text(text)
    assert expected in refused(site)


@pytest.mark.parametrize(
    "script",
    [
        "#!/bin/sh\nexit 1\n",
        "#!/bin/sh\nfalse\n",
        "#!/bin/sh\necho '{\"instances\": {\"hosts\": [\"vm2\"'\n",
        "#!/no/such/interpreter\nx\n",
    ],
)
@pytest.mark.parametrize("mode", [0o755, 0o644])
def test_a_script_that_fails_is_refused(site: Site, script: str, mode: int) -> None:
    path = site.inventory / "cloud"
    path.write_text(script)
    path.chmod(mode)
    assert f"{path}: " in refused(site)


def test_a_script_that_answers_and_an_executable_yaml_file_are_sources(site: Site) -> None:
    path = site.inventory / "cloud"
    path.write_text("#!/bin/sh\necho '{\"instances\": {\"hosts\": [\"vm2\"]}, \"_meta\": {\"hostvars\": {}}}'\n")
    path.chmod(0o755)
    (site.inventory / "hosts.yml").chmod(0o755)
    assert "+ instance vm2" in site.run_without_ansible_cfg()[0]


def test_sources_on_the_command_line_that_are_no_sources_are_refused(site: Site) -> None:
    site.more = [site.home / "nope.yml"]
    assert "nope.yml: does not exist" in refused(site)
    site.more = [Path("hosts.yml,")]
    assert "-i hosts.yml,: Ansible takes this for a list of host names" in refused(site)
    site.more = [site.home / "empty"]
    site.more[0].mkdir()
    assert "empty: this directory has neither an inventory file" in refused(site)


def test_a_renamed_file_is_warned_of(site: Site) -> None:
    (site.inventory / "instances.yml.bak").write_text("instances:\n")
    assert "instances.yml.bak: Ansible ignores this file" in " ".join(site.run_without_ansible_cfg()[0].split())


def test_the_ansible_cfg_of_the_checkout_stops_at_a_file_that_cannot_be_parsed(site: Site) -> None:
    (site.inventory / "instances.yml").write_text("instances:\n  hosts: {vm1: {a: b\n")
    output, _ = site.run(ok=False)
    assert "Completely failed to parse inventory source" in output
    assert "PLAY [" not in output


def test_a_second_source_that_adds_only_variables_is_a_source(site: Site) -> None:
    more = site.home / "more"
    (more / "group_vars" / "all").mkdir(parents=True)
    (more / "group_vars" / "all" / "x.yml").write_text(json.dumps({"instance_metadata": {"a": "b"}}))
    site.more = [more]
    site.run_without_ansible_cfg()
    (more / "hosts.yml").write_text("all:\n")  # Ansible wants a file to parse in every source
    site.run()


def test_a_cloud_variable_of_a_group_of_nodes_or_instances_is_refused(site: Site) -> None:
    site.write("group_vars/compute.yml", {"cloud_name": "theirs"})
    site.write("group_vars/instances.yml", {"cloud_flavors": {}, "cloud_init_packages": ["vim"]})
    output = refused(site)
    assert "cloud_name: 'mine' on controller1, network1, 'theirs' on compute1 (group compute): must be" in output
    assert "cloud_flavors.m1: a dictionary of 2 on controller1, network1, compute1, not set on vm1 (group" in output
    assert "cloud_init_packages" not in output


def test_a_cloud_variable_that_depends_on_the_node_is_refused(site: Site) -> None:
    site.write("group_vars/all/more.yml", {"cloud_name": "{{ inventory_hostname }}"})
    assert "cloud_name: uses inventory_hostname, which differs: 'controller1' on controller1" in refused(site)


def test_a_limit_to_a_guest_fails_and_names_its_node(site: Site) -> None:
    site.run()
    output = " ".join(site.run("--limit", "vm1", ok=False)[0].split())
    assert "--limit vm1: selects no node, because vm1 is a guest on compute1. Nothing was done; use --limit" in output
    assert "PLAY RECAP" not in output


def test_a_limit_to_a_guest_finds_the_allocations_at_a_path_from_a_template(site: Site) -> None:
    site.write("group_vars/all/place.yml", {"cloud_allocations_file": "{{ inventory_dir }}/kept.json"})
    site.run()
    assert "vm1 is a guest on compute1" in " ".join(site.run("--limit", "instances", ok=False)[0].split())
    (site.inventory / "kept.json").write_text("{")
    assert "vm1 is a guest without a place yet" in " ".join(site.run("--limit", "vm1", ok=False)[0].split())


def test_an_inventory_without_nodes_fails(site: Site) -> None:
    site.write("hosts.yml", {"all": {"children": {"instances": {"hosts": {"vm1": {}}}}}})
    assert "The inventory has no node: no host is in the groups" in " ".join(site.run(ok=False)[0].split())

"""cloud_plan inside Ansible: real variables, the printed plan, the allocations file, and no secrets in the output.

The tests connect to no node: the plan runs on the control side, and the facts come from the inventory.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from headworks.model.cloud import AllocationsModel, CloudModel, RunModel
from headworks.model.compute import InstanceModel
from headworks.model.node import NodeModel

TOP = Path(__file__).parents[3]
SECRET = "correct horse battery staple"
PLAYBOOK = """
- hosts: controller:network:compute
  gather_facts: false
  tasks:
    - cloud_plan: {validate_only: "{{ only | default(false) }}", summary: true}
      run_once: true
      register: answer
    - cloud_begin:
      when: not only | default(false)
      run_once: true
      register: begun
    - debug: {msg: "answer={{ answer | combine({'changed': begun.changed}) | to_json }}"}
      run_once: true
"""


def node(address: str) -> dict[str, object]:
    """Variables of a node at ``address``, with the facts that node_facts would report."""
    nic = {"mac": "02:00:00:00:00:01", "mtu": 1500, "addresses": [f"{address}/24"]}
    facts = {"vcpus": 2, "ram_mb": 8000, "disk_gb": 100, "kvm": False, "nics": {"eth0": nic}}
    return {"ansible_host": address, "ansible_connection": "local", "prechecks_facts": {"facts": facts}}


HOSTS = {
    "all": {
        "children": {
            "controller": {"hosts": {"controller1": node("192.0.2.10")}},
            "network": {"hosts": {"network1": node("192.0.2.11")}},
            "compute": {"hosts": {"compute1": node("192.0.2.21")}},
            "instances": {
                "vars": {
                    "instance_flavor": "{{ small }}",
                    "instance_image": "tiny",
                    "instance_networks": ["web"],
                    "instance_user_data": f"#!/bin/sh\n# {SECRET} of {{{{ inventory_hostname }}}}\n",
                },
                "hosts": {"vm1": {}},
            },
        },
    }
}
CLOUD = {
    "cloud_name": "mine",
    "small": "m1",
    "cloud_flavors": {"m1": {"vcpus": 1, "ram_mb": 64}},
    "cloud_images": {"tiny": {"path": "{{ inventory_dir }}/tiny.img", "format": "raw"}},
    "cloud_networks": {"web": {"subnets": {"web": {"cidr": "10.0.0.0/24"}}}},
}
VARIABLES = [
    *(f"cloud_{name}" for name in (*CloudModel.model_fields, *AllocationsModel.model_fields, *RunModel.model_fields)),
    *(f"node_{name}" for name in NodeModel.model_fields),
    *(f"instance_{name}" for name in InstanceModel.model_fields),
]


class Site:
    """An inventory in its own directory, and runs of cloud_plan on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.inventory = home / "inventory"
        self.more: list[Path] = []
        self.allocations = self.inventory / "group_vars" / "all" / "allocations.yml"
        self.allocations.parent.mkdir(parents=True)
        # Beside the playbook, as in the checkout.
        (home / "group_vars").symlink_to(TOP / "group_vars")
        (home / "play.yml").write_text(PLAYBOOK)
        (home / "empty.cfg").touch()
        (self.inventory / "tiny.img").write_bytes(b"tiny")
        self.write("hosts.yml", HOSTS)
        self.write("group_vars/all/cloud.yml", CLOUD)

    def run_without_ansible_cfg(self, *options: str, ok: bool = True) -> tuple[str, dict[str, object]]:
        """As ``run``, but without the checkout's ansible.cfg, except for its paths of plugins."""
        plugins = {"ANSIBLE_ACTION_PLUGINS": str(TOP / "plugins/action"), "ANSIBLE_LIBRARY": str(TOP / "library")}
        return self.run(*options, ok=ok, ANSIBLE_CONFIG=str(self.home / "empty.cfg"), **plugins)

    def write(self, name: str, content: object) -> None:
        """Write a file of the inventory."""
        (self.inventory / name).write_text(json.dumps(content))

    def run(self, *options: str, ok: bool = True, **environment: str) -> tuple[str, dict[str, object]]:
        """The output of ansible-playbook, and the result of cloud_plan ({} if it failed)."""
        inventories = [option for source in (self.inventory, *self.more) for option in ("-i", str(source))]
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), *inventories, "play.yml", *options],
            cwd=self.home, capture_output=True, text=True, check=False,
            env={**os.environ, "ANSIBLE_CONFIG": str(TOP / "ansible.cfg"), "HEADWORKS_CACHE": str(self.home / "cache"),
                 "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", **environment},
        )  # fmt: skip
        output = done.stdout + done.stderr
        assert (done.returncode == 0) is ok, output
        answer = re.search(r'"msg": ("answer=.*")$', output, re.MULTILINE)
        return output, json.loads(json.loads(answer.group(1)).removeprefix("answer=")) if answer else {}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_run_shows_the_plan_and_writes_the_allocations_and_a_second_run_changes_nothing(site: Site) -> None:
    output, answer = site.run()
    assert "Plan of cloud mine:" in output
    assert "+ network web (vxlan 1, 10.0.0.0/24)" in output
    assert "+ instance vm1 (m1 on compute1, 10.0.0." in output
    assert answer["changed"] is True
    assert answer["store"] == "controller1"
    kept = site.allocations.read_text()
    assert json.loads(kept)["cloud_allocations"]["instances"]["vm1"]["node"] == "compute1"
    output, answer = site.run()
    assert "Plan of cloud mine: nothing to change" in output
    assert answer["changed"] is False
    assert site.allocations.read_text() == kept


def test_check_mode_shows_the_same_plan_and_writes_nothing(site: Site) -> None:
    _, dry = site.run("--check")
    assert not site.allocations.exists()
    _, real = site.run()
    assert dry["plan"] == real["plan"] != []
    assert dry["changed"] is real["changed"] is True


def test_validate_only_returns_the_summary_and_writes_and_shows_nothing(site: Site) -> None:
    output, answer = site.run("-e", "only=true")
    assert "Plan of cloud" not in output
    assert not site.allocations.exists()
    assert answer["changed"] is False
    assert answer["summary"]["guests"]["vm1"]["node"] == "network1"  # type: ignore[index]


def test_user_data_is_in_neither_the_output_nor_the_allocations(site: Site) -> None:
    output, _ = site.run("-vvvv", "--diff")
    assert SECRET not in output
    assert SECRET not in site.allocations.read_text()
    site.write("group_vars/all/cloud.yml", {**CLOUD, "cloud_flavors": {}})
    assert SECRET not in site.run("-vvvv", ok=False)[0]


def test_a_refusal_shows_every_reason_and_writes_nothing(site: Site) -> None:
    site.write("group_vars/all/cloud.yml", {**CLOUD, "cloud_flavors": {}, "cloud_netwroks": {}})
    output, _ = site.run(ok=False)
    assert "The inventory is refused, and no node was touched:" in output
    assert "cloud_netwroks: is not a known variable; did you mean 'cloud_networks'?" in output
    assert not site.allocations.exists()
    site.write("group_vars/all/cloud.yml", {**CLOUD, "cloud_flavors": {}})
    assert "instances.vm1.instance_flavor: 'm1': there is no flavor of this name" in site.run(ok=False)[0]


def test_a_second_inventory_adds_networks_and_instances_and_has_its_own_allocations(site: Site, tmp_path: Path) -> None:
    site.run()
    before = site.allocations.read_text()
    more = tmp_path / "more"
    (more / "group_vars" / "all").mkdir(parents=True)
    site.more.append(more)
    (more / "hosts.yml").write_text(json.dumps({"instances": {"hosts": {"vm2": {"instance_networks": ["db"]}}}}))
    addition = {"db": {"type": "geneve", "subnets": {"db": {"cidr": "10.1.0.0/24"}}}}
    settings = {"cloud_networks__more": addition, "cloud_allocations_file": "kept/here.json"}
    (more / "group_vars" / "all" / "x.yml").write_text(json.dumps(settings))
    _, answer = site.run()
    assert set(answer["summary"]["networks"]) == {"web", "db"}  # type: ignore[index]
    assert set(answer["summary"]["instances"]) == {"vm1", "vm2"}  # type: ignore[index]
    assert answer["allocations_file"] == str(more / "kept" / "here.json")
    assert (more / "kept" / "here.json").exists()
    assert site.allocations.read_text() == before


def test_a_host_that_is_node_and_instance_is_refused(site: Site) -> None:
    hosts = json.loads(json.dumps(HOSTS))
    hosts["all"]["children"]["instances"]["hosts"]["compute1"] = {}
    site.write("hosts.yml", hosts)
    assert "groups.instances: 'compute1': is also a node" in site.run(ok=False)[0]


def test_a_run_needs_neither_group_vars_beside_the_playbook_nor_ansible_cfg(site: Site) -> None:
    _, with_both = site.run("--check")
    (site.home / "group_vars").unlink()
    assert site.run_without_ansible_cfg("--check")[1] == with_both
    assert with_both["plan"] != []


def test_the_plan_uses_the_group_vars_of_the_inventory(site: Site) -> None:
    settings = {
        **CLOUD,
        "cloud_name": "theirs",
        "cloud_tunnel_id_range": "500:600",
        "cloud_networks__more": {"db": {"type": "gre", "subnets": {"db": {"cidr": "10.9.0.0/24"}}}},
        "cloud_flavors": {"m1": {"vcpus": 1, "ram_mb": 64}, "m2": {"vcpus": 2, "ram_mb": 128}},
        "instance_flavor": "m2",
        "instance_availability_zone": "west",
        "node_availability_zone": "west",
    }
    site.write("group_vars/all/cloud.yml", settings)
    output, _ = site.run_without_ansible_cfg()
    assert "Plan of cloud theirs:" in output
    assert "+ network web (vxlan 500, 10.0.0.0/24)" in output
    assert "+ network db (gre 500, 10.9.0.0/24)" in output
    assert "+ instance vm1 (m2 on compute1, 10.0.0." in output
    site.write("group_vars/all/cloud.yml", {**settings, "node_enabled": False, "instance_state": "stopped"})
    site.allocations.unlink()
    output, _ = site.run_without_ansible_cfg(ok=False)
    assert "compute1  enabled  enabled  node_enabled: false" in output
    site.write("group_vars/all/cloud.yml", {**settings, "node_enabled": False, "instance_state": "absent"})
    assert "+ instance vm1" not in site.run_without_ansible_cfg()[0]


@pytest.mark.parametrize("where", ["group_vars/all/all.yml", "hosts.yml"])
def test_every_variable_of_group_all_of_an_inventory_overrides_the_group_vars_of_the_playbook(
    site: Site, where: str
) -> None:
    settings = {name: f"{name} of the inventory" for name in VARIABLES}
    hosts = {"all": {"hosts": {"one": {}}, **({"vars": settings} if where == "hosts.yml" else {})}}
    site.write("group_vars/all/cloud.yml", {})
    site.write("hosts.yml", hosts)
    if where != "hosts.yml":
        site.write(where, settings)
    task = {"debug": {"msg": "answer={{ dict(names | zip(names | map('extract', hostvars.one))) | to_json }}"}}
    play = {"hosts": "all", "gather_facts": False, "vars": {"names": VARIABLES}, "tasks": [task]}
    (site.home / "play.yml").write_text(json.dumps([play]))
    assert site.run_without_ansible_cfg()[1] == settings


def test_a_limit_removes_neither_nodes_nor_facts_from_the_plan(site: Site) -> None:
    site.run()
    kept = site.allocations.read_text()
    _, answer = site.run("--limit", "compute1")
    assert answer["changed"] is False
    assert site.allocations.read_text() == kept

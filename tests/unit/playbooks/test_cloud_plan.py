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

TOP = Path(__file__).parents[3]
SECRET = "correct horse battery staple"
PLAYBOOK = """
- hosts: controller:network:compute
  gather_facts: false
  tasks:
    - cloud_plan: {validate_only: "{{ only | default(false) }}", summary: true}
      run_once: true
      register: answer
    - debug: {msg: "answer={{ answer | to_json }}"}
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


class Site:
    """An inventory in its own directory, and runs of cloud_plan on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.inventory = home / "inventory"
        self.more: list[Path] = []
        self.allocations = self.inventory / "group_vars" / "all" / "allocations.yml"
        self.allocations.parent.mkdir(parents=True)
        # Beside the playbook, as in the checkout: defaults, which the inventory must win over.
        (home / "group_vars").symlink_to(TOP / "group_vars")
        (home / "play.yml").write_text(PLAYBOOK)
        (self.inventory / "tiny.img").write_bytes(b"tiny")
        self.write("hosts.yml", HOSTS)
        self.write("group_vars/all/cloud.yml", CLOUD)

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
    assert "Plan of cloud mine: unchanged since the last run" in output
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


def test_ansibles_own_precedence_is_refused(site: Site) -> None:
    output, _ = site.run(ok=False, ANSIBLE_PRECEDENCE="all_inventory,all_plugins_inventory,all_plugins_play")
    assert "ansible.cfg.precedence: all_inventory" in output


def test_a_limit_removes_neither_nodes_nor_facts_from_the_plan(site: Site) -> None:
    site.run()
    kept = site.allocations.read_text()
    _, answer = site.run("--limit", "compute1")
    assert answer["changed"] is False
    assert site.allocations.read_text() == kept

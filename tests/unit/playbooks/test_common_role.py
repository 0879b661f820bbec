"""Role common, run by Ansible: the calls on a node that lacks packages or services, their order, and check mode.

A test module replaces the module that installs packages, and a script replaces systemctl. Both write their arguments to
the same file.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).parents[3]
CALLBACKS = TOP / "tests/lab/callback"
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: common}
"""
PACKAGES = """#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule

options = {"name": {"type": "list"}, "state": {}, "recommended": {"type": "bool"}}
module = AnsibleModule(argument_spec=options, supports_check_mode=True)
if module.check_mode:
    module.fail_json(msg="there are no package lists")
with open("LOG", "a") as log:
    log.write(f"install {' '.join(module.params['name'])} recommended={module.params['recommended']}\\n")
module.exit_json(changed=False)
"""
SYSTEMCTL = """#!/bin/sh
case "$1" in
    show)
        if grep -q "^install " LOG; then echo LoadState=loaded; else echo LoadState=not-found; fi
        echo ActiveState=inactive
        ;;
    is-enabled) echo disabled; exit 1 ;;
    *) echo "systemctl $*" >>LOG ;;
esac
"""
LACKING: dict[str, Any] = {
    "common_missing_packages": ["web", "proxy"],
    "common_down_services": ["switch.service"],
    "common_unknown_units": ["web.service", "other.service"],
    "common_masked_units": {"web": ["web.service", "web-taken.service"], "there": ["other.service"]},
    "common_package_preparation": [["touch", "LOG.lists"]],
    "common_package_busy": "is locked by another",
    "common_package_busy_tries": 3,
    "common_package_busy_delay": 0,
    "common_package_options": {"use": "some_packages", "recommended": False},
}


class Node:
    """This machine as a node of role common: the calls are written to ``log`` and have no other effect."""

    def __init__(self, home: Path) -> None:
        self.home, self.log = home, home / "log"
        self.log.touch()
        for name, text in {"library/some_packages.py": PACKAGES, "bin/systemctl": SYSTEMCTL, "p.yml": PLAYBOOK}.items():
            path = home / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.replace("LOG", str(self.log)))
            path.chmod(0o755)

    def play(self, *options: str, **variables: Any) -> list[dict[str, Any]]:
        """Run the role, and return the results of its tasks in the form that the cloud tests record."""
        settings = yaml.safe_load(json.dumps(LACKING).replace("LOG", str(self.log))) | variables
        settings["ansible_python_interpreter"] = sys.executable
        (self.home / "vars.json").write_text(json.dumps(settings))
        record = self.home / "record"
        record.unlink(missing_ok=True)
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(TOP / "ansible.cfg"),
            "ANSIBLE_LIBRARY": str(self.home / "library"),
            "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
            "ANSIBLE_CALLBACKS_ENABLED": "record",
            "ANSIBLE_ROLES_PATH": str(TOP / "roles"),
            "CLOUD_RECORD": str(record),
            "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}",
        }
        command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "-c", "local"]
        done = subprocess.run(
            [*command, "-e", f"@{self.home / 'vars.json'}", *options, self.home / "p.yml"],
            cwd=TOP, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in record.read_text().splitlines()]

    def calls(self) -> list[str]:
        """The calls, in order."""
        return self.log.read_text().splitlines()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def changes(results: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [
        (change["kind"], change["name"], change["verb"]) for result in results for change in result.get("changes") or ()
    ]


WANTED = [
    ("masked_unit", "web.service", "add"),
    ("package", "web", "add"),
    ("package", "proxy", "add"),
    ("service", "switch.service", "change"),
]


def test_units_are_masked_then_packages_installed_then_services_started(node: Node) -> None:
    assert changes(node.play()) == WANTED
    assert node.calls() == [
        "systemctl mask web.service",
        "install web proxy recommended=False",
        "systemctl enable switch.service",
        "systemctl start switch.service",
    ]
    assert (node.home / "log.lists").exists()


def test_check_mode_lists_the_same_changes_and_makes_none(node: Node) -> None:
    assert changes(node.play("--check")) == WANTED
    assert node.calls() == []
    assert not (node.home / "log.lists").exists()


def test_existing_units_and_units_of_installed_packages_are_not_masked(node: Node) -> None:
    node.play(common_missing_packages=["there"], common_unknown_units=["web.service"])
    assert [call for call in node.calls() if " mask " in call] == []


def test_a_node_that_lacks_only_a_service_installs_nothing(node: Node) -> None:
    node.log.write_text("install of an earlier run\n")
    results = node.play(common_missing_packages=[])
    assert changes(results) == WANTED[-1:]
    assert node.calls()[1:] == ["systemctl enable switch.service", "systemctl start switch.service"]
    assert not (node.home / "log.lists").exists()


def preparation(node: Node, message: str, failures: int) -> list[list[str]]:
    """A command that prints ``message`` and fails the first ``failures`` times."""
    path = node.home / "prepare"
    path.write_text(f"""#!/bin/sh
echo try >>{node.home}/tries
[ "$(wc -l <{node.home}/tries)" -gt {failures} ] && exit 0
echo "{message}" >&2
exit 2
""")
    path.chmod(0o755)
    return [[str(path)]]


def tries(node: Node) -> int:
    return len((node.home / "tries").read_text().splitlines())


def test_the_preparation_waits_while_another_installation_runs(node: Node) -> None:
    busy = preparation(node, "dpkg: error: dpkg frontend lock is locked by another process", 2)
    assert changes(node.play(common_package_preparation=busy)) == WANTED
    assert tries(node) == 3


@pytest.mark.parametrize(
    ("message", "expected"), [("the disk is full", 1), ("dpkg: error: the lock is locked by another process", 4)]
)
def test_the_preparation_fails_at_once_for_another_reason_and_at_last_when_it_waited(
    node: Node, message: str, expected: int
) -> None:
    with pytest.raises(AssertionError, match=message):
        node.play(common_package_preparation=preparation(node, message, 99))
    assert tries(node) == expected


def test_the_messages_of_debian_are_recognised() -> None:
    busy = yaml.safe_load((TOP / "roles/common/vars/debian.yml").read_text())["common_package_busy"]
    for message in (
        "dpkg: error: dpkg frontend lock was locked by another process with pid 12341",
        "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 12341 (python3)",
    ):
        assert re.search(busy, message)


def test_a_failed_installation_outside_of_check_mode_fails_the_role(node: Node) -> None:
    (node.home / "library/some_packages.py").write_text(PACKAGES.replace("if module.check_mode:", "if True:"))
    with pytest.raises(AssertionError, match="there are no package lists"):
        node.play()

"""Inventory sources that Ansible does not read, or reads as something else, are named with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from headworks.control.sources import Reading, ignored_files, problems

IGNORED = re.compile(r"^\.|^group_vars$|^host_vars$|[.]bak$|[.]orig$|[.]md$|~$")
Read = Callable[..., Reading]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """A reading of ``tmp_path`` in which everything was processed, except what the test says."""

    def make(*sources: str, unread: tuple[str, ...] = (), **others: object) -> Reading:
        files = {str(path) for path in tmp_path.rglob("*") if path.is_file()}
        given = {
            "sources": [source if "," in source else str(tmp_path / source) for source in sources or (".",)],
            "processed": files - {str(tmp_path / name) for name in unread},
            "hosts": ["compute1", "vm1"],
            "groups": ["all", "ungrouped", "compute", "instances"],
            "warnings": [],
            "ignored": lambda name: IGNORED.search(name) is not None,
            "hosts_as_ini": lambda path: None,
            **others,
        }
        return Reading(**given)  # type: ignore[arg-type]

    return make


def test_sources_that_were_read_give_no_message(tmp_path: Path, read: Read) -> None:
    (tmp_path / "hosts.yml").write_text("# a comment\n---\ncompute: {hosts: {compute1: }}\n")
    (tmp_path / "hosts.ini").write_text("[compute]\ncompute1\n")
    (tmp_path / "README.md").write_text("")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("")
    assert problems(read()) == []
    assert ignored_files(read()) == []


def test_a_yaml_error_is_named_with_its_line_and_without_the_text(tmp_path: Path, read: Read) -> None:
    (tmp_path / "instances.yml").write_text("instances:\n  hosts:\n    vm1: {password: hunter2\n    vm2:\n")
    (message,) = problems(read(unread=("instances.yml",)))
    assert re.fullmatch(rf"{tmp_path}/instances.yml: cannot be parsed: .+ in line \d", message)
    assert "hunter2" not in message


def test_a_source_that_does_not_exist_is_named(tmp_path: Path, read: Read) -> None:
    assert problems(read("hosts.ymll")) == [f"{tmp_path}/hosts.ymll: does not exist"]


@pytest.mark.parametrize("source", ["hosts.yml,", "hosts.yml,instances.yml", "inventory/lab,inventory/mine"])
def test_files_with_a_comma_are_not_host_names(source: str, read: Read) -> None:
    (message,) = problems(read(source))
    assert message.startswith(f"-i {source}: Ansible takes this for a list of host names, because it contains a comma")


def test_host_names_with_a_comma_are_a_source(read: Read) -> None:
    assert problems(read("compute1,")) == []


@pytest.mark.parametrize("text", ["", "\n\n", "---\n", "# compute:\n#   hosts:\n", "; nothing\n"])
def test_an_empty_file_is_refused(text: str, tmp_path: Path, read: Read) -> None:
    (tmp_path / "instances.yml").write_text(text)
    assert problems(read()) == [f"{tmp_path}/instances.yml: is empty; remove the file if this is intended"]


def test_a_long_comment_does_not_make_a_file_empty(tmp_path: Path, read: Read) -> None:
    (tmp_path / "hosts.yml").write_text("# all of it\n" * 10000 + "compute: {hosts: {compute1: }}\n")
    assert problems(read()) == []


def test_a_directory_without_inventory_files_is_refused(tmp_path: Path, read: Read) -> None:
    (tmp_path / "instances.yml.bak").write_text("instances:\n")
    (message,) = problems(read())
    assert "has neither an inventory file that Ansible reads nor group_vars" in message


@pytest.mark.parametrize("name", ["instances.yml.bak", "instances.yml~", "hosts.ini.orig"])
def test_a_file_that_is_ignored_is_warned_of_unless_its_original_is_there(
    name: str, tmp_path: Path, read: Read
) -> None:
    (tmp_path / name).write_text("instances:\n")
    assert ignored_files(read()) == [f"{tmp_path}/{name}: Ansible ignores this file because of its name"]
    (tmp_path / re.sub("[.]bak|~|[.]orig", "", name)).write_text("instances:\n")
    assert ignored_files(read()) == []


def test_a_script_whose_text_was_taken_for_host_names_is_refused(tmp_path: Path, read: Read) -> None:
    (tmp_path / "cloud").write_text("#!/bin/sh\nfalse\n")
    (message,) = problems(read(hosts=["compute1", "false"], hosts_as_ini=lambda path: ["false"]))
    assert message.startswith(f"{tmp_path}/cloud: this script failed or is not executable")
    assert problems(read(hosts=["compute1"], hosts_as_ini=lambda path: ["false"])) == []


def test_a_torn_json_file_that_was_taken_for_a_host_name_is_refused(tmp_path: Path, read: Read) -> None:
    text = '{"all":{"hosts":{"vm1":'
    (tmp_path / "hosts.json").write_text(text)
    (message,) = problems(read(hosts=[text], hosts_as_ini=lambda path: [text]))
    assert "hosts.json: cannot be parsed: " in message
    assert message.endswith("Ansible took its text for a list of host names")


@pytest.mark.parametrize("name", ["hosts", "vars", "children"])
def test_a_group_with_the_name_of_a_section_is_a_wrong_indentation(name: str, read: Read, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("compute:\n")
    (message,) = problems(read(groups=["all", "compute", name]))
    assert message.startswith(f"group {name}: is the name of a section of a YAML inventory")


@pytest.mark.parametrize(
    "warning",
    [
        'Skipping unexpected key (host) in group (compute), only "vars", "children" and "hosts" are valid',
        "Skipping key (hosts) in group (compute) as it is not a mapping, it is a <class 'str'>",
        "Skipping 'compute' as this is not a valid group definition",
    ],
)
def test_what_ansible_skipped_with_a_warning_is_refused(warning: str, read: Read, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("compute:\n")
    reading = read(warnings=[f"[WARNING]: {warning}\n", "[WARNING]: something else\n"])
    assert problems(reading) == [f"an inventory source is read in part: {warning}"]

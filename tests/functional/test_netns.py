"""NetnsSubsystem with real namespaces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from headworks.engine.converge import ConvergeError, Result, converge
from headworks.node.links.namespaces import NetnsSubsystem
from headworks.node.marks import MARKER_DIR
from headworks.state.namespaces import Namespace
from headworks.system.netns import is_namespace
from shell import sh


@pytest.fixture
def names(unique: str) -> Iterator[list[str]]:
    names = [f"{unique}-{letter}" for letter in "abc"]
    yield names
    for name in names:
        sh("ip", "netns", "delete", name, check=False)
        Path("/run/netns", name).unlink(missing_ok=True)
        (MARKER_DIR / name).unlink(missing_ok=True)


def run(owner: str | None, *names: str, check: bool = False) -> Result:
    return converge([(NetnsSubsystem(owner), {name: Namespace(name) for name in names})], check=check)


def labels(result: Result) -> list[str]:
    return [f"{change['verb']} {change['name']}" for change in result.changes]


def test_a_namespace_is_created_and_marked_and_a_second_run_changes_nothing(unique: str, names: list[str]) -> None:
    assert labels(run(unique, *names)) == [f"add {name}" for name in names]
    assert set(names) <= set(sh("ip", "netns", "list").split())
    assert (MARKER_DIR / names[0]).read_text() == f"{unique}\n"
    assert not run(unique, *names).changed


def test_check_mode_reports_a_namespace_and_does_not_create_it(unique: str, names: list[str]) -> None:
    assert labels(run(unique, names[0], check=True)) == [f"add {names[0]}"]
    assert not is_namespace(names[0])


def test_an_undesired_namespace_is_removed_with_its_marker_and_a_foreign_namespace_stays(
    unique: str, names: list[str]
) -> None:
    sh("ip", "netns", "add", names[2])
    run(unique, names[0], names[1])
    assert labels(run(unique, names[0])) == [f"remove {names[1]}"]
    assert not (MARKER_DIR / names[1]).exists()
    assert not os.path.lexists(f"/run/netns/{names[1]}")
    assert is_namespace(names[2])


def test_another_clouds_namespace_is_not_ours(unique: str, names: list[str]) -> None:
    run(unique, names[0])
    assert not run(f"{unique}-other").changed
    assert is_namespace(names[0])


def test_a_foreign_namespace_with_a_desired_name_is_refused_and_left_alone(unique: str, names: list[str]) -> None:
    sh("ip", "netns", "add", names[0])
    with pytest.raises(ConvergeError, match=f"{names[0]} exists and is not ours"):
        run(unique, names[0])
    assert not (MARKER_DIR / names[0]).exists()


@pytest.mark.parametrize("marked", [True, False])
def test_a_leftover_file_is_replaced_by_a_namespace(unique: str, names: list[str], marked: bool) -> None:
    run(unique, names[1])
    Path("/run/netns", names[0]).touch()
    if marked:
        (MARKER_DIR / names[0]).write_text(f"{unique}\n")
    assert labels(run(unique, names[0], names[1])) == [f"change {names[0]}"]
    assert is_namespace(names[0])


def test_a_leftover_file_or_marker_of_an_undesired_namespace_is_deleted(unique: str, names: list[str]) -> None:
    run(unique, *names)
    sh("ip", "netns", "delete", names[0])
    sh("ip", "netns", "delete", names[1])
    Path("/run/netns", names[1]).touch()
    assert labels(run(unique, names[2])) == [f"remove {names[0]}", f"remove {names[1]}"]
    assert not os.path.lexists(f"/run/netns/{names[1]}")
    assert not (MARKER_DIR / names[0]).exists()


def test_the_next_run_completes_a_run_that_was_killed_between_marker_and_namespace(
    unique: str, names: list[str]
) -> None:
    MARKER_DIR.mkdir(parents=True, exist_ok=True)
    (MARKER_DIR / names[0]).write_text(f"{unique}\n")
    run(unique, names[0])
    assert is_namespace(names[0])


def test_without_an_owner_namespaces_are_neither_marked_nor_removed(unique: str, names: list[str]) -> None:
    run(unique, names[0])
    assert labels(run(None, names[1])) == [f"add {names[1]}"]
    assert is_namespace(names[0])
    assert not (MARKER_DIR / names[1]).exists()

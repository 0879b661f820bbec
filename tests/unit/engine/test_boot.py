"""The archive of the engine that the boot unit runs: it is complete, and the same code gives the same bytes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.executor.module_common import ModuleDepFinder
from headworks.engine import boot
from headworks.engine.boot import BootEngine, BootSubsystem, build_archive, package_sources
from headworks.node.subsystem import Change

TOP = Path(__file__).parents[3]


def test_the_same_sources_in_another_order_give_the_same_archive() -> None:
    assert build_archive(package_sources()) == build_archive(dict(reversed(list(package_sources().items()))))


def test_the_archive_needs_only_python_to_run(tmp_path: Path) -> None:
    archive = tmp_path / "engine.zip"
    archive.write_bytes(build_archive(package_sources()))
    done = subprocess.run([sys.executable, "-I", str(archive)], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "restore" in done.stderr




def test_ansible_sends_every_file_of_the_archive_with_the_module_that_writes_it() -> None:
    """The archive on a node is made of the files that Ansible sent: those that the module imports, also in functions.
    Only facts need ``node/host`` and the holdings."""
    left_out = set(package_sources()) - sent_with(TOP / "library" / "node_state.py")
    assert {path for path in left_out if not path.startswith("node/host/")} == {"engine/holdings.py"}


def sent_with(module: Path) -> set[str]:
    """The files of the package that Ansible sends with a module, found in the way that Ansible finds them."""
    sent: set[Path] = set()
    todo = [(module, "ansible.modules.node_state")]
    while todo:
        path, name = todo.pop()
        finder = ModuleDepFinder(name, ast.parse(path.read_text()), is_pkg_init=path.name == "__init__.py")
        for found in finder.submodules:
            for end in range(3, len(found) + 1):
                place = TOP / "plugins" / "module_utils" / Path(*found[2:end])
                for file in (place.with_suffix(".py"), place / "__init__.py"):
                    if file.exists() and file not in sent:
                        sent.add(file)
                        todo.append((file, ".".join(found[:end])))
    package = TOP / "plugins" / "module_utils" / "headworks"
    return {str(file.relative_to(package)) for file in sent if file.is_relative_to(package)}


def test_the_archive_contains_only_the_packages_of_the_node_side() -> None:
    assert {path.split("/")[0] for path in package_sources()} == {"state", "engine", "node", "system", "__init__.py"}


@pytest.fixture
def subsystem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BootSubsystem:
    """The subsystem with two units in a directory of the test, on a machine where systemctl does what it is told."""
    units = tmp_path / "units"

    def systemctl(words: list[str], **_: object) -> str:
        if words[1] == "enable":
            for name in words[2:]:
                (units / "multi-user.target.wants" / name).parent.mkdir(exist_ok=True)
                (units / "multi-user.target.wants" / name).unlink(missing_ok=True)
                (units / "multi-user.target.wants" / name).symlink_to(units / name)
        return ""

    monkeypatch.setattr(boot, "UNIT_DIR", units)
    monkeypatch.setattr(boot, "UNREAD", tmp_path / "units-changed")
    monkeypatch.setattr(boot, "ENGINE", tmp_path / "lib" / "engine.zip")
    monkeypatch.setattr(boot, "ENABLED", ("a.service",))
    monkeypatch.setattr(boot, "run", systemctl)
    monkeypatch.setattr(boot, "has_tool", lambda _: True)
    files = {units / "a.service": "[Unit]\n", units / "b.service.d" / "x.conf": "[Service]\n"}
    return BootSubsystem("lab", units=files)


def written(subsystem: BootSubsystem) -> BootEngine:
    """The engine that the subsystem reads after it has written it."""
    subsystem.apply([Change("boot", boot.NAME, None, BootEngine(boot.NAME, "new"))])
    return subsystem.read({}).objects[boot.NAME]


def test_what_is_written_is_what_the_section_of_the_document_says(
    subsystem: BootSubsystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot, "unit_files", lambda _: subsystem.units)
    assert boot.section(boot.running_archive(), None) == [{"name": boot.NAME, "digest": written(subsystem).digest}]  # type: ignore[arg-type]


def test_a_unit_that_somebody_changed_is_a_difference(subsystem: BootSubsystem) -> None:
    before = written(subsystem)
    for path in subsystem.units:
        text = path.read_text()
        path.write_text("changed")
        assert subsystem.read({}).objects[boot.NAME] != before
        path.write_text(text)
    assert subsystem.read({}).objects[boot.NAME] == before


def test_a_unit_that_is_missing_or_not_enabled_is_a_difference(subsystem: BootSubsystem) -> None:
    for path in (*subsystem.units, boot.UNIT_DIR / "multi-user.target.wants" / "a.service"):
        written(subsystem)
        path.unlink()
        assert subsystem.read({}).objects == {}
        (boot.UNIT_DIR / "multi-user.target.wants" / "a.service").unlink(missing_ok=True)


def test_units_that_systemd_has_not_read_are_a_difference(
    subsystem: BootSubsystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(subsystem)

    def killed(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(boot, "run", killed)
        with pytest.raises(KeyboardInterrupt):
            written(subsystem)
    assert subsystem.read({}).objects == {}
    assert written(subsystem)


def test_a_removal_deletes_all_files(subsystem: BootSubsystem) -> None:
    engine = written(subsystem)
    subsystem.apply([Change("boot", boot.NAME, engine, None)])
    assert not boot.ENGINE.exists()
    assert [path for path in subsystem.units if path.exists()] == []

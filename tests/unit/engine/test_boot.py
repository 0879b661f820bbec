"""The archive of the engine that the boot unit runs: it is complete, and the same code gives the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from headworks.engine.boot import build_archive, package_sources


def test_the_same_sources_in_another_order_give_the_same_archive() -> None:
    assert build_archive(package_sources()) == build_archive(dict(reversed(list(package_sources().items()))))


def test_the_archive_needs_only_python_to_run(tmp_path: Path) -> None:
    archive = tmp_path / "engine.zip"
    archive.write_bytes(build_archive(package_sources()))
    done = subprocess.run([sys.executable, "-I", str(archive)], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "restore" in done.stderr


def test_the_archive_contains_only_the_packages_of_the_node_side() -> None:
    assert {path.split("/")[0] for path in package_sources()} == {"state", "engine", "node", "system", "__init__.py"}

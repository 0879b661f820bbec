"""The engine on the node: the archive that the boot unit runs is whole, and the same for the same code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from headworks.engine.boot import build_archive, package_sources


def test_the_archive_is_the_same_for_the_same_sources() -> None:
    assert build_archive(package_sources()) == build_archive(dict(reversed(list(package_sources().items()))))


def test_the_archive_runs_with_nothing_but_python(tmp_path: Path) -> None:
    archive = tmp_path / "engine.zip"
    archive.write_bytes(build_archive(package_sources()))
    done = subprocess.run([sys.executable, "-I", str(archive)], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "restore" in done.stderr


def test_the_archive_holds_the_node_side_only() -> None:
    assert {path.split("/")[0] for path in package_sources()} == {"state", "engine", "node", "system", "__init__.py"}

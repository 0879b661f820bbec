"""The bytecode beside the engine's archive is used only for its own sources and its own Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from headworks.engine import bytecode
from headworks.engine.boot import build_archive, package_sources

ASK = "import headworks.engine.command_line as module; print(module.__loader__.archive, module.__cached__)"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An engine on the disk, with its bytecode."""
    monkeypatch.setattr(bytecode, "ENGINE", tmp_path / "engine.zip")
    monkeypatch.setattr(bytecode, "DIRECTORY", tmp_path / "bytecode")
    write(package_sources())
    bytecode.compile_engine()
    return tmp_path / "engine.zip"


def write(sources: dict[str, bytes]) -> None:
    bytecode.ENGINE.write_bytes(build_archive(sources))


def files() -> list[Path]:
    return list(bytecode.DIRECTORY.iterdir())


def loaded_from(engine: Path) -> str:
    """Where the engine loads its modules from. The engine's main module is run up to its own start."""
    code = f"""
import sys, zipfile
sys.path.insert(0, {str(engine)!r})
main = zipfile.ZipFile({str(engine)!r}).read("__main__.py").decode()
exec(main.replace("raise SystemExit(main())", {ASK!r}))
"""
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_engine_runs_from_its_bytecode(engine: Path) -> None:
    (path,) = files()
    assert loaded_from(engine) == f"{path} {path}/headworks/engine/command_line.pyc"


def test_the_engine_that_runs_from_bytecode_is_the_same_engine(engine: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(files()[0])!r})
from headworks.engine import boot, bytecode
bytecode.DIRECTORY = {str(bytecode.DIRECTORY)!r}
sys.stdout.buffer.write(boot.running_archive())
"""
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, check=True)
    assert done.stdout == engine.read_bytes()


def test_without_bytecode_the_engine_runs_from_its_sources(engine: Path) -> None:
    files()[0].unlink()
    assert loaded_from(engine).startswith(f"{engine} ")


@pytest.mark.parametrize("content", [b"", b"PK torn"])
def test_a_torn_file_of_bytecode_is_not_used(engine: Path, content: bytes) -> None:
    files()[0].write_bytes(content)
    assert loaded_from(engine).startswith(f"{engine} ")


def test_bytecode_of_another_engine_is_not_used_and_deleted(engine: Path) -> None:
    sources = package_sources()
    write({**sources, "engine/command_line.py": sources["engine/command_line.py"] + b"# changed\n"})
    assert loaded_from(engine).startswith(f"{engine} ")
    before = files()
    bytecode.compile_engine()
    assert len(files()) == 1
    assert files() != before


def test_bytecode_of_another_python_is_not_used(engine: Path) -> None:
    (path,) = files()
    path.rename(path.with_name(path.name.replace(sys.implementation.cache_tag or "", "cpython-399")))
    assert loaded_from(engine).startswith(f"{engine} ")


def test_an_engine_that_cannot_be_compiled_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "ENGINE", tmp_path / "missing.zip")
    bytecode.prepare()

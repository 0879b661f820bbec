"""The engine as bytecode, beside its archive: with it, the engine starts in half the time, which counts when it brings
flows back.

The file is named after the engine's sources and after the Python that compiled it, so nothing else uses it. It has the
sources, too. Without it, the engine works as well. What does not belong here: the archive itself (``boot.py``).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from ..system.files import write_file
from ..system.process import ToolError, run
from .units import ENGINE, PYTHON

DIRECTORY = Path("/usr/lib/headworks/bytecode")
MAIN = "__main__.py"
# The header of a bytecode file (PEP 552): after the magic number, it is used without a comparison with its source.
UNCHECKED = (1).to_bytes(4, "little") + bytes(8)


def main_text(sources: Mapping[str, bytes]) -> str:
    """Return the main module of the archive that has these sources.

    A run is short and creates little garbage. Without the garbage collector it starts faster.
    """
    bytecode = f"{DIRECTORY}/{_digest(sources)}.{{sys.implementation.cache_tag}}.zip"
    return (
        "import gc\nimport sys\n\ngc.disable()\n"
        f'sys.path.insert(0, f"{bytecode}")\n\n'
        "from headworks.engine.command_line import main\n\n"
        "raise SystemExit(main())\n"
    )


def prepare() -> None:
    """Let the Python of the units compile the engine on the disk: it may be another one than the Python of this run. A
    failure is left alone, because the engine works without bytecode."""
    try:
        run([PYTHON, "-I", str(ENGINE), "compile"])
    except ToolError:
        return


def compile_engine() -> None:
    """Compile the engine on the disk with the running Python, if that was not done, and delete earlier bytecode."""
    import zipfile

    with zipfile.ZipFile(ENGINE) as archive:
        sources = {name: archive.read(name) for name in archive.namelist() if name != MAIN}
    path = DIRECTORY / f"{_digest(sources)}.{sys.implementation.cache_tag}.zip"
    if path.exists():
        return
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    write_file(path, _compiled(sources))
    for other in DIRECTORY.iterdir():
        if other != path:
            other.unlink()


def delete() -> None:
    """Delete all bytecode."""
    import shutil

    shutil.rmtree(DIRECTORY, ignore_errors=True)


def _compiled(sources: Mapping[str, bytes]) -> bytes:
    """Return a zip with the sources and their bytecode."""
    import io
    import marshal
    import zipfile
    from importlib.util import MAGIC_NUMBER

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sources.items():
            code = compile(content, f"{ENGINE}/{name}", "exec", dont_inherit=True)
            archive.writestr(f"{name}c", MAGIC_NUMBER + UNCHECKED + marshal.dumps(code))
            archive.writestr(name, content)
    return buffer.getvalue()


def _digest(sources: Mapping[str, bytes]) -> str:
    """Return a digest of the files with these names in the archive."""
    from hashlib import sha256

    digest = sha256()
    for name in sorted(sources):
        digest.update(f"{name}\0{len(sources[name])}\0".encode())
        digest.update(sources[name])
    return digest.hexdigest()[:16]

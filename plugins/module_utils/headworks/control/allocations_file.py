"""The allocations file: its location, its lock, and atomic writes.

What does not belong here: the content of the file, which is in ``plan/allocation/allocations.py``.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..model.errors import PlanError

VARIABLE = "cloud_allocations_file"
BESIDE_INVENTORY = Path("group_vars/all/allocations.yml")


def locate(setting: str, sources: Sequence[str]) -> Path:
    """The path of the file.

    :param setting: ``cloud_allocations_file``: an absolute path, a path relative to the last inventory's directory, or
        "".
    :param sources: the inventories of this run, in the order given (directories, files, or ``host,`` lists).

    Without a setting the path is ``group_vars/all/allocations.yml`` beside an inventory: beside the last inventory that
    has this file, or beside the first inventory if none has it. So an inventory that is added for a single run does not
    cause new allocations for the whole cloud.

    :raises PlanError: there is no setting, and no inventory is on disk.
    """
    homes = [_home(source) for source in sources if os.path.exists(source)]
    if setting:
        path = Path(setting).expanduser()
        return path if path.is_absolute() else (homes[-1] if homes else Path.cwd()) / path
    if not homes:
        raise PlanError([f"{VARIABLE}: '': must be set when no inventory is a file or a directory"])
    candidates = [home / BESIDE_INVENTORY for home in homes]
    return next((path for path in reversed(candidates) if path.exists()), candidates[0])


def _home(source: str) -> Path:
    path = Path(source).resolve()
    return path if path.is_dir() else path.parent


def read(path: Path) -> dict[str, Any] | None:
    """The file's content, or None if the file does not exist.

    :raises PlanError: the file cannot be read, or it does not hold the JSON that headworks writes.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PlanError(
            [f"{VARIABLE}: '{path}': cannot be read ({error}); restore it from version control or a backup"]
        ) from error
    if not isinstance(content, dict):
        raise PlanError([f"{VARIABLE}: '{path}': must hold a dictionary"])
    return content


def write(path: Path, text: str) -> bool:
    """Write ``text`` to the file unless it already holds it, and return whether it was written.

    The file is replaced atomically: a reader sees either the old content or the new content.

    :raises PlanError: the file cannot be written.
    """
    try:
        if path.exists() and path.read_text() == text:
            return False
        descriptor, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w") as stream:
                stream.write(text)
                stream.flush()
                os.fchmod(descriptor, 0o644)
                os.fsync(descriptor)
            os.replace(fresh, path)
        except BaseException:
            os.unlink(fresh)
            raise
    except OSError as error:
        raise PlanError([f"{VARIABLE}: '{path}': cannot be written ({error})"]) from error
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of the allocations file while the body runs, so that concurrent runs plan after each other.

    The lock is on the file's directory, so no lock file is left beside the inventory. The directory is created if it
    does not exist.

    :raises PlanError: the directory cannot be created or opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise PlanError([f"{VARIABLE}: '{path}': {error}"]) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

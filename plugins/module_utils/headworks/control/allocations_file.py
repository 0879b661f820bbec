"""The allocations file: its location, its lock, atomic writes, and its previous version (``.prev``).

What does not belong here: the content of the file, which is in ``plan/allocation/allocations.py``.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Stored:
    """What is on disk. ``content`` is None if the file is missing or damaged; ``damage`` then says why ("": missing).

    ``previous`` is the content of the previous version, read only if ``content`` is None; None without such a version.
    """

    content: dict[str, Any] | None
    damage: str = ""
    previous: dict[str, Any] | None = None


def read(path: Path) -> Stored:
    """Read the file; its previous version too if the file is missing or damaged.

    :raises PlanError: the file exists, but the system refuses to read it.
    """
    content, damage = _load(path)
    if content is not None:
        return Stored(content)
    return Stored(None, damage, _load(previous_of(path))[0])


def previous_of(path: Path) -> Path:
    """Where the previous version of the file is. Ansible does not read files with this ending."""
    return path.with_name(f"{path.name}.prev")


def _load(path: Path) -> tuple[dict[str, Any] | None, str]:
    """(content, "") or (None, why not); (None, "") if the file does not exist."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        raise PlanError([f"{VARIABLE}: '{path}': cannot be read ({error})"]) from error
    if not text.strip():
        return None, "is empty"
    try:
        content = json.loads(text)
    except ValueError as error:
        return None, f"is damaged ({error})"
    if not isinstance(content, dict):
        return None, "is damaged (it does not hold a dictionary)"
    return content, ""


def set_damaged_aside(sources: Sequence[str]) -> list[str]:
    """Rename damaged files beside the inventories ``sources``, and return a message for each.

    Ansible reads ``group_vars/all`` before any of our code runs, and a damaged file there would end the run without the
    name of the file. An empty file stays: Ansible takes it as a file without variables.
    """
    messages = []
    for path in dict.fromkeys(_home(source) / BESIDE_INVENTORY for source in sources if os.path.exists(source)):
        try:
            content, damage = _load(path)
            if content is not None or not damage or path.stat().st_size == 0:
                continue
            aside = path.with_name(f"{path.name}.damaged")
            os.replace(path, aside)
        except (OSError, PlanError):
            continue  # the plan reports it
        messages.append(
            f"{VARIABLE}: '{path}': {damage}. It is now '{aside.name}' beside it; the plan rebuilds the allocations "
            "from the previous version and from the nodes"
        )
    return messages


def write(path: Path, text: str) -> bool:
    """Write ``text`` to the file unless it already holds it, and return whether it was written.

    The file is replaced atomically: a reader sees either the old content or the new content. The old content stays
    beside it as the previous version, unless it is damaged.

    :raises PlanError: the file cannot be written.
    """
    try:
        if path.exists() and path.read_text() == text:
            return False
        if _load(path)[0] is not None:
            _replace(previous_of(path), path.read_text())
        _replace(path, text)
    except OSError as error:
        raise PlanError([f"{VARIABLE}: '{path}': cannot be written ({error})"]) from error
    return True


def complete(path: Path, text: str) -> None:
    """Replace the file by ``text``, which is the same version with more knowledge: the previous version stays.

    :raises PlanError: the file cannot be written.
    """
    try:
        _replace(path, text)
    except OSError as error:
        raise PlanError([f"{VARIABLE}: '{path}': cannot be written ({error})"]) from error


def _replace(path: Path, text: str) -> None:
    """Write a file and its directory entry to the disk."""
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
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of the allocations file while the body runs, so that of two runs that planned from the same version
    only one writes the next version.

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
